"""Helpers of two-input elementwise operators: broadcasting, constants per channel, and the kernel's strides."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.graph.ir import Graph, ScaledNode
from pipeline.graph.kernel_call import KernelCall, suffix
from pipeline.graph.kernel_params.pairs import Walk, WalkParams
from pipeline.graph.tensor import Array, Shape
from pipeline.model_files.node import ImportNode
from pipeline.model_files.tflite_node import TfliteNode
from pipeline.ops.shared.copying import MAX_RANK, strides_of


@dataclass(frozen=True, kw_only=True)
class Binary(ScaledNode):
    """An elementwise operator of two inputs, either of which may be repeated along an axis or constant."""

    elementwise: ClassVar[bool] = True

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (tuple(int(d) for d in np.broadcast_shapes(inputs[0], inputs[1])),)

    def operands(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, Array]:
        """Both inputs as int64, lined up so that NumPy broadcasts them sample by sample."""
        rank = len(graph.tensors[self.output].shape)
        a, b = (
            (v if graph.is_constant(n) else with_leading_axes(v, rank)).astype(np.int64)
            for n, v in zip(self.inputs, inputs, strict=True)
        )
        return a, b

    def call(self, graph: Graph, params: WalkParams) -> KernelCall:
        """The call of the kernel that takes `params` for activations of the output's type."""
        target = graph.tensors[self.output]
        return KernelCall(
            kernel=params.struct_name() + suffix(target.dtype),
            node=self.name,
            inputs=self.inputs,
            outputs=self.outputs,
            params=params,
            macs=self.macs(graph),
            in_place=graph.tensors[self.inputs[0]].shape == target.shape,
        )

    def walk(self, graph: Graph) -> Walk:
        """The kernel's loops: dimensions merged as far as both inputs allow, filled up with 1 in front."""
        a, b = graph.shapes_of(self.inputs)
        target = graph.tensors[self.output].shape
        merged: list[tuple[int, int, int]] = []
        for d, s, t in zip(target, broadcast_strides(a, target), broadcast_strides(b, target), strict=True):
            if d == 1:
                continue
            if merged and merged[-1][1] == s * d and merged[-1][2] == t * d:
                merged[-1] = (merged[-1][0] * d, s, t)
            else:
                merged.append((d, s, t))
        merged = [(1, 0, 0)] * (MAX_RANK - len(merged)) + merged
        dims, a_strides, b_strides = zip(*merged, strict=True)
        return {"dims": dims, "a_strides": a_strides, "b_strides": b_strides}


def broadcast_strides(shape: Shape, target: Shape) -> tuple[int, ...]:
    """Strides that walk `shape` as if it had been broadcast to `target`: 0 along a repeated axis."""
    padded = (1,) * (len(target) - len(shape)) + shape
    return tuple(0 if d == 1 else s for d, s in zip(padded, strides_of(padded), strict=True))


def with_leading_axes(array: Array, rank: int) -> Array:
    """An activation (n, ...) with axes of size 1 inserted after the sample axis, up to `rank`."""
    return array.reshape(array.shape[0], *(1,) * (rank - (array.ndim - 1)), *array.shape[1:])


def per_channel(node: ImportNode, x: int, constant: Array) -> int | None:
    """The one axis of inputs[x] along which `constant` varies, when it is per channel or scalar; else None."""
    shape = node.shape(x)
    if constant.ndim > len(shape):
        return None
    padded = (1,) * (len(shape) - constant.ndim) + constant.shape
    varying = [i for i, d in enumerate(padded) if d != 1]
    if not varying:
        return len(shape) - 1 if shape else None
    if len(varying) == 1 and shape[varying[0]] == padded[varying[0]]:
        return varying[0]
    return None


def check_broadcast(node: ImportNode, shapes: Sequence[Shape]) -> None:
    """Refuse shapes that do not broadcast or are too deep for the kernel."""
    try:
        result = np.broadcast_shapes(*shapes)
    except ValueError:
        node.refuse(f"shapes {shapes[0]} and {shapes[1]} do not broadcast")
    if len(result) > MAX_RANK:
        node.refuse(f"rank {len(result)}", f"Tensors of up to rank {MAX_RANK} are supported.")


_ARITHMETIC = {
    "ADD": np.add,
    "SUB": np.subtract,
    "MUL": np.multiply,
    "MAXIMUM": np.maximum,
    "MINIMUM": np.minimum,
}


def fold_constants(node: TfliteNode) -> bool:
    """Compute a TFLite operator of integer constants (shape arithmetic) and return True; check any other one."""
    if all(node.is_constant(i) for i in range(2)):
        node.fold(np.asarray(_ARITHMETIC[node.op](node.constant(0, "operand"), node.constant(1, "operand"))))
        return True
    check_broadcast(node, (node.shape(0), node.shape(1)))
    return False
