"""Stage `simulate`: the linked machine code on an emulated chip, bit for bit against the integer reference."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.facts.config import Project
from stages.base import ALL, Job
from stages.samples import data_files, data_settings, evaluation

if TYPE_CHECKING:
    import numpy as np

    from pipeline.facts.config.models import ChipSpec
    from pipeline.graph.tensor import Array
    from pipeline.measuring.simulate_file import RunAccuracy, RunVectors, SimulateFile
    from pipeline.measuring.simulator import Run
    from pipeline.planning.plan_file import PlanFile

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
    from pipeline.measuring.simulate_file import RunAccuracy, RunVectors
    from pipeline.ops import NODES
    from pipeline.planning.plan_file import PlanFile
    from pipeline.quantizing.top1 import top1

    graph = load({n: job.read("quantize", n) for n in ("graph.json", "weights.bin")}, NODES)
    plan = job.record("codegen", "plan.json", PlanFile)
    samples = evaluation(job.project, graph).take(job.project.config.simulate.vectors)
    # Extremes and noise beside the real inputs: they must be bit-exact too, and must take as long.
    rng = np.random.default_rng(0)
    integers = [np.concatenate([a, _extremes(a, rng)]) for a in graph.integers(samples.inputs)]
    expected = [np.ascontiguousarray(o) for o in graph.run(integers)]
    runs = _emulated(job, plan, integers, expected)
    wanted = zip(*([v.tobytes() for v in o] for o in expected), strict=True)
    wrong = sum(r.outputs != w for r, w in zip(runs, wanted, strict=True))
    answers = np.stack([np.frombuffer(r.outputs[0], expected[0].dtype) for r in runs[: samples.count]])
    host = _host_mismatches(job, integers, expected, plan.port_offsets)
    vectors = RunVectors(len(runs), samples.count, wrong, host)
    accuracy = RunAccuracy(top1(graph, answers, samples.labels), samples.count)
    return {"simulate.json": json_bytes(_measured(job.project.chip, plan, runs, vectors, accuracy))}


def _emulated(job: Job, plan: "PlanFile", integers: "list[Array]", expected: "list[Array]") -> "list[Run]":
    """A run of the linked library for each vector of `integers`, which has one array per input, vectors first."""
    import numpy as np

    from pipeline.measuring.simulator import Target, simulate

    chip = job.project.chip
    flash, ram = (chip.flash.origin, chip.flash.size), (chip.ram.origin, chip.ram.size)
    return simulate(
        job.folder / "size-check" / "library.elf",
        Target(chip.core, flash, ram, chip.multiplier, chip.flash.timing),
        f"{job.project.config.product}_run",
        len(plan.calls),
        [[np.ascontiguousarray(a[i]).tobytes() for a in integers] for i in range(len(integers[0]))],
        [o[0].nbytes for o in expected],
        progress=lambda d, t: job.progress("simulate", d, t),
        port_offsets=plan.port_offsets,
    )


def _measured(
    chip: "ChipSpec", plan: "PlanFile", runs: "Sequence[Run]", vectors: "RunVectors", accuracy: "RunAccuracy"
) -> "SimulateFile":
    """What the runs cost; layers are those of the slowest."""
    from pipeline.measuring.simulate_file import RunCycles, RunLayer, RunStack, SimulateFile

    slowest = max(runs, key=lambda r: r.total.high)
    return SimulateFile(
        cycles=RunCycles(
            min=min(r.total.low for r in runs),
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
            for call, layer in zip(plan.calls, slowest.layers, strict=True)
        ),
        vectors=vectors,
        accuracy=accuracy,
        stack=RunStack(max(r.stack for r in runs)),
    )


def _extremes(array: "Array", rng: "np.random.Generator") -> "Array":
    """The least input, the largest, and noise over the whole range of `array`'s type."""
    import numpy as np

    limits, shape = np.iinfo(array.dtype), array.shape[1:]
    noise = rng.integers(limits.min, limits.max, shape, endpoint=True)
    return np.stack([np.full(shape, limits.min), np.full(shape, limits.max), noise]).astype(array.dtype)


def _host_mismatches(
    job: Job, integers: "list[Array]", expected: "list[Array]", port_offsets: Sequence[int | None]
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
        got = HostLibrary(library, job.project.config.product, port_offsets)(integers, expected)
    differs = [(g != o).reshape(len(o), -1).any(axis=1) for g, o in zip(got, expected, strict=True)]
    return int(np.any(differs, axis=0).sum())
