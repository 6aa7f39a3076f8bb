"""Proven bounds on the error of integer nodes against the real values that they stand for, in output steps."""

from collections.abc import Collection, Mapping
from math import inf

import numpy as np

from pipeline.graph.ir import Graph, Node
from pipeline.graph.rounding_bound import precision
from pipeline.graph.tensor import Array
from pipeline.ops.concat import Concat
from pipeline.ops.extremum import Extremum
from pipeline.ops.mul import Mul
from pipeline.ops.pad import Pad
from pipeline.ops.shared.linear import Linear
from pipeline.quantizing.integer_graph import Quantized


def constant_errors(graph: Graph, result: Quantized) -> dict[str, float]:
    """Steps by output tensor that a layer's constants cost: those whose integers no file prescribes, at the
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
    """The absolute error of a constant's integers, of its shape."""
    tensor = result.constants[name]
    assert tensor.quant is not None and tensor.data is not None
    error: Array = np.abs(tensor.quant.dequantize(tensor.data) - graph.constant(name).astype(np.float64))
    return error


def only_moves_values(node: Node) -> bool:
    """Whether the node only moves integers, or picks some, or counts them from 128 lower: nothing is rounded."""
    return bool(node.ties()) or isinstance(node, Concat | Extremum) or node.name == f"{node.output}.flip"


def _inserted_value_error(node: Node, graph: Graph) -> float:
    """The error of values that a node inserts beside those of its inputs: constants and bounds."""
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
            own, changed = node.rounding_bound(graph), errors.get(node.output, 0.0)
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
