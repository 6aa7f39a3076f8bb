"""Tensors that are parts of others' memory: reshapes, the parts of a Concat, contiguous slices."""

from collections.abc import Mapping
from math import prod

from pipeline.graph.ir import Graph
from pipeline.ops.concat import Concat
from pipeline.ops.reshape import Reshape
from pipeline.ops.shared.copying import strides_of
from pipeline.ops.slice import Slice

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
        if isinstance(node, Reshape):
            views[node.output] = (node.inputs[0], 0)
    held = {root(views, p)[0] for p in ports}
    outputs = {root(views, p.tensor)[0] for p in graph.outputs}
    for node in graph.nodes:
        if isinstance(node, Concat):
            _parts(graph, node, views, held)
        elif isinstance(node, Slice):
            _run(graph, node, views, held, outputs)
    return views


def _parts(graph: Graph, node: Concat, views: Views, callers: set[str]) -> None:
    shape = graph.tensors[node.output].shape
    if prod(shape[: node.axis]) != 1:
        return
    at, kept = 0, callers
    if root(views, node.output)[0] in callers:  # an input in the arena does not move into an output outside it
        kept = callers | {root(views, p.tensor)[0] for p in graph.inputs}
    for name in node.inputs:
        size = graph.tensors[name].bytes
        held, offset = root(views, name)
        whole = offset == 0 and graph.tensors[held].bytes == size
        if whole and not graph.is_constant(held) and held not in kept and node.inputs.count(name) == 1:
            views[held] = (node.output, at)
        at += size


def _run(graph: Graph, node: Slice, views: Views, callers: set[str], outputs: set[str]) -> None:
    source = graph.tensors[node.inputs[0]]
    held = root(views, source.name)[0]
    if (
        node.output in callers
        or root(views, node.output)[0] != node.output
        or (held in callers and node.output in outputs)
        or source.data is not None
    ):
        return
    cut = [i for i, (d, n) in enumerate(zip(source.shape, node.shape, strict=True)) if d != n]
    if any(s != 1 for s, n in zip(node.steps, node.shape, strict=True) if n > 1):
        return
    if cut and prod(node.shape[: cut[-1]]) != 1:
        return
    steps = strides_of(source.shape)
    width = source.bytes // max(source.size, 1)
    views[node.output] = (source.name, sum(s * b for s, b in zip(steps, node.starts, strict=True)) * width)
