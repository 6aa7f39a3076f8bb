"""Tensors that are parts of others' memory: reshapes, the parts of a Concat, contiguous slices."""

from collections.abc import Mapping, Sequence

from pipeline.graph.ir import Graph, Node

Views = dict[str, tuple[str, int]]
"""Tensor -> the tensor whose memory it is in, and how many bytes from its beginning."""


def root(views: Mapping[str, tuple[str, int]], name: str) -> tuple[str, int]:
    """The buffer behind a tensor, and where in it the tensor begins."""
    offset = 0
    while name in views:
        name, more = views[name]
        offset += more
    return name, offset


def views_of(graph: Graph, callers: set[str] | None = None) -> Views:
    """Every tensor that needs no memory and no copy of its own.

    A part of a Concat is written where it belongs when it is one run of memory there, a node makes it, and it is no
    part of another; a Slice that is one run of its source is read there. Both may happen inside an input or output;
    but what is itself an input or output in the caller's memory (`callers`, all unless given) is no part of anything,
    and an output in the arena is no part of an input outside it.
    """
    views: Views = {}
    ports = {p.tensor for p in (*graph.inputs, *graph.outputs)} if callers is None else callers
    for node in graph.nodes:
        if node.is_view:
            views[node.output] = (node.inputs[0], 0)
    held = {root(views, p)[0] for p in ports}
    outputs = {root(views, p.tensor)[0] for p in graph.outputs}
    for node in graph.nodes:
        if (offsets := node.offsets_in_output(graph)) is not None:
            _parts(graph, node, offsets, views, held)
        elif not node.is_view and (offset := node.offset_in_input(graph)) is not None:
            _run(graph, node, offset, views, held, outputs)
    return views


def _parts(graph: Graph, node: Node, offsets: Sequence[int], views: Views, callers: set[str]) -> None:
    kept = callers
    if root(views, node.output)[0] in callers:  # an input in the arena does not move into an output outside it
        kept = callers | {root(views, p.tensor)[0] for p in graph.inputs}
    for name, at in zip(node.inputs, offsets, strict=True):
        held, offset = root(views, name)
        whole = offset == 0 and graph.tensors[held].bytes == graph.tensors[name].bytes
        if whole and not graph.is_constant(held) and held not in kept and node.inputs.count(name) == 1:
            views[held] = (node.output, at)


def _run(graph: Graph, node: Node, offset: int, views: Views, callers: set[str], outputs: set[str]) -> None:
    source = graph.tensors[node.inputs[0]]
    held = root(views, source.name)[0]
    mine = node.output not in callers and root(views, node.output)[0] == node.output
    if mine and not (held in callers and node.output in outputs) and source.data is None:
        views[node.output] = (source.name, offset)
