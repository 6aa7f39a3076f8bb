"""From an integer graph to C on this machine and to machine code in the emulator: bit for bit the specification."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from building import Built, fastest_plan, on_chip, on_host, write_library

from networks.outcome import Outcome, Wrong
from pipeline.facts.errors import ChipfitError
from pipeline.graph.ir import Graph
from pipeline.graph.tensor import Array
from pipeline.planning.plan import Program
from pipeline.planning.variants.armv6m import ONE_CALL
from pipeline.quantizing.integer_graph import Quantized

_SANITIZED = ("-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all")


def built(outcome: Outcome, seed: int) -> Built:
    """The integer graph with the samples of its case, random integers of the whole range, and extremes."""
    graph = outcome.graph
    assert graph is not None
    rng = np.random.default_rng(seed)
    inputs = [np.concatenate([a[:2], *extremes(a, rng)]) for a in outcome.inputs]
    with np.errstate(all="ignore"):
        expected = [np.ascontiguousarray(o) for o in graph.run(inputs)]
    return Built(graph, Quantized(graph, {}, {}, ()), inputs, expected)


def extremes(like: Array, rng: np.random.Generator) -> list[Array]:
    """Four samples of `like`'s shape and type: two random ones, and of the least and largest values."""
    info, shape = np.iinfo(like.dtype), (1, *like.shape[1:])
    whole = [rng.integers(info.min, int(info.max) + 1, shape) for _ in range(2)]
    ends = [rng.choice([info.min, info.max], shape), np.full(shape, rng.choice([info.min, info.max]))]
    return [a.astype(like.dtype) for a in (*whole, *ends)]


def host(outcome: Outcome, seed: int) -> None:
    """Raise Wrong unless the C library, compiled for this machine, makes the same integers."""
    net = built(outcome, seed)
    compiler = "gcc" if shutil.which("gcc") else "ziglang"
    flags = _SANITIZED if seed % 2 and compiler == "gcc" else ("-O2",)
    core = ("cortex-m4", "cortex-m0")[seed // 2 % 2]
    with tempfile.TemporaryDirectory() as folder:
        library = write_library(net, Path(folder), core, None if core == "cortex-m0" else net.program)
        compare(on_host(net, library, compiler, flags), net.expected, f"C by {compiler} {flags[0]}")


def chip(outcome: Outcome, seed: int) -> None:
    """Raise Wrong unless every variant and every plan makes the same integers on emulated cores."""
    net = built(outcome, seed)
    for name, core, program in programs(net):
        with tempfile.TemporaryDirectory() as folder:
            library = write_library(net, Path(folder), core, program)
            runs = on_chip(net, library, core, count=len(net.inputs[0]))
        outputs = [
            np.stack([np.frombuffer(r.outputs[i], e.dtype).reshape(e.shape[1:]) for r in runs])
            for i, e in enumerate(net.expected)
        ]
        compare(outputs, net.expected, f"{name} on {core}")


def programs(net: Built) -> Iterator[tuple[str, str, Program]]:
    """C alone and the fastest plan on three cores, and each assembly variant wherever it can be."""
    yield "C", "cortex-m4", net.program
    for core in ("cortex-m0", "cortex-m0plus"):
        yield "plan", core, fastest_plan(net, core)
    for variant in ONE_CALL:
        calls = tuple(replace(c, routine=variant.offer(c)) for c in net.program.calls)
        if any(c.routine for c in calls):
            yield variant.NAME, "cortex-m0", replace(net.program, calls=calls)


def compare(got: Sequence[Array], expected: Sequence[Array], where: str) -> None:
    for index, (mine, wanted) in enumerate(zip(got, expected, strict=True)):
        if mine.tobytes() != np.ascontiguousarray(wanted).tobytes():
            different = np.argwhere(mine.reshape(wanted.shape) != wanted)
            at = tuple(int(i) for i in different[0])
            detail = f"{mine.reshape(wanted.shape)[at]}, specified {wanted[at]} at {list(at)}, {len(different)} differ"
            raise Wrong(where, f"output {index}", detail)


def large(graph: Graph) -> bool:
    """Whether a network is too large for the emulated chip's memory."""
    return sum(t.bytes for t in graph.tensors.values() if t.data is None) > 48 << 10


def refusal(error: ChipfitError) -> bool:
    """Whether a plan or build may be refused: a network without a layer has no library."""
    return "no layer" in str(error) or "no call" in str(error)
