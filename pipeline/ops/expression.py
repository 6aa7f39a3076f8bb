"""A function of one value that a file spells in several elementwise operators: one table, and comparisons in it.

Exporters write Softplus, Hardshrink or LogSigmoid so. The pass `expressions` joins what reads one tensor.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from pipeline.graph.facets import NodeQuantizer, OnnxEmitter
from pipeline.graph.ir import Graph, Node
from pipeline.graph.tensor import Array, Shape
from pipeline.graph.term import Term
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.ops.activation import FUNCTIONS, OTHERS, emit_function
from pipeline.ops.shared.samples import Sample

SUMMARY = "of one varying tensor and constants, together with the elementwise operators around: a 256-byte table"

_COMPARE: dict[str, Callable[..., Any]] = {
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Equal": np.equal,
}
_LOGIC: dict[str, Callable[..., Any]] = {
    "Not": lambda a: a == 0,
    "And": lambda a, b: (a != 0) & (b != 0),
    "Or": lambda a, b: (a != 0) | (b != 0),
    "Xor": lambda a, b: (a != 0) ^ (b != 0),
}
_REAL: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Max": np.maximum,
    "Min": np.minimum,
    "Where": lambda c, a, b: np.where(c != 0, a, b),
}


@dataclass(frozen=True, kw_only=True)
class Expression(Node):
    """y = term(inputs), element by element; truth is 1 and 0. All inputs have the shape of the output."""

    elementwise: ClassVar[bool] = True
    table_bytes: ClassVar[int] = 256

    term: Term

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (inputs[0],)

    def problem(self, graph: Graph) -> str | None:
        if len(self.inputs) == 1:
            return None
        return (
            f"compares or chooses between {self.inputs[0]!r} and {self.inputs[1]!r}, which do not come from one tensor"
        )

    def real(self, *inputs: Array) -> Array:
        """The function on float64."""
        with np.errstate(all="ignore"):
            return np.asarray(value_of(self.term, inputs), np.float64)

    def as_term(self, operands: Sequence[Term]) -> Term:
        return self.term

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        value = _emit_term(self.term, self.inputs, emit)
        emit.node("Identity", [value], self.output)

    def quantize(self, quantizer: NodeQuantizer) -> None:
        quantizer.append_function(self, self.real)


def value_of(term: Term, inputs: Sequence[Array]) -> Array:
    """The value of a term on float64 arrays."""
    kind = term[0]
    if kind == "input":
        return inputs[term[1]]
    if kind == "constant":
        return np.float64(term[1]) * np.ones((), np.float64)
    attributes, operands = dict(term[1]), [value_of(t, inputs) for t in term[2:]]
    if kind == "Clip":
        return np.clip(operands[0], attributes.get("low", -np.inf), attributes.get("high", np.inf))
    if kind in FUNCTIONS or kind in OTHERS:
        return (FUNCTIONS if kind in FUNCTIONS else OTHERS)[kind][1](*operands, **attributes)
    value: Array = (_REAL | _COMPARE | _LOGIC)[kind](*operands)
    return value


def _emit_term(term: Term, inputs: Sequence[str], emit: OnnxEmitter) -> str:
    """Emit a term; the name of its value in ONNX."""
    kind = term[0]
    if kind == "input":
        return inputs[term[1]]
    if kind == "constant":
        value: str = emit.floats(np.float32(term[1]))
        return value
    attributes, operands = dict(term[1]), [_emit_term(t, inputs, emit) for t in term[2:]]
    if kind == "Clip":
        value = emit.clip(
            operands[0], emit.fresh("clip"), attributes.get("low", -np.inf), attributes.get("high", np.inf)
        )
    elif kind in FUNCTIONS or kind in OTHERS:
        value = emit_function(emit, kind, attributes, operands[0])
    else:
        value = _operator(kind, operands, emit)
    return value


def _operator(kind: str, operands: list[str], emit: OnnxEmitter) -> str:
    """Emit an operator between the casts that ONNX wants where truths are floats; the name of its value."""
    truths = len(operands) if kind in _LOGIC else int(kind == "Where")
    operands = [emit.node("Cast", [n], to=TensorProto.BOOL) if i < truths else n for i, n in enumerate(operands)]
    value: str = emit.node(kind, operands)
    if kind not in _REAL:
        value = emit.node("Cast", [value], to=TensorProto.FLOAT)
    return value


def _import(node: OnnxNode) -> None:
    """Comparisons, logic and choice. Source: ONNX Greater, Less, Equal, Not, And, Or, Xor, Where."""
    varying = list(dict.fromkeys(n for i, n in enumerate(node.inputs) if not node.is_constant(i)))
    terms: list[Term] = []
    for i, name in enumerate(node.inputs):
        if name in varying:
            terms.append(("input", varying.index(name)))
            continue
        value = node.constant(i, "operand")
        if value.size != 1:
            node.refuse(f"an operand of shape {list(value.shape)}", "One value is supported.")
        terms.append(("constant", float(value.reshape(-1)[0])))
    shapes = {node.graph.tensors[n].shape for n in varying}
    if len(shapes) != 1:
        node.refuse(f"operands of shapes {sorted(map(list, shapes))}", "Equal shapes are supported.")
    expression = Expression(name=node.name, inputs=tuple(varying), outputs=node.outputs[:1], term=(node.op, (), *terms))
    node.graph.append(expression)


ONNX = dict.fromkeys((*_COMPARE, *_LOGIC, "Where"), _import)
NODES = (Expression,)


def samples() -> Iterator[Sample]:
    def sample(label: str, nodes: Sequence[Any], jumps: bool = True, **constants: float) -> Sample:
        protos = [helper.make_node(op, inputs.split(), [output]) for op, inputs, output in nodes]
        infos = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, 2, 7))] for n in "xy"]
        values = [numpy_helper.from_array(np.float32(v), n) for n, v in constants.items()]
        graph = helper.make_graph(protos, "expression", *infos, values)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return Sample(label, model, jumps=jumps)

    softplus = [("Greater", "x t", "g"), ("Exp", "x", "e"), ("Log", "s", "l"), ("Where", "g x l", "y")]
    softplus.insert(2, ("Add", "e one", "s"))
    yield sample("Where_softplus", softplus, jumps=False, t=20.0, one=1.0)
    hardshrink = [("Less", "x a", "l"), ("GreaterOrEqual", "x b", "g"), ("Or", "l g", "o"), ("Not", "o", "n")]
    yield sample("Where_hardshrink", [*hardshrink, ("Where", "n z x", "y")], a=-0.5, b=0.5, z=0.0)
    both = [("LessOrEqual", "x b", "l"), ("Greater", "x a", "g"), ("And", "l g", "o"), ("Xor", "o g", "r")]
    yield sample("Where_xor", [*both, ("Where", "r x o_", "s"), ("Mul", "s x", "y")], a=-0.5, b=0.5, o_=2.0)
    yield sample("Where_equal", [("Equal", "x z", "e"), ("Where", "e one x", "y")], z=9.0, one=1.0, jumps=False)
    yield sample("Log_of_Sigmoid", [("Sigmoid", "x", "s"), ("Log", "s", "y")], jumps=False)
