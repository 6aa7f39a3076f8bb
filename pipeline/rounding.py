"""How far an integer node may be from the real value that it stands for, in steps of its output: proven bounds."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np

from pipeline.fixedpoint import accumulator_bound, folded_bias
from pipeline.ir import Array, Graph, Node, QuantParams, ScaledNode
from pipeline.ops.add import Add
from pipeline.ops.affine import Affine
from pipeline.ops.average_pool import AveragePool
from pipeline.ops.concat import Concat
from pipeline.ops.linear import Linear
from pipeline.ops.lookup import Interpolate, Lookup
from pipeline.ops.mean import Mean
from pipeline.ops.mul import Mul
from pipeline.ops.pad import Pad
from pipeline.ops.prelu import PRelu
from pipeline.ops.softmax import Softmax, SoftmaxScaled, SoftmaxWide
from pipeline.quantize import Quantized

ULP = 2.0**-24
"""Half a unit in the last place of a float32, relative."""
_CONFIDENCE = 8
"""A float32 sum of n terms is off by at most this times sqrt(n) ULP of the sum of magnitudes, but for a chance below
1e-13 for each sum. Source: Higham and Mary, A new approach to probabilistic rounding error analysis, SIAM J. Sci.
Comput. 41 (2019), theorem 3.1."""
_BEND = 64.0
"""Straight lines between 513 values of an int16 function may be off so many steps (`pipeline.quantizer`)."""


@dataclass(frozen=True, eq=False)
class Bound:
    """Steps of the output; arrays have one entry for each index of the last axis.

    `slack`: besides the last rounding, which adds at most half a step. `gain`: by how many steps one step of any
    input moves the output at most. `floats`: how far a float32 evaluation of the same layer may be off.
    """

    slack: Array | float
    gain: float
    floats: Array | float


def precision(quant: QuantParams) -> float:
    """How far a few float32 operations on a tensor's real values may be off, in its steps."""
    return 16 * ULP * (quant.limits[1] - quant.limits[0] + 1)


def constants(graph: Graph, result: Quantized) -> dict[str, float]:
    """By output tensor, the steps that a layer's constants cost: those whose integers no file prescribes, at the
    largest inputs; and channels that 32 bits cannot say, of which more than half a step is not rounding."""
    changed = {p.node: p.changed.largest_error for p in result.proofs if p.changed is not None}
    made: dict[str, float] = {}
    for node in graph.nodes:
        y, known = result.params.get(node.output), [n for n in node.inputs if n in result.constants]
        if y is None or not known:
            continue
        x = result.params[graph.activations(node)[0]]
        largest = max(abs(limit - x.zero_point) for limit in x.limits) * x.scale[0]
        off = _off(node.weights if isinstance(node, Linear) else known[0], graph, result)
        if isinstance(node, Linear):
            cost = float(off.reshape(len(off), -1).sum(axis=1).max(initial=0)) * largest
        else:
            cost = float(off.max(initial=0)) * (largest if isinstance(node, Mul) else 1.0)
        made[node.output] = cost / y.scale[0] + min(changed.get(node.name, 0.0), 0.5)
    return made


def _off(name: str, graph: Graph, result: Quantized) -> Array:
    """How far the integers of a constant are from it."""
    tensor = result.constants[name]
    assert tensor.quant is not None and tensor.data is not None
    off: Array = np.abs(tensor.quant.dequantize(tensor.data) - graph.constant(name).astype(np.float64))
    return off


def moves(node: Node) -> bool:
    """Whether the node only moves integers, or picks some, or counts them from 128 lower: nothing is rounded."""
    return bool(node.ties()) or isinstance(node, Concat) or node.name == f"{node.output}.flip"


def bound(node: Node, graph: Graph) -> Bound:
    """The bound of one node of an integer graph."""
    quant = graph.tensors[node.output].quant
    if quant is None:
        return Bound(0.0, inf, 0.0)
    floats = precision(quant)  # and of functions, which a framework computes as parts of 1, some units of that
    if isinstance(node, Linear) and node.rescale is not None:
        return _linear(node, graph)
    if isinstance(node, Lookup):
        table = graph.constant(node.inputs[1]).astype(np.int64)
        return Bound(0.0, float(np.abs(np.diff(table)).max(initial=0)), floats + 8 * ULP / quant.scale[0])
    if isinstance(node, Interpolate):
        return Bound(_BEND, inf, floats + 8 * ULP / quant.scale[0])
    factor = _factor(node, graph)
    return Bound(0.5 if factor is None else factor, _gain(node, graph), floats)


def _factor(node: Node, graph: Graph) -> float | None:
    """The slack of an operator with one rounding and few rounded factors, None for any other."""
    given = [graph.tensors[n] for n in graph.activations(node)]
    reach = max((2.0 ** (16 if t.dtype == "int16" else 8) for t in given), default=1.0)
    if isinstance(node, Affine):
        return (0.5 * reach + 0.5) / 2.0**node.shift
    if isinstance(node, Softmax):
        return _softmax(node, graph)
    if type(node) is Add:
        return (reach + 0.5) / 2.0**node.shift
    if type(node) is Mul:
        return 0.5 * min(reach**2 / 2.0**node.shift, reach / max(node.scale, 1))  # beyond that the output saturates
    if type(node) in (AveragePool, Mean, PRelu) and isinstance(node, ScaledNode | PRelu):
        return 0.5 * reach * max(1.0, given[0].size / graph.tensors[node.output].size) / 2.0**node.shift
    return None


