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


def settle(graph: Graph) -> Graph:
    """Give tensors without parameters those of the tensors that they only move, bound or choose from."""
    found: Scales = {n: t.quant for n, t in graph.tensors.items() if t.data is None and t.dtype == "float32"}
    readers = graph.consumers()
    visible = {p.tensor for p in graph.outputs}
    left = -1
    while left != sum(q is None for q in found.values()):
        left = sum(q is None for q in found.values())
        for node in graph.nodes:
            for name in node.outputs:
                if name in found and found[name] is None:
                    found[name] = _from_inputs(graph, node, name, found)
        for name in reversed(found):
            if found[name] is None and name not in visible and readers[name]:
                wanted = {_from_output(graph, node, name, found) for node in readers[name]}
                found[name] = wanted.pop() if len(wanted) == 1 else None
    tensors = {n: replace(t, quant=found.get(n, t.quant)) for n, t in graph.tensors.items()}
    return replace(graph, tensors=tensors)


def _from_inputs(graph: Graph, node: Node, name: str, found: Scales) -> QuantParams | None:
    """What an output can have so that every value it takes is an integer of it."""
    tied = [found[a] for a, b in node.ties() if b == name and a in found]
    if tied:
        return tied[0]
    constants = node.selected_from(graph)
    if constants is None:
        return None
    (first, *others) = {found.get(n) for n in graph.activations(node)}
    if first is None or others:
        return None
    exact = all(np.array_equal(first.dequantize(first.quantize(c)).astype(np.float32), c) for c in constants)
    return first if exact and (not isinstance(node, ClampedNode) or _bounded(node.low, node.high, first)) else None


def _bounded(low: float, high: float, quant: QuantParams) -> bool:
    """Whether a clamp to [low, high] leaves integers of `quant`."""
    bottom, top = (float(np.float32(v)) for v in quant.dequantize(np.array(quant.limits)))
    kept = [b for b in (low, high) if bottom < b < top]
    held = quant.dequantize(quant.quantize(np.array(kept, np.float32))).astype(np.float32)
    return low <= top and high >= bottom and held.tolist() == kept


def _from_output(graph: Graph, node: Node, name: str, found: Scales) -> QuantParams | None:
    """What an input can have without being rounded where its reader is not."""
    tied = [found[b] for a, b in node.ties() if a == name and b in found]
    if tied:
        return tied[0] if len(set(tied)) == 1 else None
    chosen = isinstance(node, Requantize) or node.selected_from(graph) is not None
    return found[node.output] if chosen else None
