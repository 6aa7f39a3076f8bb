"""Protocols that an operator's facets call: the parts of the writer of ONNX and of the quantizer that operators use."""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol

import numpy.typing as npt

from pipeline.graph.ir import ClampedNode, Graph, Node
from pipeline.graph.rescale import Rescale
from pipeline.graph.tensor import Array, QuantParams


class OnnxEmitter(Protocol):
    """Collects ONNX nodes; tensors are named as in the graph. Implemented in `graph.onnx_export`."""

    def fresh(self, hint: str) -> str:
        """A name that no other tensor has."""

    def node(self, op: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        """Append one node; returns its output's name (a fresh one unless given)."""

    def floats(self, data: npt.ArrayLike) -> str:
        """Add a float32 constant; its name."""

    def integers(self, data: Sequence[int]) -> str:
        """Add an int64 constant; its name."""

    def transpose(self, x: str, perm: tuple[int, ...], output: str | None = None) -> str: ...

    def clip(self, x: str, output: str, low: float, high: float) -> str:
        """Append a clamp to the finite ones of [low, high]; returns `output` as it is named in ONNX."""

    def constant_view(self, name: str, perm: tuple[int, ...] | None) -> str:
        """A constant of the graph, transposed by `perm`."""


class NodeQuantizer(Protocol):
    """Collects the integer nodes that compute those of a float graph. Implemented in `quantizing.quantizer`."""

    @property
    def graph(self) -> Graph:
        """The float graph."""

    def refuse(self, node: Node, why: str, hint: str = "") -> NoReturn:
        """Raise ChipfitError: the layer cannot become integers."""

    def params(self, name: str) -> QuantParams:
        """The scale and zero point chosen for a tensor of the float graph."""

    def fresh(self, hint: str) -> str:
        """A name that no other tensor of the integer graph has."""

    def constant(self, hint: str, data: Array) -> str:
        """Add a constant to the integer graph; its name."""

    def append(self, node: Node, params: QuantParams | None = None, *, dtype: str = "int8") -> str:
        """Append a node whose output has `params`, or those chosen for it; `dtype` is for an output without any."""

    def pass_through(self, node: Node) -> None:
        """Append an operator that only moves values: the same node on integers, at the scale of what it moves."""

    def clamp(self, node: ClampedNode, params: QuantParams | None = None) -> tuple[int, int]:
        """The node's clamp as integers of its output, within its type."""

    def append_function(self, node: Node, function: Callable[[Array], Array]) -> None:
        """Append `node` as a table of `function` (float64 to float64)."""

    def operand(self, name: str) -> str:
        """The name of an operand of a two-input operator: a constant becomes integers with a scale of its own."""

    def with_params(self, name: str, target: QuantParams) -> str:
        """The name of `name` (activation or constant) with exactly the parameters `target`; appends what that takes."""

    def requantize(self, x: str, source: QuantParams, y: str, target: QuantParams) -> None:
        """Append what gives the real values of `x` other parameters."""

    def append_rescale(
        self, label: str, x: str, source: QuantParams, y: str, target: QuantParams, limits: tuple[int, int]
    ) -> None:
        """Append what gives int16 `x` other parameters and clamps it to `limits`, without the error of a table."""

    def linear(self, node: ClampedNode) -> tuple[tuple[str, ...], Rescale]:
        """The integer inputs and the requantizer of a node whose inputs are (x, weights (out, ...), bias (out,))."""
