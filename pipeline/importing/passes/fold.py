"""Algebra on constants: affines into the layers before them, clamps into their producers, zero pads into windows."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pipeline.graph.builder import GraphBuilder
from pipeline.graph.ir import ClampedNode, Graph, Node
from pipeline.graph.tensor import Array, QuantParams
from pipeline.ops.affine import Affine
from pipeline.ops.clamp import Clamp
from pipeline.ops.conv import Conv
from pipeline.ops.pad import Pad
from pipeline.ops.requantize import Requantize
from pipeline.ops.shared.linear import Linear

Rewrite = Callable[[GraphBuilder, Node, Node], Node | None]


def fold_affines(graph: Graph) -> Graph:
    """Fold BatchNormalization and per-channel constants into the weights and bias of the layer before them."""
    return _merge(graph, _affine_into_linear)


def fuse_clamps(graph: Graph) -> Graph:
    """Fuse Relu, Clip and HardTanh into the clamp of their producer."""
    return _merge(graph, _clamp_into_producer)


def merge_affines(graph: Graph) -> Graph:
    """Merge two affines in a row into one."""
    return _merge(graph, _affine_into_affine)


def fold_pads(graph: Graph) -> Graph:
    """Fold a spatial Pad with zeros into the padding of the convolution after it."""
    return _merge(graph, _pad_into_conv)


def _merge(graph: Graph, rewrite: Rewrite) -> Graph:
    """Replace (producer, node) by one node wherever `rewrite` can and nobody else reads between them."""
    out = GraphBuilder.beside(graph)
    readers = graph.consumers()
    visible = {p.tensor for p in graph.outputs}
    producers: dict[str, int] = {}
    replaced: set[int] = set()
    for node in graph.nodes:
        slot = producers.get(node.inputs[0])
        merged = None
        only_reader = len(readers[node.inputs[0]]) == 1 and node.inputs[0] not in visible
        if slot is not None and only_reader and _has_no_scale_of_its_own(graph, out.nodes[slot], node.inputs[0]):
            merged = rewrite(out, out.nodes[slot], node)
        if merged is not None and slot is not None:
            # The merged node stands where the later one stood: all that it reads is made by then.
            replaced.add(slot)
            node = merged
        output = graph.tensors[node.output]
        out.append(node, output.dtype, output.quant)
        for name in node.outputs:
            producers[name] = len(out.nodes) - 1
    out.nodes = [n for i, n in enumerate(out.nodes) if i not in replaced]
    return out.build(graph.inputs, graph.outputs, graph.opset)


def _affine_into_linear(out: GraphBuilder, producer: Node, node: Node) -> Node | None:
    if not isinstance(node, Affine) or not isinstance(producer, Linear):
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
    per_channel = np.broadcast_to(scale.astype(np.float64), channels)
    # What overflows float32 here is refused once every pass is done.
    with np.errstate(over="ignore"):
        folded_kernel = (kernel * per_channel.reshape(-1, *(1,) * (kernel.ndim - 1))).astype(np.float32)
        folded_bias = (bias * per_channel + offset).astype(np.float32)
    names = (
        out.constant(
            f"{producer.inputs[1]}.folded", folded_kernel, _scaled_params(out, producer.inputs[1], per_channel)
        ),
        out.constant(f"{producer.inputs[2]}.folded", folded_bias),
    )
    return replace(producer, inputs=(producer.inputs[0], *names), outputs=node.outputs, low=node.low, high=node.high)


def _affine_into_affine(out: GraphBuilder, producer: Node, node: Node) -> Node | None:
    if not isinstance(node, Affine) or not isinstance(producer, Affine):
        return None
    if not np.isinf([producer.low, producer.high]).all():
        return None
    first, second = ([out.constant_data(n).astype(np.float64) for n in a.inputs[1:3]] for a in (producer, node))
    if producer.axis != node.axis and first[0].size > 1 < second[0].size:
        return None
    with np.errstate(over="ignore"):
        products = [(first[0] * second[0]).astype(np.float32), (first[1] * second[0] + second[1]).astype(np.float32)]
    if not all(np.isfinite(v).all() for v in products):
        return None
    names = (out.constant(f"{n}.merged", v) for n, v in zip(node.inputs[1:3], products, strict=True))
    axis = producer.axis if first[0].size > 1 else node.axis
    return replace(node, inputs=(producer.inputs[0], *names), axis=axis)


def _has_no_scale_of_its_own(graph: Graph, producer: Node, name: str) -> bool:
    """Whether a producer's output has no scale of its own: none, or a Pad with zeros that of its input."""
    quant = graph.tensors[name].quant
    padded = isinstance(producer, Pad) and not producer.value
    return quant is None or (padded and graph.tensors[producer.inputs[0]].quant == quant)


def _scaled_params(out: GraphBuilder, weights: str, factors: Array) -> QuantParams | None:
    """Prescribed parameters of weights whose rows were multiplied by `factors`; none where a factor is not positive."""
    quant = out.tensors[weights].quant
    if quant is None or not (factors > 0).all():
        return None
    scales = np.broadcast_to(np.asarray(quant.scale), factors.shape) * factors
    return replace(quant, scale=tuple(float(s) for s in scales), axis=0)


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


def assign_scales(graph: Graph) -> Graph:
    """Give prescribed scales to the tensors that they are for, when those have no other reader and no scale yet.

    The Requantize nodes that remain really go from one scale to another.
    """
    out = GraphBuilder.beside(graph)
    readers, visible = graph.consumers(), {p.tensor for p in graph.outputs}
    producers = {name: node for node in graph.nodes for name in node.outputs}
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        source, target = node.inputs[0], graph.tensors[node.output]
        if not isinstance(node, Requantize) or len(readers[source]) != 1 or source in visible:
            continue
        if graph.tensors[source].quant is None and _may_have_params(graph, producers.get(source), source, target.quant):
            renamed[source] = node.output
    for port in graph.inputs:
        name = renamed.get(port.tensor, port.tensor)
        out.add(replace(graph.tensors[port.tensor], name=name, quant=graph.tensors[name].quant))
    for node in graph.nodes:
        if isinstance(node, Requantize) and renamed.get(node.inputs[0]) == node.output:
            continue
        remaining = node.renamed(renamed)
        tensor = graph.tensors[remaining.output]
        out.append(remaining, tensor.dtype, tensor.quant)
    inputs = [replace(p, tensor=renamed.get(p.tensor, p.tensor)) for p in graph.inputs]
    return out.build(inputs, graph.outputs, graph.opset)


def _may_have_params(graph: Graph, producer: Node | None, name: str, quant: QuantParams | None) -> bool:
    """Whether the node that makes `name` can make it with these parameters: a tie to another scale forbids it."""
    ties = producer.ties() if producer is not None else ()
    others = [graph.tensors[a if b == name else b].quant for a, b in ties if name in (a, b)]
    return all(o is None or o == quant for o in others)
