"""Operators that a file applies to the integers of quantized tensors, rewritten for the real values behind them.

An operator's own module knows real values only. Whatever the file gives beside a quantized tensor (bounds, fill
values, other tensors) becomes the real value that stands for the same integer at that tensor's scale.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx

from pipeline.graph.builder import GraphBuilder
from pipeline.graph.tensor import Array, QuantParams, Tensor
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.ops.requantize import identity_params, reinterpret, storage_offset

_ALL = (*range(64),)
VALUE_INPUTS: Mapping[str, Sequence[int]] = {
    **dict.fromkeys(
        "Reshape Flatten Squeeze Unsqueeze Identity Transpose Slice Split Gather GatherElements GatherND Resize "
        "Upsample MaxPool ArgMax ArgMin DepthToSpace SpaceToDepth Expand Tile".split(),
        (0,),
    ),
    "Clip": (0, 1, 2),
    "Pad": (0, 2),
    "Concat": _ALL,
    "Max": _ALL,
    "Min": _ALL,
}
"""Operators that mean the same on integers and on real values, and which of their inputs are values."""
_VIEW_OPS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Transpose")
_OPS_ON_INTEGERS = ("DequantizeLinear", "Cast", "CastLike")
"""Operators that are defined on integers themselves."""
INDEX_DTYPE = "int64"
"""The type of a class: an index without a scale."""


def with_real_values(node: OnnxNode) -> OnnxNode:
    """`node` with real values for every integer that the file means; itself when there is none.

    Raises ChipfitError for an operator that computes something else on integers than on real values.
    """
    if not any(node.kinds) or node.op in _OPS_ON_INTEGERS:
        return node
    positions = [i for i in VALUE_INPUTS.get(node.op, ()) if node.has(i)]
    integer_inputs = [i for i, dtype in enumerate(node.kinds) if dtype]
    if INDEX_DTYPE in node.kinds:
        if node.op not in _VIEW_OPS:
            node.refuse(
                f"computes on the indices {node.inputs[integer_inputs[0]]!r}", "A class is an output of the network."
            )
        return node
    if not set(integer_inputs) <= set(positions) or node.attr("mode", b"") in (b"linear", b"cubic", "linear", "cubic"):
        node.refuse(
            f"computes on the integers of {node.inputs[integer_inputs[0]]!r}",
            "Put a DequantizeLinear before it and a QuantizeLinear behind.",
        )
    dtype, quant = node.kinds[integer_inputs[0]], quant_of(node, integer_inputs[0])
    inputs = list(node.inputs)
    if node.op == "Pad" and not node.has(2):  # what is not given is the integer 0, whatever that means
        inputs += [""] * (3 - len(inputs))
        inputs[2] = _real_constant(node, "fill", np.zeros((), dtype), dtype, quant)
    for i in positions:
        if node.kind(i):
            if node.kinds[i] != dtype:
                node.refuse(f"inputs of types {dtype} and {node.kinds[i]}")
            inputs[i] = reinterpret(node, i, quant_of(node, i), quant)
        else:
            inputs[i] = _real_constant(node, node.inputs[i], node.constant(i, "operand"), dtype, quant)
    return replace(node, inputs=tuple(inputs))


def mark_integers(graph: GraphBuilder, node: OnnxNode, first: int) -> None:
    """Give the nodes that `node` on integers became (from `first` on) the type and parameters of what it read."""
    if not any(node.kinds) or node.op in _OPS_ON_INTEGERS:
        return
    index = next(i for i, kind in enumerate(node.kinds) if kind)
    source = graph.tensors[node.inputs[index]]
    if node.op in ("ArgMax", "ArgMin"):
        return
    for integer_node in graph.nodes[first:]:
        for name in integer_node.outputs:
            graph.tensors[name] = replace(graph.tensors[name], dtype=source.dtype, quant=source.quant)
    node.results.update(dict.fromkeys((o for o in node.outputs if o), node.kinds[index]))


def quant_of(node: OnnxNode, index: int) -> QuantParams:
    """The parameters of the quantized tensor at input `index`."""
    quant = node.graph.tensors[node.inputs[index]].quant
    assert quant is not None, node.inputs[index]
    return quant


def _real_constant(node: OnnxNode, name: str, data: Array, kind: str, quant: QuantParams) -> str:
    """The real values of the file's integers `data` at the scale `quant`, as a new constant."""
    if data.dtype.name != kind:
        node.refuse(f"a constant of type {data.dtype} beside integers of type {kind}")
    real = (data.astype(np.float64) - quant.zero_point - storage_offset(kind)) * quant.scale[0]
    return node.graph.add(Tensor.constant(node.graph.fresh(f"{name}.real"), real.astype(np.float32), quant))


def input_params(
    nodes: Sequence[onnx.NodeProto], name: str, kind: str, value: Callable[[str], Array | None]
) -> QuantParams:
    """The parameters of a network input that the file keeps as integers of ONNX type `kind`.

    They are those of the first DequantizeLinear that reads it, at once or behind operators that only move it; scale 1
    and zero point 0 when nothing says others: whatever else reads the input takes its integers as it means them.
    `value` gives the constant of a name, None where it is none. Raises LookupError with the name of a scale or zero
    point that is not constant.
    """
    moved = {name}
    for node in nodes:
        if not moved & set(node.input):
            continue
        if node.op_type == "DequantizeLinear" and node.input[0] in moved:
            scale, zero_point = _constant_input(node, 1, value), _constant_input(node, 2, value)
            if scale is not None and scale.size == 1 and np.isfinite(scale).all() and (scale > 0).all():
                lowest = (
                    int(zero_point[0])
                    if zero_point is not None and zero_point.size and zero_point.dtype.kind in "iu"
                    else 0
                )
                return replace(
                    identity_params(kind), scale=(float(scale[0]),), zero_point=lowest - storage_offset(kind)
                )
        elif node.op_type in VALUE_INPUTS:
            moved |= set(node.output)
    return identity_params(kind)


def _constant_input(node: onnx.NodeProto, index: int, value: Callable[[str], Array | None]) -> Array | None:
    """The values of input `index`, None when the node has no such input."""
    name = node.input[index] if len(node.input) > index else ""
    if not name:
        return None
    data = value(name)
    if data is None:
        raise LookupError(name)
    return data.reshape(-1)
