"""Channels of an integer graph that cannot matter, taken out: constant ones move into biases, unread ones go.

Pruned networks are full of them: a row of zero weights makes a constant channel, a column of zeros reads nothing. The
graph without them has the same outputs, bit for bit, in fewer layers' work, weights and bytes of RAM.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pipeline.graph.builder import GraphBuilder
from pipeline.graph.ir import Graph, Node
from pipeline.graph.tensor import Array
from pipeline.ops.average_pool import AveragePool, AveragePoolExact
from pipeline.ops.conv import Conv
from pipeline.ops.dense import Dense
from pipeline.ops.lookup import Lookup
from pipeline.ops.max_pool import MaxPool
from pipeline.ops.reshape import Reshape
from pipeline.ops.shared.linear import Linear

Range = tuple[Array, Array]
"""The least and the largest integer that each channel (last axis) can hold at any position."""


def without_dead_channels(graph: Graph) -> Graph:
    """The integer graph with only the channels that its outputs depend on; `graph` itself where all do.

    Inputs and outputs of the network stay as they are, and every tensor keeps a channel at least.
    """
    ranges = channel_ranges(graph)
    alive = _alive(graph, ranges)
    if all(a.all() for a in alive.values()):
        return graph
    return _rewritten(graph, ranges, alive)


def channels_left_out(graph: Graph, small: Graph) -> dict[str, int]:
    """How many channels of layers with weights, and of their multiply-accumulates, `small` does without."""
    counts = []
    for g in (graph, small):
        linear = [n for n in g.nodes if isinstance(n, Linear)]
        counts.append((sum(g.tensors[n.output].shape[-1] for n in linear), sum(n.macs(g) for n in linear)))
    (channels, macs), (kept, needed) = counts
    return {"channels": channels - kept, "macs": macs - needed}


def channel_ranges(graph: Graph) -> Mapping[str, Range]:
    """For every activation with a last axis: interval arithmetic on integers, sharp enough to tell constants."""
    ranges = {n: _widest(graph, n) for n, t in graph.tensors.items() if t.data is None and t.shape}
    for node in graph.nodes:
        if node.inputs[0] not in ranges or node.output not in ranges:
            continue
        if isinstance(node, Linear) and (mixes(node) or _depthwise(node, graph)):
            ranges[node.output] = _linear_range(node, graph, ranges[node.inputs[0]])
        elif isinstance(node, AveragePoolExact) and not any((*node.window.pads, *node.counted)):
            # An average lies between the least and the largest, and so does its rounding.
            low, high = (np.clip(r, node.bottom, node.top) for r in ranges[node.inputs[0]])
            ranges[node.output] = low, high
        elif (isinstance(node, MaxPool) and not any(node.window.pads)) or _keeps_channels(node, graph):
            ranges[node.output] = ranges[node.inputs[0]]
    return ranges


def _widest(graph: Graph, name: str) -> Range:
    tensor = graph.tensors[name]
    info = np.iinfo(tensor.dtype)
    return np.full(tensor.shape[-1], info.min, np.int64), np.full(tensor.shape[-1], info.max, np.int64)


def mixes(node: Node) -> bool:
    """Whether every output channel reads every input channel, each through weights of its own."""
    return isinstance(node, Dense) or (isinstance(node, Conv) and node.groups == 1)


def _depthwise(node: Node, graph: Graph) -> bool:
    return isinstance(node, Conv) and node.depthwise(graph)


def _keeps_channels(node: Node, graph: Graph) -> bool:
    """Whether it is a view in which the last axis is what it was."""
    if not isinstance(node, Reshape):
        return False
    before, after = graph.tensors[node.inputs[0]].shape, graph.tensors[node.output].shape
    return bool(before) and bool(after) and before[-1] == after[-1]


def _channelwise(node: Node, graph: Graph) -> bool:
    """Whether output channel c is made of input channel c alone, and so can only go together with it."""
    single = isinstance(node, MaxPool | AveragePool | Lookup)
    return single or _depthwise(node, graph) or _keeps_channels(node, graph)


def _taps(node: Linear, graph: Graph) -> Array:
    """Weights as (out, taps, in) of a layer that mixes, as (channels, taps, 1) of a depthwise one; int64."""
    kernel = graph.constant(node.weights).astype(np.int64)
    return kernel.reshape(len(kernel), -1, kernel.shape[-1])


def _zero_point(node: Node, graph: Graph) -> int:
    quant = graph.tensors[node.inputs[0]].quant
    assert quant is not None
    return quant.zero_point


def _linear_range(node: Linear, graph: Graph, given: Range) -> Range:
    low, high = (r - _zero_point(node, graph) for r in given)
    if isinstance(node, Conv) and any(node.window.pads):
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    if _depthwise(node, graph):
        low, high = low[:, None, None], high[:, None, None]
    taps, bias = _taps(node, graph), graph.constant(node.bias).astype(np.int64)
    least, most = np.minimum(taps * low, taps * high), np.maximum(taps * low, taps * high)
    # Every requantizer is monotone.
    ends = (node.rescaled(bias + side.sum(axis=(1, 2)), graph) for side in (least, most))
    return next(ends), next(ends)


def _folds(node: Linear, graph: Graph, given: Range) -> Array:
    """Which input channels are a constant that adds the same to every output: booleans (in,)."""
    constant: Array = given[0] == given[1]
    if isinstance(node, Conv) and any(node.window.pads):
        constant = constant & (given[0] == _zero_point(node, graph))
    return constant


def _alive(graph: Graph, ranges: Mapping[str, Range]) -> dict[str, Array]:
    """Which channels of each activation are needed: booleans (channels,), one array for all tensors that share them."""
    shared = {n: np.zeros(len(low), bool) for n, (low, _) in ranges.items()}
    for node in graph.nodes:
        if _channelwise(node, graph):
            shared[node.output] = shared[node.inputs[0]]
    for port in (*graph.inputs, *graph.outputs):
        if port.tensor in shared:
            shared[port.tensor][:] = True
    for node in reversed(graph.nodes):
        _ask(node, graph, ranges, shared)
    return shared


def _ask(node: Node, graph: Graph, ranges: Mapping[str, Range], alive: Mapping[str, Array]) -> None:
    """Mark what a node needs of its inputs; whoever reads its output was asked before."""
    if _channelwise(node, graph):
        return
    if isinstance(node, Linear) and mixes(node):
        source = node.inputs[0]
        alive[node.output][0] |= not alive[node.output].any()  # no tensor is without channels
        rows = _taps(node, graph)[alive[node.output]]
        alive[source][:] |= rows.any(axis=(0, 1)) & ~_folds(node, graph, ranges[source])
        return
    for name in (*graph.activations(node), *node.outputs):
        if name in alive:
            alive[name][:] = True


def _rewritten(graph: Graph, ranges: Mapping[str, Range], alive: Mapping[str, Array]) -> Graph:
    out = GraphBuilder.beside(graph)
    for node in graph.nodes:
        made = graph.tensors[node.output]
        out.append(_smaller(node, graph, ranges, alive, out), made.dtype, made.quant)
    small = out.build(graph.inputs, graph.outputs, graph.opset)
    small.verify(integer=True)
    return small


def _smaller(
    node: Node, graph: Graph, ranges: Mapping[str, Range], alive: Mapping[str, Array], out: GraphBuilder
) -> Node:
    source, target = alive.get(node.inputs[0]), alive.get(node.output)
    if source is None or target is None or (source.all() and target.all()):
        return node
    if isinstance(node, Reshape):
        return replace(node, shape=(*node.shape[:-1], int(target.sum())))
    if not isinstance(node, Linear):
        return node
    kernel = graph.constant(node.weights)
    new = {node.weights: kernel[target], node.bias: graph.constant(node.bias)[target]}
    if mixes(node):
        given = np.where(_folds(node, graph, ranges[node.inputs[0]]), ranges[node.inputs[0]][0], 0)
        lost = np.where(source, 0, given - _zero_point(node, graph)) @ _taps(node, graph).sum(axis=1).T
        new = {node.weights: kernel[target][..., source], node.bias: _shifted(new[node.bias], lost[target])}
    assert node.rescale is not None
    for name in filter(None, (node.rescale.shift, node.rescale.multiplier)):
        new[name] = graph.constant(name)[target]
    return _with_constants(node, graph, target, new, out)


def _shifted(bias: Array, more: Array) -> Array:
    """What the accumulator's proof allows of all inputs, it allows of these."""
    total = bias.astype(np.int64) + more
    assert (total == total.astype(bias.dtype)).all()
    return total.astype(bias.dtype)


def _with_constants(node: Linear, graph: Graph, target: Array, new: Mapping[str, Array], out: GraphBuilder) -> Linear:
    names = {}
    for name, data in new.items():
        quant = graph.tensors[name].quant
        if quant is not None and quant.axis == 0:
            quant = replace(quant, scale=tuple(s for s, kept in zip(quant.scale, target, strict=True) if kept))
        names[name] = out.constant(name, data, quant)
    rescale = node.rescale
    assert rescale is not None
    multiplier = None if rescale.multiplier is None else names[rescale.multiplier]
    rescale = replace(rescale, shift=names[rescale.shift], multiplier=multiplier)
    made = replace(node.renamed(names), rescale=rescale)
    return replace(made, groups=int(target.sum())) if isinstance(made, Conv) and made.groups > 1 else made
