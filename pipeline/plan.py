"""From an integer graph to a program: kernel calls in order, and a place for every buffer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.arena import Buffer, Placement, place
from pipeline.calls import KernelCall
from pipeline.ir import Graph
from pipeline.ops.copying import copy_call
from pipeline.ops.reshape import Reshape


@dataclass(frozen=True, eq=False)
class Program:
    """What code generation writes down.

    `homes` says where each activation lives: ("input", i), ("output", i) or ("arena", byte offset).
    """

    product: str
    graph: Graph
    calls: tuple[KernelCall, ...]
    homes: Mapping[str, tuple[str, int]]
    arena: Placement


def plan(product: str, graph: Graph) -> Program:
    """Resolve views to the buffers behind them, share memory in place, and place the rest in the arena."""
    calls, alias = _calls(graph)
    homes: dict[str, tuple[str, int]] = {p.tensor: ("input", i) for i, p in enumerate(graph.inputs)}
    for index, port in enumerate(graph.outputs):
        root = _root(alias, port.tensor)
        if root in homes:
            # The output is a view of an input, or of another output: it needs bytes of its own.
            copied = graph.tensors[port.tensor]
            source = root
            calls.append(_whole_copy(graph, port.tensor, source))
            homes[f"{copied.name}#copy"] = ("output", index)
            continue
        homes[root] = ("output", index)
    _share_in_place(graph, calls, alias, homes)
    placement = place(_buffers(graph, calls, alias, homes))
    homes |= {n: ("arena", offset) for n, offset in placement.offsets.items()}
    everywhere = {
        n: homes[_root(alias, n)] for n, t in graph.tensors.items() if t.data is None and _root(alias, n) in homes
    }
    return Program(product, graph, tuple(calls), homes | everywhere, placement)


def _calls(graph: Graph) -> tuple[list[KernelCall], dict[str, str]]:
    calls: list[KernelCall] = []
    alias: dict[str, str] = {}
    for node in graph.nodes:
        if isinstance(node, Reshape):
            alias[node.output] = node.inputs[0]
        else:
            calls += node.calls(graph)
    return calls, alias


def _root(alias: Mapping[str, str], name: str) -> str:
    while name in alias:
        name = alias[name]
    return name


def _whole_copy(graph: Graph, target: str, source: str) -> KernelCall:
    shape = (graph.tensors[target].size,)
    call = copy_call(f"copy of {source}", graph, source, target, shape, (1,), (1,))
    return replace(call, outputs=(f"{target}#copy",))


def _last_reads(calls: list[KernelCall], alias: Mapping[str, str]) -> dict[str, int]:
    return {_root(alias, n): i for i, call in enumerate(calls) for n in (*call.inputs, *call.outputs)}


def _share_in_place(
    graph: Graph, calls: list[KernelCall], alias: dict[str, str], homes: Mapping[str, tuple[str, int]]
) -> None:
    """Let an element-wise call write over its first input when nobody reads that again."""
    last = _last_reads(calls, alias)
    for index, call in enumerate(calls):
        if not call.in_place:
            continue
        source, target = _root(alias, call.inputs[0]), _root(alias, call.outputs[0])
        free = source not in homes and target not in homes and not graph.is_constant(source)
        same = graph.tensors[source].bytes == graph.tensors[target].bytes
        others = {_root(alias, n) for n in call.inputs[1:]}
        if free and same and last[source] == index and source not in others:
            alias[target] = source
            last[source] = last.pop(target)


def _buffers(
    graph: Graph, calls: list[KernelCall], alias: Mapping[str, str], homes: Mapping[str, tuple[str, int]]
) -> list[Buffer]:
    first: dict[str, int] = {}
    for index, call in enumerate(calls):
        for name in call.outputs:
            first.setdefault(_root(alias, name), index)
    last = _last_reads(calls, alias)
    return [Buffer(n, graph.tensors[n].bytes, i, last[n]) for n, i in first.items() if n not in homes]
