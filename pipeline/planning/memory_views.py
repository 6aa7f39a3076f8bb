"""Tensors that are parts of others' memory: reshapes, the parts of a Concat, contiguous slices."""

from collections.abc import Mapping, Sequence

from pipeline.graph.ir import Graph, Node

MemoryViews = dict[str, tuple[str, int]]
"""Tensor -> the tensor whose memory it is in, and how many bytes from its beginning."""


def root(views: Mapping[str, tuple[str, int]], name: str) -> tuple[str, int]:
    """The buffer behind a tensor, and where in it the tensor begins."""
    offset = 0
    while name in views:
        name, more = views[name]
        offset += more
    return name, offset


def memory_views_of(graph: Graph, caller_buffers: set[str] | None = None) -> MemoryViews:
    """The memory views of a graph: every tensor that needs no memory and no copy of its own.

    A part of a Concat is written where it belongs when it is one run of memory there, a node makes it, and it is no
    part of another; a Slice that is one run of its source is read there. Both may happen inside an input or output;
    but what is itself an input or output in the caller's memory (`caller_buffers`, all unless given) is no part of
    anything, and an output in the arena is no part of an input outside it.
    """
    views: MemoryViews = {}
    caller_ports = {p.tensor for p in (*graph.inputs, *graph.outputs)} if caller_buffers is None else caller_buffers
    for node in graph.nodes:
        if node.is_view:
            views[node.output] = (node.inputs[0], 0)
    port_buffers = {root(views, p)[0] for p in caller_ports}
    outputs = {root(views, p.tensor)[0] for p in graph.outputs}
    for node in graph.nodes:
        if (offsets := node.offsets_in_output(graph)) is not None:
            _view_concat_parts(graph, node, offsets, views, port_buffers)
        elif not node.is_view and (offset := node.offset_in_input(graph)) is not None:
            _view_slice(graph, node, offset, views, port_buffers, outputs)
    return views


def _view_concat_parts(
    graph: Graph, node: Node, offsets: Sequence[int], views: MemoryViews, caller_buffers: set[str]
) -> None:
    immovable = caller_buffers
    if root(views, node.output)[0] in caller_buffers:  # an input in the arena does not move into an output outside it
        immovable = caller_buffers | {root(views, p.tensor)[0] for p in graph.inputs}
    for name, part_offset in zip(node.inputs, offsets, strict=True):
        buffer, offset = root(views, name)
        whole = offset == 0 and graph.tensors[buffer].bytes == graph.tensors[name].bytes
        if whole and not graph.is_constant(buffer) and buffer not in immovable and node.inputs.count(name) == 1:
            views[buffer] = (node.output, part_offset)


def _view_slice(
    graph: Graph, node: Node, offset: int, views: MemoryViews, caller_buffers: set[str], output_buffers: set[str]
) -> None:
    source = graph.tensors[node.inputs[0]]
    buffer = root(views, source.name)[0]
    has_own_buffer = node.output not in caller_buffers and root(views, node.output)[0] == node.output
    if has_own_buffer and not (buffer in caller_buffers and node.output in output_buffers) and source.data is None:
        views[node.output] = (source.name, offset)
