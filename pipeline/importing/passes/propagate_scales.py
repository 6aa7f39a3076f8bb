"""The scales that a model file prescribes, carried over every operator that keeps them exact.

Quantizing commutes with views, moves, maxima and clamps: Q(move(x)) = move(Q(x)). So what lies between a network's
input and its first QuantizeLinear, or behind its last DequantizeLinear, needs no scale of its own.
"""

from dataclasses import replace

import numpy as np

from pipeline.graph.ir import ClampedNode, Graph, Node
from pipeline.graph.tensor import QuantParams
from pipeline.ops.requantize import Requantize

Scales = dict[str, QuantParams | None]


def propagate_scales(graph: Graph) -> Graph:
    """Give tensors without parameters those of the tensors that they only move, bound or choose from."""
    scales: Scales = {n: t.quant for n, t in graph.tensors.items() if t.data is None and t.dtype == "float32"}
    readers = graph.consumers()
    visible = {p.tensor for p in graph.outputs}
    missing = -1
    while missing != sum(q is None for q in scales.values()):
        missing = sum(q is None for q in scales.values())
        for node in graph.nodes:
            for name in node.outputs:
                if name in scales and scales[name] is None:
                    scales[name] = _from_inputs(graph, node, name, scales)
        for name in reversed(scales):
            if scales[name] is None and name not in visible and readers[name]:
                reader_scales = {_from_output(graph, node, name, scales) for node in readers[name]}
                scales[name] = reader_scales.pop() if len(reader_scales) == 1 else None
    tensors = {n: replace(t, quant=scales.get(n, t.quant)) for n, t in graph.tensors.items()}
    return replace(graph, tensors=tensors)


def _from_inputs(graph: Graph, node: Node, name: str, scales: Scales) -> QuantParams | None:
    """The parameters with which every value of an output is an integer; None where no such are known."""
    tied = [scales[a] for a, b in node.ties() if b == name and a in scales]
    if tied:
        return tied[0]
    constants = node.selected_from(graph)
    if constants is None:
        return None
    (first, *others) = {scales.get(n) for n in graph.activations(node)}
    if first is None or others:
        return None
    exact = all(np.array_equal(first.dequantize(first.quantize(c)).astype(np.float32), c) for c in constants)
    return (
        first if exact and (not isinstance(node, ClampedNode) or _clamp_is_exact(node.low, node.high, first)) else None
    )


def _clamp_is_exact(low: float, high: float, quant: QuantParams) -> bool:
    """Whether a clamp to [low, high] gives integers of `quant` only."""
    bottom, top = (float(np.float32(v)) for v in quant.dequantize(np.array(quant.limits)))
    inner = [b for b in (low, high) if bottom < b < top]
    rounded = quant.dequantize(quant.quantize(np.array(inner, np.float32))).astype(np.float32)
    return low <= top and high >= bottom and rounded.tolist() == inner


def _from_output(graph: Graph, node: Node, name: str, scales: Scales) -> QuantParams | None:
    """The parameters of an input that round nothing which its reader does not; None where no such are known."""
    tied = [scales[b] for a, b in node.ties() if a == name and b in scales]
    if tied:
        return tied[0] if len(set(tied)) == 1 else None
    chosen = isinstance(node, Requantize) or node.selected_from(graph) is not None
    return scales[node.output] if chosen else None