def _softmax(node: Softmax, graph: Graph) -> float:
    """Exponentials are rounded to 2**-15 of the largest, of which a sum has one at the least."""
    x, y = graph.tensors[node.inputs[0]], graph.tensors[node.output].quant
    assert y is not None
    table = 0.5 * 2.0**-15 * (x.shape[node.axis] + 1) / y.scale[0]
    if isinstance(node, SoftmaxWide):
        return table + 4.0  # lines between 513 exponentials
    return table + (0.5 / node.factor / y.scale[0] if isinstance(node, SoftmaxScaled) else 0.0)


def _gain(node: Node, graph: Graph) -> float:
    if isinstance(node, Affine):
        return float(np.abs(graph.constant(node.inputs[1])).max(initial=0)) / 2.0**node.shift
    if type(node) is Add:
        return max(abs(s) for s in node.scales) / 2.0**node.shift
    return inf


def _linear(node: Linear, graph: Graph) -> Bound:
    rescale = node.rescale
    x, y, w = (graph.tensors[n].quant for n in (node.inputs[0], node.output, node.weights))
    assert rescale is not None and x is not None and y is not None and w is not None
    weights = graph.constant(node.weights).astype(np.int64)
    weights = weights.reshape(len(weights), -1)
    step = np.broadcast_to(np.asarray(w.scale) * x.scale[0] / y.scale[0], len(weights))
    largest = 128 if x.dtype == "int8" else 32768
    sums = accumulator_bound(weights, folded_bias(weights, graph.constant(node.bias), x.zero_point), largest) * step
    slack = 0.5 * step  # the bias is rounded to a step of the sum
    if np.abs(weights).max(initial=0) > 255:  # no file's integers, but its real values: see ops.linear.prescribed
        slack = slack * (1 + largest * weights.shape[1])
    exponent = graph.constant(rescale.shift).astype(np.float64)
    if rescale.kind == "wide":
        slack = slack + 2.0**-15 * np.minimum(sums, max(abs(n - y.zero_point) for n in y.limits))
    elif rescale.multiplier is not None:
        slack = slack + 2.0**-31 * sums
        if rescale.kind == "multiplier":  # rounded twice
            slack = slack + np.where(exponent < 0, 2.0 ** (exponent - 1), 0.0)
    terms = _CONFIDENCE * (1 + sqrt(weights.shape[1]))
    return Bound(slack, float((np.abs(weights).sum(axis=1) * step).max(initial=0)), terms * ULP * sums)


def deviation(
    graph: Graph, exact: Collection[str], chosen: Collection[str], errors: Mapping[str, float], free: Collection[str]
) -> dict[str, tuple[Array | float, ...]]:
    """For each activation (deviation, float error) from the real value, in its own steps, where inputs are `exact`.

    Both are bounds on what the node that makes the tensor may do to the integers of the nearest `exact` tensors
    before it; infinite where a tensor between them is one of `chosen`, whose range chipfit chose itself. `errors`:
    steps by which layers, by name, were changed because 32 bits cannot say them; more than half a step is not rounding.
    `free`: layers, by name, whose float constants chipfit itself made integers: nothing bounds those here.
    """
    made: dict[str, tuple[Array | float, ...]] = {}
    for port in graph.inputs:
        quant = graph.tensors[port.tensor].quant
        made[port.tensor] = (0.5, precision(quant)) if quant is not None else (0.0, 0.0)
    for node in graph.nodes:
        given = [(n, made[n]) for n in graph.activations(node)]
        given = [(n, (0.0, 0.0)) if n in exact else (n, m) for n, m in given]
        if moves(node):
            fixed = any(graph.is_constant(n) for n in node.inputs)
            filled = [0.5] if isinstance(node, Pad) or (isinstance(node, Concat) and fixed) else []  # rounded values
            result = (_most([*(m[0] for _, m in given), *filled]), _most([m[1] for _, m in given]))
        else:
            own, changed = bound(node, graph), errors.get(node.output, 0.0)
            rounded = [(n, float(np.max(m[0])), float(np.max(m[1]))) for n, m in given if np.any(np.asarray(m[0]) > 0)]
            gain = inf if any(n in chosen for n, _, _ in rounded) else own.gain
            carried = sum(gain * d for _, d, _ in rounded) if rounded else 0.0
            carried_floats = sum(gain * f for _, _, f in rounded) if rounded else 0.0
            half = inf if node.name in free else 0.5 if graph.tensors[node.output].quant is not None else 0.0
            result = (half + own.slack + changed + carried, own.floats + carried_floats)
        made |= dict.fromkeys(node.outputs, result)
    return made


def _most(values: list[Array | float]) -> Array | float:
    """The only one as it is; of several, which may lie in different places, the largest."""
    return values[0] if len(values) == 1 and not np.ndim(values[0]) else max(float(np.max(v)) for v in values)
