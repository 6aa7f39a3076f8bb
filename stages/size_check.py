"""Stage `size-check`: the library through the real cross compiler, and what it takes of the chip."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.facts.config import Project
from stages.base import ALL, Job

if TYPE_CHECKING:
    from pipeline.measuring.footprint import Footprint
    from pipeline.measuring.footprint.size_file import SizedLayer

NAME = "size-check"
READS = {"codegen": ALL}
TARGETS = ("size.json", "library.elf")


def settings(project: Project) -> Mapping[str, object]:
    config, chip = project.config, project.chip
    return {
        "product": config.product,
        "toolchain": config.toolchain,
        "budget": config.budget.model_dump(exclude={"latency"}),
        "chip": {
            "core": chip.core,
            "flash": {"origin": chip.flash.origin, "size": chip.flash.size},
            "ram": {"origin": chip.ram.origin, "size": chip.ram.size},
        },
    }


def inputs(project: Project) -> Mapping[str, Path]:
    return {}


def run(job: Job) -> dict[str, bytes]:
    from pipeline.facts.artifact import digests
    from pipeline.facts.records import json_bytes
    from pipeline.measuring import native
    from pipeline.measuring.footprint import measure
    from pipeline.measuring.footprint.size_file import Free, size_file
    from pipeline.measuring.toolchain import TOOLCHAINS, Region, compile_library, link_image
    from pipeline.measuring.toolchain.scratch import scratch

    config, chip = job.project.config, job.project.chip
    toolchain, entry = TOOLCHAINS[config.toolchain], f"{config.product}_run"
    with scratch() as out, ThreadPoolExecutor(1) as aside:
        # The next stage needs it; on a new machine both compilers first build what they link, for seconds.
        aside.submit(native.library)
        source = job.folder / "codegen"
        objects = compile_library(toolchain, chip.core, source, out, digests(source))
        regions = [Region(m.origin, m.size) for m in (chip.flash, chip.ram)]
        image = link_image(toolchain, chip.core, objects, entry, regions[0], regions[1], out / "library.elf")
        footprint = measure(image, entry, f"{config.product}_")
        elf = image.read_bytes()
    free = Free(config.budget.flash or chip.flash.size, config.budget.ram or chip.ram.size, config.budget.stack)
    document = size_file(toolchain.version(chip.core), footprint, free, _layers(job, footprint))
    return {"size.json": json_bytes(document), "library.elf": elf}


def _layers(job: Job, footprint: "Footprint") -> "list[SizedLayer]":
    """Constants of each kernel call, by the tables' names in the generated C; kernels are shared between layers."""
    from pipeline.measuring.footprint.size_file import SizedLayer
    from pipeline.planning.plan_file import PlanFile

    product, sizes = job.project.config.product, {s.name: s.size for s in footprint.symbols}
    layers = []
    for index, call in enumerate(job.record("codegen", "plan.json", PlanFile).calls):
        names = tuple(f"{product}__table_{of}{index}_" for of in ("", "routine_"))
        tables = sum(z for n, z in sizes.items() if n.startswith(names))
        parameters = sizes.get(f"{product}__parameters_{index}", 0)
        layers.append(SizedLayer(call.layer, call.kernel, tables + parameters))
    return layers
