"""Activations of one value, with their parameters: each becomes a table when the graph becomes integer."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import erf, pi, sqrt
from typing import Any, ClassVar

import numpy as np

from pipeline.importers.onnx_node import OnnxNode
from pipeline.ir import Array, Graph, Node, Shape
from pipeline.ops.samples import Sample, one_node

SUMMARY = "a 256-byte table"


def _gelu(x: Array, tanh: bool) -> Array:
    if tanh:
        return 0.5 * x * (1 + np.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + np.vectorize(erf, otypes=[np.float64])(x / sqrt(2)))


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-np.clip(x, -700, 700)))


# Functions on float64, as the ONNX operator specifications define them; names and defaults are ONNX's.
FUNCTIONS: Mapping[str, tuple[Mapping[str, float], Callable[..., Array]]] = {
    "LeakyRelu": ({"alpha": 0.01}, lambda x, alpha: np.where(x >= 0, x, alpha * x)),
    "HardSigmoid": ({"alpha": 0.2, "beta": 0.5}, lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1)),
    "HardSwish": ({}, lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "Sigmoid": ({}, _sigmoid),
    "Tanh": ({}, np.tanh),
    "Elu": ({"alpha": 1.0}, lambda x, alpha: np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0)))),
    "Softplus": ({}, lambda x: np.logaddexp(0, x)),
    "Gelu": ({"approximate": 0.0}, lambda x, approximate: _gelu(x, approximate != 0)),
}


@dataclass(frozen=True, kw_only=True)
class Activation(Node):
    """y = function(x; parameters), element by element. `function` is a key of FUNCTIONS."""

    elementwise: ClassVar[bool] = True

    function: str
    parameters: Mapping[str, float] = field(default_factory=dict)

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (inputs[0],)

    def real(self, x: Array) -> Array:
        """The function on float64."""
        return FUNCTIONS[self.function][1](x, **self.parameters)

    def to_onnx(self, graph: Graph, emit: Any) -> None:
        given: dict[str, Any] = dict(self.parameters)
        if self.function == "Gelu":
            given = {"approximate": "tanh" if given["approximate"] else "none"}
        emit.node(self.function, [self.inputs[0]], self.output, **given)

    def quantize(self, quantizer: Any) -> None:
        quantizer.table(self, self.real)


def import_activation(node: OnnxNode) -> None:
    defaults = FUNCTIONS[node.op][0]
    if node.op == "Gelu":
        chosen = node.attr("approximate", b"none")
        parameters = {"approximate": float(chosen in (b"tanh", "tanh"))}
    else:
        parameters = {k: float(node.attr(k, v)) for k, v in defaults.items()}
    node.graph.append(
        Activation(
            name=node.name,
            inputs=node.inputs[:1],
            outputs=node.outputs[:1],
            function=node.op,
            parameters=parameters,
        )
    )


ONNX = dict.fromkeys(FUNCTIONS, import_activation)
NODES = (Activation,)


def samples() -> Iterator[Sample]:
    for name in FUNCTIONS:
        yield one_node(name, {"x": (1, 2, 5)}, opset=20, low=-6.0, high=6.0)
    yield one_node("LeakyRelu", {"x": (1, 9)}, opset=7, alpha=0.3)
    yield one_node("Gelu", {"x": (1, 9)}, opset=20, approximate="tanh")
