"""From an integer graph to a program: kernel calls in order, and a place for every buffer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.arena import Buffer, Placement, place
from pipeline.calls import KernelCall
from pipeline.ir import Graph
from pipeline.ops.concat import Concat
from pipeline.ops.copying import copy_call
from pipeline.ops.reshape import Reshape
from pipeline.ops.slice import Slice
from pipeline.order import least_memory
from pipeline.views import Views, root, views_of


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
    """Order the branches, resolve views to the buffers behind them, share memory in place, and place the rest."""
    graph = least_memory(graph)
    views = views_of(graph)
    calls = _calls(graph, views)
    homes: dict[str, tuple[str, int]] = {p.tensor: ("input", i) for i, p in enumerate(graph.inputs)}
    for index, port in enumerate(graph.outputs):
        held, _ = root(views, port.tensor)
        if held in homes:
            # The output is a view of an input, or of another output: it needs bytes of its own.
            calls.append(_whole_copy(graph, port.tensor, held))
            homes[f"{port.tensor}#copy"] = ("output", index)
            continue
        homes[held] = ("output", index)
    _share_in_place(graph, calls, views, homes)
    placement = place(_buffers(graph, calls, views, homes))
    homes |= {n: ("arena", offset) for n, offset in placement.offsets.items()}
    for name, tensor in graph.tensors.items():
        held, offset = root(views, name)
        if tensor.data is None and held in homes:
            kind, where = homes[held]
            assert kind == "arena" or offset == 0, f"{name} begins inside a port"
            homes[name] = kind, where + offset
    return Program(product, graph, tuple(calls), homes, placement)


def _calls(graph: Graph, views: Views) -> list[KernelCall]:
    """Every node's kernel calls, without the copies that views make needless."""
    calls: list[KernelCall] = []
    for node in graph.nodes:
        if isinstance(node, Reshape) or (isinstance(node, Slice) and node.output in views):
            continue
        made = node.calls(graph)
        if isinstance(node, Concat):
            made = [c for c in made if root(views, c.inputs[0])[0] != root(views, node.output)[0]]
        calls += made
    return calls


def _whole_copy(graph: Graph, target: str, source: str) -> KernelCall:
    shape = (graph.tensors[target].size,)
    call = copy_call(f"copy of {source}", graph, source, target, shape, (1,), (1,))
    return replace(call, outputs=(f"{target}#copy",))


def _last_reads(calls: list[KernelCall], views: Views) -> dict[str, int]:
    return {root(views, n)[0]: i for i, call in enumerate(calls) for n in (*call.inputs, *call.outputs)}


def _share_in_place(graph: Graph, calls: list[KernelCall], views: Views, homes: Mapping[str, tuple[str, int]]) -> None:
    """Let an element-wise call write over its first input when nobody reads that again."""
    last = _last_reads(calls, views)
    inside = {target for target, _ in views.values()}
    for index, call in enumerate(calls):
        if not call.in_place:
            continue
        (source, at), (target, to) = root(views, call.inputs[0]), root(views, call.outputs[0])
        free = source not in homes and target not in homes and not graph.is_constant(source)
        # Only whole buffers: what lies beside a part of a Concat or around a slice is still needed.
        whole = at == to == 0 and target not in {root(views, v)[0] for v in inside if _parted(graph, views, v)}
        same = graph.tensors[source].bytes == graph.tensors[target].bytes
        others = {root(views, n)[0] for n in call.inputs[1:]}
        if free and whole and same and source != target and last[source] == index and source not in others:
            views[target] = (source, 0)
            last[source] = last.pop(target)


def _parted(graph: Graph, views: Views, name: str) -> bool:
    """Whether some view is a proper part of the tensor."""
    return any(t == name and graph.tensors[v].bytes != graph.tensors[name].bytes for v, (t, _) in views.items())


def _buffers(graph: Graph, calls: list[KernelCall], views: Views, homes: Mapping[str, tuple[str, int]]) -> list[Buffer]:
    first: dict[str, int] = {}
    for index, call in enumerate(calls):
        for name in call.outputs:
            first.setdefault(root(views, name)[0], index)
    last = _last_reads(calls, views)
    return [Buffer(n, graph.tensors[n].bytes, i, last[n]) for n, i in first.items() if n not in homes]
