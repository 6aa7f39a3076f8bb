"""How far an integer node may be from the real value that it stands for, in steps of its output: proven bounds."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import exp, inf, sqrt

import numpy as np

from pipeline.arithmetic.fixedpoint import accumulator_bound, folded_bias
from pipeline.graph.ir import Graph, Node
from pipeline.graph.tensor import Array, QuantParams
from pipeline.ops.add import Add, AddRescaled
from pipeline.ops.affine import Affine
from pipeline.ops.average_pool import AveragePool, AveragePoolExact
from pipeline.ops.concat import Concat
from pipeline.ops.extremum import Extremum
from pipeline.ops.lookup import BEND, Interpolate, Lookup
from pipeline.ops.mean import Mean, MeanRescaled
from pipeline.ops.mul import Mul, MulRescaled, MulWide
from pipeline.ops.pad import Pad
from pipeline.ops.prelu import PRelu
from pipeline.ops.shared.linear import Linear
from pipeline.ops.softmax import Softmax, SoftmaxScaled, SoftmaxWide
from pipeline.quantizing.integer_graph import Quantized

ULP = 2.0**-24
"""Half a unit in the last place of a float32, relative."""
_FLOAT_SUM_FACTOR = 8
"""A float32 sum of n terms is off by at most this times sqrt(n) ULP of the sum of magnitudes, but for a chance below
1e-13 for each sum. Source: Higham and Mary, A new approach to probabilistic rounding error analysis, SIAM J. Sci.
Comput. 41 (2019), theorem 3.1."""


@dataclass(frozen=True, eq=False)
class RoundingBound:
    """Steps of the output; arrays have one entry for each index of the last axis.

    `slack`: besides the last rounding, which adds at most half a step; infinite where nothing is proven.
    `gain`: by how many steps one step of any input moves the output at most.
    `floats`: how far a float32 evaluation of the same layer may be off.
    """

    slack: Array | float
    gain: float
    floats: Array | float


def precision(quant: QuantParams) -> float:
    """How far a few float32 operations on a tensor's real values may be off, in its steps."""
    return 16 * ULP * (quant.limits[1] - quant.limits[0] + 1)


def constant_errors(graph: Graph, result: Quantized) -> dict[str, float]:
    """By output tensor, the steps that a layer's constants cost: those whose integers no file prescribes, at the
    largest inputs; and channels that 32 bits cannot say, of which more than half a step is not rounding."""
    changed = {p.node: p.changed.largest_error for p in result.proofs if p.changed is not None}
    errors: dict[str, float] = {}
    for node in graph.nodes:
        output, constants = result.params.get(node.output), [n for n in node.inputs if n in result.constants]
        if output is None or not constants:
            continue
        input_params = result.params[graph.activations(node)[0]]
        largest = max(abs(limit - input_params.zero_point) for limit in input_params.limits) * input_params.scale[0]
        integer_errors = _constant_error(node.weights if isinstance(node, Linear) else constants[0], graph, result)
        if isinstance(node, Linear):
            cost = float(integer_errors.reshape(len(integer_errors), -1).sum(axis=1).max(initial=0)) * largest
        else:
            cost = float(integer_errors.max(initial=0)) * (largest if isinstance(node, Mul) else 1.0)
        errors[node.output] = cost / output.scale[0] + min(changed.get(node.name, 0.0), 0.5)
    return errors


def _constant_error(name: str, graph: Graph, result: Quantized) -> Array:
    """How far the integers of a constant are from it."""
    tensor = result.constants[name]
    assert tensor.quant is not None and tensor.data is not None
    error: Array = np.abs(tensor.quant.dequantize(tensor.data) - graph.constant(name).astype(np.float64))
    return error


def only_moves_values(node: Node) -> bool:
    """Whether the node only moves integers, or picks some, or counts them from 128 lower: nothing is rounded."""
    return bool(node.ties()) or isinstance(node, Concat | Extremum) or node.name == f"{node.output}.flip"


