"""Algebra on constants: affines into the layers before them, clamps into their producers, zero pads into windows."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pipeline.builder import GraphBuilder
from pipeline.ir import ClampedNode, Graph, Node
from pipeline.ops.affine import Affine
from pipeline.ops.clamp import Clamp
from pipeline.ops.conv import Conv
from pipeline.ops.dense import Dense
from pipeline.ops.pad import Pad

Rewrite = Callable[[GraphBuilder, Node, Node], Node | None]


def fold_affines(graph: Graph) -> Graph:
    """BatchNormalization and per-channel constants into the weights and bias of the layer before them."""
    return _merge(graph, _affine_into_linear)


def fuse_clamps(graph: Graph) -> Graph:
    """Relu, Clip and HardTanh into the producer's own clamp."""
    return _merge(graph, _clamp_into_producer)


def fold_pads(graph: Graph) -> Graph:
    """A spatial Pad with zeros into the padding of the convolution after it."""
    return _merge(graph, _pad_into_conv)


def _merge(graph: Graph, rewrite: Rewrite) -> Graph:
    """Replace (producer, node) by one node wherever `rewrite` can and nobody else reads between them."""
    out = GraphBuilder(graph.name)
    out.tensors.update({n: t for n, t in graph.tensors.items() if t.data is not None})
    for port in graph.inputs:
        out.add(graph.tensors[port.tensor])
    readers = graph.consumers()
    visible = {p.tensor for p in graph.outputs}
    made: dict[str, int] = {}
    for node in graph.nodes:
        at = made.get(node.inputs[0])
        merged = None
        if at is not None and len(readers[node.inputs[0]]) == 1 and node.inputs[0] not in visible:
            merged = rewrite(out, out.nodes[at], node)
        if merged is not None and at is not None:
            # The merged node stands where the later one stood: all that it reads is made by then.
            del out.nodes[at]
            made = {n: i - (i > at) for n, i in made.items()}
            node = merged
        out.append(node, dtype=graph.tensors[node.output].dtype)
        for name in node.outputs:
            made[name] = len(out.nodes) - 1
    return out.build(graph.inputs, graph.outputs, graph.opset)


def _affine_into_linear(out: GraphBuilder, producer: Node, node: Node) -> Node | None:
    if not isinstance(node, Affine) or not isinstance(producer, Conv | Dense):
        return None
    if not np.isinf([producer.low, producer.high]).all():
        return None
    scale, offset = (out.tensors[n].data for n in node.inputs[1:3])
    kernel, bias = (out.tensors[n].data for n in producer.inputs[1:3])
    assert scale is not None and offset is not None and kernel is not None and bias is not None
    channels = kernel.shape[0]
    last = len(out.tensors[producer.output].shape) - 1
    if scale.size != 1 and (node.axis != last or scale.size != channels):
        return None
    wide = np.broadcast_to(scale.astype(np.float64), channels)
    folded = kernel * wide.reshape(-1, *(1,) * (kernel.ndim - 1))
    moved = bias * wide + offset
    names = (
        out.constant(f"{producer.inputs[1]}.folded", folded.astype(np.float32)),
        out.constant(f"{producer.inputs[2]}.folded", moved.astype(np.float32)),
    )
    return replace(producer, inputs=(producer.inputs[0], *names), outputs=node.outputs, low=node.low, high=node.high)


def _clamp_into_producer(out: GraphBuilder, producer: Node, node: Node) -> Node | None:
    if not isinstance(node, Clamp) or not isinstance(producer, ClampedNode):
        return None
    return replace(producer.fused_clamp(node.low, node.high), outputs=node.outputs)


def _pad_into_conv(out: GraphBuilder, producer: Node, node: Node) -> Node | None:
    if not isinstance(node, Conv) or not isinstance(producer, Pad) or producer.value != 0.0:
        return None
    begin, end = producer.begin, producer.end
    if len(begin) != 4 or begin[0] or end[0] or begin[3] or end[3]:
        return None
    added = (begin[1], begin[2], end[1], end[2])
    pads = [p + a for p, a in zip(node.window.pads, added, strict=True)]
    window = replace(node.window, pads=(pads[0], pads[1], pads[2], pads[3]))
    return replace(node, inputs=(producer.inputs[0], *node.inputs[1:]), window=window)
