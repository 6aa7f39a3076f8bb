"""Activations of one value, with their parameters: each becomes a table when the graph becomes integer."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import erf, pi, prod, sqrt
from typing import Any, ClassVar

import numpy as np

from pipeline.graph.facets import NodeQuantizer, OnnxEmitter
from pipeline.graph.ir import Graph, Node
from pipeline.graph.tensor import Array, Shape
from pipeline.graph.term import Term
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.ops.shared.samples import Sample, one_node

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
    "Abs": ({}, np.abs),
    "Acos": ({}, np.arccos),
    "Acosh": ({}, np.arccosh),
    "Asin": ({}, np.arcsin),
    "Asinh": ({}, np.arcsinh),
    "Atan": ({}, np.arctan),
    "Atanh": ({}, np.arctanh),
    "Ceil": ({}, np.ceil),
    "Celu": ({"alpha": 1.0}, lambda x, alpha: np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(x / alpha))),
    "Cos": ({}, np.cos),
    "Cosh": ({}, np.cosh),
    "Erf": ({}, np.vectorize(erf, otypes=[np.float64])),
    "Exp": ({}, np.exp),
    "Floor": ({}, np.floor),
    "Log": ({}, np.log),
    "Mish": ({}, lambda x: x * np.tanh(np.logaddexp(0, x))),
    "Neg": ({}, np.negative),
    "Reciprocal": ({}, np.reciprocal),
    "Round": ({}, np.rint),
    "Selu": (
        {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875},
        lambda x, alpha, gamma: gamma * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
    ),
    "Shrink": (
        {"bias": 0.0, "lambd": 0.5},
        lambda x, bias, lambd: np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, 0)),
    ),
    "Sign": ({}, np.sign),
    "Sin": ({}, np.sin),
    "Sinh": ({}, np.sinh),
    "Softsign": ({}, lambda x: x / (1 + np.abs(x))),
    "Sqrt": ({}, np.sqrt),
    "Swish": ({"alpha": 1.0}, lambda x, alpha: x * _sigmoid(alpha * x)),
    "Tan": ({}, np.tan),
    "ThresholdedRelu": ({"alpha": 1.0}, lambda x, alpha: np.where(x > alpha, x, 0)),
    "Gelu": ({"approximate": 0.0}, lambda x, approximate: _gelu(x, approximate != 0)),
}


# Functions of other operators' making: a power with a constant exponent, and squares.
OTHERS: Mapping[str, tuple[dict[str, float], Callable[..., Array]]] = {
    "Square": ({}, np.square),
    "Pow": ({"exponent": 1.0}, lambda x, exponent: np.power(x, exponent)),
    "PowOf": ({"base": 1.0}, lambda x, base: np.power(base, x)),
    "Divided": ({"dividend": 1.0}, lambda x, dividend: dividend / x),
}


@dataclass(frozen=True, kw_only=True)
class Activation(Node):
    """y = function(x; parameters), element by element. `function` is a key of FUNCTIONS."""

    follows_layout: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True
    table_bytes: ClassVar[int] = 256

    function: str
    parameters: Mapping[str, float] = field(default_factory=dict)

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (inputs[0],)

    def real(self, x: Array) -> Array:
        """The function on float64."""
        table = FUNCTIONS if self.function in FUNCTIONS else OTHERS
        with np.errstate(all="ignore"):
            return table[self.function][1](x, **self.parameters)

    def as_term(self, operands: Sequence[Term]) -> Term:
        return (self.function, tuple(self.parameters.items()), *operands)

    @property
    def is_probability(self) -> bool:
        return self.function in ("Sigmoid", "HardSigmoid")

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        emit_function(emit, self.function, self.parameters, self.inputs[0], self.output)

    def quantize(self, quantizer: NodeQuantizer) -> None:
        quantizer.append_function(self, self.real)


def emit_function(
    emit: OnnxEmitter, function: str, parameters: Mapping[str, float], x: str, output: str | None = None
) -> str:
    """Emit function(x; parameters) in standard ONNX; returns the name of its value."""
    attributes: dict[str, Any] = dict(parameters)
    result: str
    if function in OTHERS:
        constant = emit.floats(np.float32(next(iter(attributes.values()), 2.0)))
        operands = [constant, x] if function in ("PowOf", "Divided") else [x, constant]
        result = emit.node("Div" if function == "Divided" else "Pow", operands, output)
        return result
    if function == "Swish":  # newer than the opset we write
        slope = emit.node("Sigmoid", [emit.node("Mul", [x, emit.floats(np.float32(attributes["alpha"]))])])
        result = emit.node("Mul", [x, slope], output)
        return result
    if function == "Gelu":
        attributes = {"approximate": "tanh" if attributes["approximate"] else "none"}
    result = emit.node(function, [x], output, **attributes)
    return result


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


def import_pow(node: OnnxNode) -> None:
    """Pow by a constant exponent, or of a constant base; each of one value."""
    for constant, x, function, parameter in ((1, 0, "Pow", "exponent"), (0, 1, "PowOf", "base")):
        if node.is_constant(constant):
            value = node.constant(constant, parameter)
            if value.size != 1 or prod(np.broadcast_shapes(value.shape, node.shape(x))) != prod(node.shape(x)):
                node.refuse(f"an {parameter} of shape {list(value.shape)}", "One value is supported.")
            node.graph.append(
                Activation(
                    name=node.name,
                    inputs=(node.inputs[x],),
                    outputs=node.outputs[:1],
                    function=function,
                    parameters={parameter: float(value.reshape(-1)[0])},
                )
            )
            return
    node.refuse("two activations", "A constant exponent or base is supported.")


ONNX = {**dict.fromkeys(FUNCTIONS, import_activation), "Pow": import_pow}
NODES = (Activation,)


def samples() -> Iterator[Sample]:
    spans = {"Acos": (-0.9, 0.9), "Asin": (-0.9, 0.9), "Atanh": (-0.9, 0.9), "Acosh": (1.2, 6.0), "Tan": (-1.2, 1.2)}
    spans |= {
        "Log": (0.5, 6.0),
        "Sqrt": (0.5, 6.0),
        "Reciprocal": (1.0, 4.0),
        "Exp": (-3.0, 1.0),
        "Cosh": (-2.0, 2.0),
        "Sinh": (-2.0, 2.0),
    }
    for name in FUNCTIONS:
        low, high = spans.get(name, (-6.0, 6.0))
        jumps = name in ("Ceil", "Floor", "Round", "Sign", "Shrink", "ThresholdedRelu")
        opset = 24 if name == "Swish" else 20
        yield one_node(name, {"x": (1, 2, 5)}, opset=opset, low=low, high=high, jumps=jumps)
    yield one_node("Pow", {"x": (1, 7)}, {"e": 3.0}, label="Pow_exponent")
    yield one_node("Pow", {"x": (1, 7)}, {"e": 2.0}, label="Pow_2")
    yield one_node("LeakyRelu", {"x": (1, 9)}, opset=7, alpha=0.3)
    yield one_node("Gelu", {"x": (1, 9)}, opset=20, approximate="tanh")
