"""Stage `simulate`: the linked machine code on an emulated chip, bit for bit against the integer reference."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.facts.config import Project
from stages.base import ALL, Job
from stages.samples import data_files, data_settings, evaluation

if TYPE_CHECKING:
    import numpy as np

    from pipeline.graph.tensor import Array

NAME = "simulate"
READS = {"quantize": ("graph.json", "weights.bin"), "codegen": ALL, "size-check": ("library.elf",)}
TARGETS = ("simulate.json",)


def settings(project: Project) -> Mapping[str, object]:
    config = project.config
    return {
        "product": config.product,
        "simulate": config.simulate.model_dump(),
        "data": data_settings(project, calibrates=False),
        "chip": project.chip.model_dump(exclude={"chip", "manual", "notes", "fpu"}),
    }


def inputs(project: Project) -> Mapping[str, Path]:
    return data_files(project, calibrates=False)


def run(job: Job) -> dict[str, bytes]:
    import numpy as np

    from pipeline.facts.records import json_bytes
    from pipeline.graph.graph_file import load
    from pipeline.measuring.simulate_file import RunAccuracy, RunCycles, RunLayer, RunStack, RunVectors, SimulateFile
    from pipeline.measuring.simulator import Target, simulate
    from pipeline.ops import NODES
    from pipeline.planning.plan_file import PlanFile
    from pipeline.quantizing.top1 import top1

    project, chip = job.project, job.project.chip
    product = project.config.product
    graph = load({n: job.read("quantize", n) for n in ("graph.json", "weights.bin")}, NODES)
    samples = evaluation(project, graph).take(project.config.simulate.vectors)
    integers = graph.integers(samples.inputs)
    # Extremes and noise beside the real inputs: they must be bit-exact too, and must take as long.
    rng = np.random.default_rng(0)
    integers = [np.concatenate([a, _extremes(a, rng)]) for a in integers]
    expected = [np.ascontiguousarray(o) for o in graph.run(integers)]
    count = len(integers[0])
    vectors = [[np.ascontiguousarray(a[i]).tobytes() for a in integers] for i in range(count)]
    wanted = [[o[i].tobytes() for o in expected] for i in range(count)]
    plan = job.record("codegen", "plan.json", PlanFile)
    calls, port_offsets = plan.calls, plan.port_offsets
    target = Target(
        chip.core,
        (chip.flash.origin, chip.flash.size),
        (chip.ram.origin, chip.ram.size),
        chip.multiplier,
        chip.flash.timing,
    )
    elf = job.folder / "size-check" / "library.elf"
    sizes = [len(o) for o in wanted[0]]
    runs = simulate(
        elf,
        target,
        f"{product}_run",
        len(calls),
        vectors,
        sizes,
        progress=lambda d, t: job.progress("simulate", d, t),
        port_offsets=port_offsets,
    )
    wrong = sum(list(r.outputs) != w for r, w in zip(runs, wanted, strict=True))
    answers = np.stack([np.frombuffer(r.outputs[0], expected[0].dtype) for r in runs[: samples.count]])
    host = _host_mismatches(job, product, integers, expected, port_offsets)
    slowest = max(runs, key=lambda r: r.total.high)
    fastest = min(r.total.low for r in runs)
    results = SimulateFile(
        cycles=RunCycles(
            min=fastest,
            max=slowest.total.high,
            zero_wait=slowest.total.zero_wait[1],
            depends_on_input=len({r.total for r in runs}) > 1,
            overhead=slowest.overhead.high,
        ),
        instructions=slowest.total.instructions,
        latency_us=round(slowest.total.high / chip.clock * 1e6, 3),
        clock_hz=chip.clock,
        layers=tuple(
            RunLayer(call.layer, call.kernel, call.macs, layer.high, layer.zero_wait[1], layer.instructions)
            for call, layer in zip(calls, slowest.layers, strict=True)
        ),
        vectors=RunVectors(count, samples.count, wrong, host),
        accuracy=RunAccuracy(top1(graph, answers, samples.labels), samples.count),
        stack=RunStack(max(r.stack for r in runs)),
    )
    return {"simulate.json": json_bytes(results)}


def _extremes(array: "Array", rng: "np.random.Generator") -> "Array":
    """The least input, the largest, and noise over the whole range of `array`'s type."""
    import numpy as np

    limits, shape = np.iinfo(array.dtype), array.shape[1:]
    noise = rng.integers(limits.min, limits.max, shape, endpoint=True)
    return np.stack([np.full(shape, limits.min), np.full(shape, limits.max), noise]).astype(array.dtype)


def _host_mismatches(
    job: Job, product: str, integers: "list[Array]", expected: "list[Array]", port_offsets: Sequence[int | None]
) -> int:
    """Number of vectors for which the same C, compiled for this machine, gives other outputs."""
    import numpy as np

    from pipeline.facts.artifact import digests
    from pipeline.measuring.toolchain import host_library
    from pipeline.measuring.toolchain.host import HostLibrary
    from pipeline.measuring.toolchain.scratch import scratch

    with scratch() as folder:
        source = job.folder / "codegen"
        library = host_library(source, folder / "library.so", listed=digests(source))
        got = HostLibrary(library, product, port_offsets)(integers, expected)
    differs = [(g != o).reshape(len(o), -1).any(axis=1) for g, o in zip(got, expected, strict=True)]
    return int(np.any(differs, axis=0).sum())
