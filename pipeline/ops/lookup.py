"""Any function of one int8 value: a 256-byte table. What activations become in an integer graph."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isinf, prod
from typing import ClassVar

import numpy as np

from pipeline.graph.ir import ChannelEffect, Graph, Node
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.moves import InterpolateParams, LookupParams
from pipeline.graph.rounding_bound import ULP, RoundingBound
from pipeline.graph.tensor import Array, Shape
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.model_files.tflite_node import TfliteNode
from pipeline.ops.clamp import Clamp
from pipeline.ops.shared.samples import Sample

SUMMARY = "not from ONNX: what every other activation becomes"


LARGEST = 1 << 22
"""The largest magnitude in an Interpolate's table: a difference times 127 fits 32 bits."""
BEND = 64
"""The most steps by which the straight lines of an Interpolate may miss its function."""
FLIP = (np.arange(256) - 128).astype(np.int8) ^ np.int8(-128)
"""From uint8 to int8, 128 lower, and back: a table indexed by the byte read as int8."""


@dataclass(frozen=True, kw_only=True)
class Lookup(Node):
    """x int8, table (256,) int8 indexed by x + 128 -> y of x's shape."""

    elementwise: ClassVar[bool] = True

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (inputs[0],)

    def channel_effect(self, graph: Graph) -> ChannelEffect:
        return "separate"

    def rounding_slack(self, graph: Graph) -> float:
        return 0.0

    def rounding_gain(self, graph: Graph) -> float:
        table = graph.constant(self.inputs[1]).astype(np.int64)
        return float(np.abs(np.diff(table)).max(initial=0))

    def rounding_bound(self, graph: Graph) -> RoundingBound:
        """The bound of a table; a framework computes functions as parts of 1, to some units of that."""
        bound, quant = super().rounding_bound(graph), graph.tensors[self.output].quant
        return bound if quant is None else replace(bound, floats=bound.floats + 8 * ULP / quant.scale[0])

    def arithmetic(self) -> str:
        return "table"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        return (inputs[1][inputs[0].astype(np.int8).astype(np.int64) + 128],)

    def calls(self, graph: Graph) -> list[KernelCall]:
        return [
            KernelCall(
                kernel="lookup",
                node=self.name,
                inputs=self.inputs[:1],
                outputs=self.outputs,
                params=LookupParams(table=graph.constant(self.inputs[1]), count=prod(graph.tensors[self.output].shape)),
                in_place=True,
            )
        ]


def append_table(node: TfliteNode, x: str, table: Array) -> None:
    """Append the lookup of `table` (256,) int8 by int8 `x` as the node's output."""
    name = node.graph.constant(f"{node.name}.table", table.astype(np.int8))
    node.emit(Lookup(name=node.name, inputs=(x, name), outputs=node.outputs))


def clamp_table(node: TfliteNode, fused: int, make: Callable[[str], Node]) -> None:
    """The node that `make` gives for an output name, with a fused activation behind it where there is one."""
    low, high = node.real_range(fused)
    if isinf(low) and isinf(high):
        node.emit(make(node.outputs[0]))
        return
    raw = node.append(make(node.graph.fresh(f"{node.outputs[0]}.raw")), node.dtype, node.declared[0].quant)
    if not node.quantized:
        node.emit(Clamp(name=f"{node.name}.clamp", inputs=(raw,), outputs=node.outputs, low=low, high=high))
        return
    if node.dtype != "int8":
        node.refuse(f"a fused activation on {node.dtype}", "int8 and uint8 are supported.")
    bottom, top = node.clamp(low, high)
    append_table(node, raw, np.arange(-128, 128).clip(bottom, top))


@dataclass(frozen=True, kw_only=True)
class Interpolate(Node):
    """x int16, table (513,) int32: values at -32768, -32640, ..., 32768, straight lines in between, ties up, clamped.

    Values beyond int16 are in the table too, so that a line meets the clamp where the function does.
    """

    elementwise: ClassVar[bool] = True

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (inputs[0],)

    def rounding_slack(self, graph: Graph) -> float:
        return float(BEND)

    def rounding_bound(self, graph: Graph) -> RoundingBound:
        """The bound of a table; a framework computes functions as parts of 1, to some units of that."""
        bound, quant = super().rounding_bound(graph), graph.tensors[self.output].quant
        return bound if quant is None else replace(bound, floats=bound.floats + 8 * ULP / quant.scale[0])

    def arithmetic(self) -> str:
        return "table"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        at, table = inputs[0].astype(np.int64) + 32768, inputs[1].astype(np.int64)
        left, right = table[at >> 7], table[(at >> 7) + 1]
        return (np.clip(left + (((right - left) * (at & 127) + 64) >> 7), -32768, 32767),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        return [
            KernelCall(
                kernel="interpolate",
                node=self.name,
                inputs=self.inputs[:1],
                outputs=self.outputs,
                params=InterpolateParams(
                    table=graph.constant(self.inputs[1]), count=prod(graph.tensors[self.output].shape)
                ),
                in_place=True,
            )
        ]


ONNX: dict[str, Callable[[OnnxNode], None]] = {}
NODES = (Lookup, Interpolate)


def samples() -> Iterator[Sample]:
    """No samples: the activations' reach it."""
    return iter(())