def _inserted_value_error(node: Node, graph: Graph) -> float:
    """How far values that a node puts in beside those of its inputs are from the real ones: constants and bounds."""
    if isinstance(node, Pad) or (
        isinstance(node, Concat | Extremum) and len(graph.activations(node)) < len(node.inputs)
    ):
        return 0.5
    quant = graph.tensors[node.output].quant
    if not isinstance(node, Extremum) or quant is None:
        return 0.0
    with np.errstate(over="ignore"):
        exact = np.clip(np.array([node.low, node.high]) / quant.scale[0] + quant.zero_point, *quant.limits)
    return float(np.abs(exact - (node.bottom, node.top)).max())


def rounding_bound(node: Node, graph: Graph) -> RoundingBound:
    """The bound of one node of an integer graph."""
    quant = graph.tensors[node.output].quant
    if quant is None:
        return RoundingBound(0.0, inf, 0.0)
    floats = precision(quant)  # and of functions, which a framework computes as parts of 1, some units of that
    if isinstance(node, Linear) and node.rescale is not None:
        return _linear_bound(node, graph)
    if isinstance(node, Lookup):
        table = graph.constant(node.inputs[1]).astype(np.int64)
        return RoundingBound(0.0, float(np.abs(np.diff(table)).max(initial=0)), floats + 8 * ULP / quant.scale[0])
    if isinstance(node, Interpolate):
        return RoundingBound(float(BEND), inf, floats + 8 * ULP / quant.scale[0])
    return RoundingBound(_own_slack(node, graph), _own_gain(node, graph), floats)


def _own_slack(node: Node, graph: Graph) -> float:
    """What rounded factors cost an operator; infinite where nothing is derived."""
    inputs = [graph.tensors[n] for n in graph.activations(node)]
    values = max((2.0 ** (16 if t.dtype == "int16" else 8) for t in inputs), default=1.0)
    if isinstance(node, Affine):
        return (0.5 * values + 0.5) / 2.0**node.shift
    if isinstance(node, Softmax):
        return _softmax_slack(node, graph)
    if type(node) is Add:
        return (values + 0.5) / 2.0**node.shift
    if type(node) is Mul:
        return 0.5 * min(values**2 / 2.0**node.shift, values / max(node.scale, 1))  # beyond that the output saturates
    if type(node) is PRelu:
        return 0.5 * values / 2.0**node.shift
    if type(node) is Mean:
        return 0.5 * values * (inputs[0].size / graph.tensors[node.output].size) / 2.0**node.shift
    if type(node) is AveragePool:
        return 0.5 * values * (node.window.kernel[0] * node.window.kernel[1]) / 2.0**node.shift
    if type(node) is AveragePoolExact:
        return 0.0
    return _rescaled_slack(node)


def _rescaled_slack(node: Node) -> float:
    """The slack of operators whose factors are a multiplier of 31 bits and an exponent."""
    if type(node) is MulWide:
        return 2.0**-31 * _INT16_SATURATION  # rounded once
    if type(node) in (MulRescaled, MeanRescaled) and isinstance(node, MulRescaled | MeanRescaled):
        return _double_rounding_error(node.rescale[1], _INT16_SATURATION)
    if type(node) is AddRescaled:
        *operands, last = node.rescales
        sums = sum(0.5 + _double_rounding_error(exponent, 2.0**31) for _, exponent in operands)
        return sums * last[0] * 2.0 ** (last[1] - 31) + _double_rounding_error(last[1], _INT16_SATURATION)
    return inf


_INT16_SATURATION = 2.0**17
"""Steps beyond which an output of sixteen bits saturates, whatever its zero point."""


def _double_rounding_error(exponent: int, largest: float) -> float:
    """What a multiplier, of half a unit in 2**30 at most, costs values of up to `largest`, and the first of two
    roundings: its unit is 2**exponent of the second's."""
    return 2.0**-31 * largest + (2.0 ** (exponent - 1) if exponent < 0 else 0.0)


