"""Stage `codegen`: the integer graph becomes a C library with its plan."""

import importlib.metadata
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.facts.artifact import file_sha256, sha256, to_json
from pipeline.facts.config import Project
from pipeline.facts.config.lock import check_library
from pipeline.facts.records import json_bytes
from stages.base import Job
from stages.model_source import model_files
from stages.samples import data_files, data_settings, evaluation

if TYPE_CHECKING:
    from pipeline.planning.choose_kernels import Limits

NAME = "codegen"
READS = {"quantize": ("graph.json", "weights.bin")}
TARGETS = ("plan.json", "CMakeLists.txt")
_SELFTEST_VECTORS = 4
_MAX_PADDING = 32  # bytes of alignment between the arena and what startup copies


def settings(project: Project) -> Mapping[str, object]:
    config, chip = project.config, project.chip
    return {
        "product": config.product,
        "model.name": Path(config.model.source).name,
        "data": data_settings(project, calibrates=False),
        "chip": {
            "core": chip.core,
            "multiplier": chip.multiplier,
            "flash": {"size": chip.flash.size, "timing": asdict(chip.flash.timing)},
        },
        "budget": {**config.budget.model_dump(exclude={"latency"}), "cycles": _affordable(project)},
        "memory": config.memory.model_dump(),
        "optimize": config.optimize,
        "chipfit": _version(),
        **({} if project.lock is None else {"lock": {"library": sha256(to_json(project.lock.lock.library))}}),
    }


@cache
def _version() -> str:
    return importlib.metadata.version("chipfit")  # which parses all metadata, for each of many variants


def _affordable(project: Project) -> int | None:
    """Cycles that the latency budget allows, where the plan is bound by them."""
    config = project.config
    if config.optimize == "latency" or config.budget.latency is None:
        return None
    return int(config.budget.latency * project.chip.clock)


def _limits(project: Project, arena: int) -> "Limits":
    from pipeline.planning.choose_kernels import Limits

    budget, chip = project.config.budget, project.chip
    spare = max(0, (budget.ram or 0) - arena - _MAX_PADDING)
    return Limits(
        flash=budget.flash or chip.flash.size,
        stack=budget.stack,
        cycles=_affordable(project),
        multiplier=chip.multiplier,
        ram=spare if project.config.memory.code == "ram" else 0,
        spare_ram=spare if project.config.memory.code == "flash" and chip.flash.wait_states else 0,
        timing=chip.flash.timing,
    )


def inputs(project: Project) -> Mapping[str, Path]:
    return {**model_files(project), **data_files(project, calibrates=False)}


def run(job: Job) -> dict[str, bytes]:
    from pipeline.generating.library import Origin, generate
    from pipeline.generating.selftest import Vectors
    from pipeline.graph.graph_file import load
    from pipeline.ops import NODES
    from pipeline.planning.choose_kernels import choose
    from pipeline.planning.dead_channels import without_dead_channels
    from pipeline.planning.describe_plan import plan_file
    from pipeline.planning.plan import plan

    project = job.project
    network = {n: job.read("quantize", n) for n in ("graph.json", "weights.bin")}
    graph = load(network, NODES)
    memory = project.config.memory
    own = {"own_inputs": memory.inputs == "arena", "own_outputs": memory.outputs == "arena"}
    live_graph = without_dead_channels(graph)
    planned = plan(project.config.product, live_graph, **own)
    limits = _limits(project, planned.arena.size)
    choice = choose(planned, project.chip.core, limits, project.config.optimize)
    samples = evaluation(project, graph).take(_SELFTEST_VECTORS)
    integers = graph.integers(samples.inputs)
    vectors = Vectors(tuple(integers), tuple(graph.run(integers)))
    written = json_bytes(plan_file(graph, live_graph, choice, project.config.optimize))
    name, version = Path(project.config.model.source).name, _version()
    origin = Origin(name, version, _model_digest(project), sha256(b"".join(network.values())), sha256(written))
    library = generate(choice.program, project.chip.core, origin, vectors)
    if project.lock is not None:
        check_library(project.lock, library)
    return library | {"plan.json": written}


def _model_digest(project: Project) -> str:
    """sha256 of the model file; where tensors lie in other files too, that of the list of all digests."""
    digests = {n: file_sha256(p) for n, p in model_files(project).items()}
    return sha256(to_json(digests)) if len(digests) > 1 else digests["model"]
