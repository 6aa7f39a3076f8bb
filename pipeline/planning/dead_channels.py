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
from pipeline.ops.shared.linear import Linear
from pipeline.planning.plan_file import ChannelsLeftOut

Range = tuple[Array, Array]
"""The least and the largest integer that each channel (last axis) can hold at any position."""


def without_dead_channels(graph: Graph) -> Graph:
    """The integer graph with only the channels that its outputs depend on; `graph` itself where all do.

    Inputs and outputs of the network stay as they are, and every tensor keeps a channel at least.
    """
    ranges = channel_ranges(graph)
    alive = _needed_channels(graph, ranges)
    if all(a.all() for a in alive.values()):
        return graph
    return _without_unneeded(graph, ranges, alive)


def channels_left_out(graph: Graph, small: Graph) -> ChannelsLeftOut:
    """Channels and multiply-accumulates of `graph` that `small` does without."""
    counts = []
    for g in (graph, small):
        linear = [n for n in g.nodes if isinstance(n, Linear)]
        counts.append((sum(g.tensors[n.output].shape[-1] for n in linear), sum(n.macs(g) for n in linear)))
    (channels, macs), (kept, needed) = counts
    return ChannelsLeftOut(channels - kept, macs - needed)


def channel_ranges(graph: Graph) -> Mapping[str, Range]:
    """For every activation with a last axis: interval arithmetic on integers, sharp enough to tell constants."""
    ranges = {n: _full_range(graph, n) for n, t in graph.tensors.items() if t.data is None and t.shape}
    for node in graph.nodes:
        if node.inputs[0] not in ranges or node.output not in ranges:
            continue
        known = node.channel_range(*ranges[node.inputs[0]], graph)
        if known is not None:
            ranges[node.output] = known
    return ranges


def _full_range(graph: Graph, name: str) -> Range:
    tensor = graph.tensors[name]
    info = np.iinfo(tensor.dtype)
    return np.full(tensor.shape[-1], info.min, np.int64), np.full(tensor.shape[-1], info.max, np.int64)


def _zero_point(node: Node, graph: Graph) -> int:
    quant = graph.tensors[node.inputs[0]].quant
    assert quant is not None
    return quant.zero_point


def _constant_inputs(node: Linear, graph: Graph, given: Range) -> Array:
    """Which input channels are a constant that adds the same to every output: booleans (in,)."""
    constant: Array = given[0] == given[1]
    if node.padded:
        constant = constant & (given[0] == _zero_point(node, graph))
    return constant


def _needed_channels(graph: Graph, ranges: Mapping[str, Range]) -> dict[str, Array]:
    """Which channels of each activation are needed: booleans (channels,), one array for all tensors that share them."""
    shared = {n: np.zeros(len(low), bool) for n, (low, _) in ranges.items()}
    for node in graph.nodes:
        if node.channel_effect(graph) == "separate":
            shared[node.output] = shared[node.inputs[0]]
    for port in (*graph.inputs, *graph.outputs):
        if port.tensor in shared:
            shared[port.tensor][:] = True
    for node in reversed(graph.nodes):
        _mark_needed_inputs(node, graph, ranges, shared)
    return shared


def _mark_needed_inputs(node: Node, graph: Graph, ranges: Mapping[str, Range], alive: Mapping[str, Array]) -> None:
    """Mark the channels of its inputs that a node needs; the readers of its output come first."""
    effect = node.channel_effect(graph)
    if effect == "separate":
        return
    if isinstance(node, Linear) and effect == "mixed":
        source = node.inputs[0]
        alive[node.output][0] |= not alive[node.output].any()  # no tensor is without channels
        rows = node.taps(graph)[alive[node.output]]
        alive[source][:] |= rows.any(axis=(0, 1)) & ~_constant_inputs(node, graph, ranges[source])
        return
    for name in (*graph.activations(node), *node.outputs):
        if name in alive:
            alive[name][:] = True


def _without_unneeded(graph: Graph, ranges: Mapping[str, Range], alive: Mapping[str, Array]) -> Graph:
    out = GraphBuilder.beside(graph)
    for node in graph.nodes:
        output = graph.tensors[node.output]
        out.append(_without_channels(node, graph, ranges, alive, out), output.dtype, output.quant)
    small = out.build(graph.inputs, graph.outputs, graph.opset)
    small.verify(integer=True)
    return small


def _without_channels(
    node: Node, graph: Graph, ranges: Mapping[str, Range], alive: Mapping[str, Array], out: GraphBuilder
) -> Node:
    source, target = alive.get(node.inputs[0]), alive.get(node.output)
    if source is None or target is None or (source.all() and target.all()):
        return node
    if not isinstance(node, Linear):
        return node.with_channels(int(target.sum()))
    kernel = graph.constant(node.weights)
    new = {node.weights: kernel[target], node.bias: graph.constant(node.bias)[target]}
    if node.channel_effect(graph) == "mixed":
        given = np.where(_constant_inputs(node, graph, ranges[node.inputs[0]]), ranges[node.inputs[0]][0], 0)
        lost = np.where(source, 0, given - _zero_point(node, graph)) @ node.taps(graph).sum(axis=1).T
        new = {node.weights: kernel[target][..., source], node.bias: _with_added(new[node.bias], lost[target])}
    assert node.rescale is not None
    for name in filter(None, (node.rescale.shift, node.rescale.multiplier)):
        new[name] = graph.constant(name)[target]
    return _with_constants(node, graph, target, new, out)


def _with_added(bias: Array, more: Array) -> Array:
    """`bias` + `more`: within the range that the accumulator's proof allows of all inputs."""
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
    return replace(node.renamed(names), rescale=rescale).with_channels(int(target.sum()))
