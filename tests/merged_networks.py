"""Several networks in one library: one compilation, one image and one run for all of them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np
from building import Built

from pipeline.graph.ir import Graph
from pipeline.graph.kernel_call import KernelCall
from pipeline.planning.arena import Allocation
from pipeline.planning.plan import Program
from pipeline.quantizing.integer_graph import Quantized

T = TypeVar("T")


def batches(values: Iterable[T], size: int) -> list[tuple[T, ...]]:
    """All values in their order, `size` of them at a time."""
    left = list(values)
    return [tuple(left[i : i + size]) for i in range(0, len(left), size)]


def merged(parts: Mapping[str, tuple[Built, Program]]) -> Built:
    """One network of all `parts`, each with the calls and the plan that it has alone; they run one after another.

    Vectors of a part that has fewer than another begin again. Inputs and outputs are the caller's.
    """
    graphs, calls, locations, inputs, outputs = [], [], {}, 0, 0
    for name, (built, program) in parts.items():
        names = {n: f"{name}: {n}" for n in built.quantized.graph.tensors}
        graphs.append(_renamed(built.quantized.graph, names))
        calls += [_call(c, names) for c in program.calls]
        starts = {"input": inputs, "output": outputs, "arena": 0}
        moved = {n: replace(at, port=at.port + starts[at.memory]) for n, at in program.locations.items()}
        locations |= {_name(n, names): at for n, at in moved.items()}
        inputs, outputs = inputs + len(built.inputs), outputs + len(built.expected)
    graph = Graph(
        "net",
        {n: t for g in graphs for n, t in g.tensors.items()},
        tuple(n for g in graphs for n in g.nodes),
        tuple(p for g in graphs for p in g.inputs),
        tuple(p for g in graphs for p in g.outputs),
    )
    size = max(p.arena.size for _, p in parts.values())
    offsets = {n: at.offset for n, at in locations.items() if at.memory == "arena"}
    arena = Allocation((), offsets, size, size, True)
    given = [a for b, _ in parts.values() for a in b.inputs]
    count = max(len(a) for a in given)
    at = [np.arange(count) % len(a) for a in given]
    expected = [a[np.arange(count) % len(a)] for b, _ in parts.values() for a in b.expected]
    program = Program("net", graph, tuple(calls), locations, arena)
    return Built(
        graph,
        Quantized(graph, {}, {}, ()),
        [a[i] for a, i in zip(given, at, strict=True)],
        expected,
        planned=program,
    )


def _renamed(graph: Graph, names: Mapping[str, str]) -> Graph:
    ports = [
        tuple(replace(p, tensor=names[p.tensor], onnx_name=names[p.tensor]) for p in side)
        for side in (graph.inputs, graph.outputs)
    ]
    tensors = {names[n]: replace(t, name=names[n]) for n, t in graph.tensors.items()}
    return Graph(graph.name, tensors, tuple(n.renamed(names) for n in graph.nodes), *ports)


def _name(name: str, names: Mapping[str, str]) -> str:
    """A copy's name follows that of what it copies."""
    plain, mark, rest = name.partition("#copy")
    return names[plain] + mark + rest


def _call(call: KernelCall, names: Mapping[str, str]) -> KernelCall:
    return replace(
        call,
        inputs=tuple(_name(n, names) for n in call.inputs),
        outputs=tuple(_name(n, names) for n in call.outputs),
        parts=tuple(_call(c, names) for c in call.parts),
    )