def _softmax_slack(node: Softmax, graph: Graph) -> float:
    """Exponentials are rounded to 2**-15 of the largest, of which a sum has one at the least, and so is half a sum.

    Straight lines between exponentials h apart are above them by h**2 / 8 of the left one at most; where each is off by
    a share of up to r, a part y of their sum is off by r * y * (1 - y) at most, a quarter of r.
    """
    x, y = graph.tensors[node.inputs[0]], graph.tensors[node.output].quant
    assert x.quant is not None and y is not None
    table = 0.5 * 2.0**-15 * (x.shape[node.axis] + 1) / y.scale[0] + 2.0**-16
    if type(node) is SoftmaxWide:
        h = x.quant.scale[0] * 2.0**node.step if node.step else 0.0
        return 2 * table + h**2 / 32 * exp(h) / y.scale[0]  # lines are rounded, too
    if type(node) is SoftmaxScaled:
        return table + 0.5 / node.factor / y.scale[0] + (0.0 if node.shift else 0.5)
    return table if type(node) is Softmax else inf


def _own_gain(node: Node, graph: Graph) -> float:
    if isinstance(node, Affine):
        return float(np.abs(graph.constant(node.inputs[1])).max(initial=0)) / 2.0**node.shift
    if type(node) is Add:
        return max(abs(s) for s in node.scales) / 2.0**node.shift
    return 1.0 if type(node) is AveragePoolExact else inf


def _linear_bound(node: Linear, graph: Graph) -> RoundingBound:
    rescale = node.rescale
    x, y, w = (graph.tensors[n].quant for n in (node.inputs[0], node.output, node.weights))
    assert rescale is not None and x is not None and y is not None and w is not None
    weights = graph.constant(node.weights).astype(np.int64)
    weights = weights.reshape(len(weights), -1)
    step = np.broadcast_to(np.asarray(w.scale) * x.scale[0] / y.scale[0], len(weights))
    largest = -x.limits[0]
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
    terms = _FLOAT_SUM_FACTOR * (1 + sqrt(weights.shape[1]))
    return RoundingBound(slack, float((np.abs(weights).sum(axis=1) * step).max(initial=0)), terms * ULP * sums)


def deviation(
    graph: Graph,
    exact: Collection[str],
    chosen: Collection[str],
    errors: Mapping[str, float],
    unprescribed: Collection[str],
) -> dict[str, tuple[Array | float, ...]]:
    """For each activation (deviation, float error) from the real value, in its own steps, where inputs are `exact`.

    Both are bounds on what the node that makes the tensor may do to the integers of the nearest `exact` tensors
    before it; infinite where a tensor between them is one of `chosen`, whose range chipfit chose itself. `errors`:
    steps by which layers, by name, were changed because 32 bits cannot say them; more than half a step is not rounding.
    `unprescribed`: layers, by name, whose float constants chipfit itself made integers: nothing bounds those here.
    """
    deviations: dict[str, tuple[Array | float, ...]] = {}
    for port in graph.inputs:
        quant = graph.tensors[port.tensor].quant
        deviations[port.tensor] = (0.5, precision(quant)) if quant is not None else (0.0, 0.0)
    for node in graph.nodes:
        inputs = [(n, deviations[n]) for n in graph.activations(node)]
        inputs = [(n, (0.0, 0.0)) if n in exact else (n, m) for n, m in inputs]
        if only_moves_values(node):
            inserted = [_inserted_value_error(node, graph)]
            result = (_largest([*(m[0] for _, m in inputs), *inserted]), _largest([m[1] for _, m in inputs]))
        else:
            own, changed = rounding_bound(node, graph), errors.get(node.output, 0.0)
            rounded = [(n, float(np.max(m[0])), float(np.max(m[1]))) for n, m in inputs if np.any(np.asarray(m[0]) > 0)]
            gain = inf if any(n in chosen for n, _, _ in rounded) else own.gain
            inherited = sum(gain * d for _, d, _ in rounded) if rounded else 0.0
            inherited_floats = sum(gain * f for _, _, f in rounded) if rounded else 0.0
            half = inf if node.name in unprescribed else 0.5 if graph.tensors[node.output].quant is not None else 0.0
            result = (half + own.slack + changed + inherited, own.floats + inherited_floats)
        deviations |= dict.fromkeys(node.outputs, result)
    return deviations


def _largest(values: list[Array | float]) -> Array | float:
    """A single value as it is; the largest of several, which may lie in different elements."""
    return values[0] if len(values) == 1 and not np.ndim(values[0]) else max(float(np.max(v)) for v in values)
