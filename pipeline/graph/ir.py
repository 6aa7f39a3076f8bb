"""The one intermediate representation: nodes that refer to tensors by name, in a frozen graph.

The same types hold a network before and after quantization. A float graph has `float32` activations; an
integer graph has none (`Graph.verify` refuses one) and keeps every scale as metadata in `Tensor.quant`.
Spatial tensors are channels-last: `(batch, height, width, channels)`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np

from pipeline.graph.affine_form import AffineForm
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.struct import ShiftAndClamp
from pipeline.graph.rounding_bound import RoundingBound, precision
from pipeline.graph.tensor import DTYPES, INTEGER_DTYPES, Array, Port, QuantParams, Shape, Tensor
from pipeline.graph.term import Term

if TYPE_CHECKING:
    from pipeline.graph.facets import NodeQuantizer, OnnxEmitter

_AT_ONCE = 1 << 22
"""Elements of the largest activation that `Graph.run` holds at a time, over samples."""


ChannelEffect = Literal["mixed", "separate", "joined", "unknown"]
"""How output channels (of the last axis) are made: each from all input channels, through weights of its own; channel c
from input channel c alone; those of several inputs side by side; in another way."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One operation. Each operator is a subclass in `pipeline/ops/` that fills in the facets below.

    `inputs` and `outputs` are tensor names; constants come after activations in `inputs`.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    summary: ClassVar[str]
    """One line for the README's table of operators."""
    elementwise: ClassVar[bool] = False
    """Whether each output element depends on the input elements at its own position alone."""
    is_view: ClassVar[bool] = False
    """Whether the output is always its input's memory under another shape."""
    shares_memory: ClassVar[bool] = False
    """Whether inputs may lie in the output's memory, or it in theirs, so that nothing is copied."""
    follows_layout: ClassVar[bool] = False
    """Whether it computes the same in whatever layout its one activation is stored."""
    commutes_with_clamp: ClassVar[bool] = False
    """Whether clamping its input is clamping its output: it moves values, or takes the largest or least of several."""
    table_bytes: ClassVar[int] = 0
    """The table that it becomes once activations are int8."""

    @property
    def output(self) -> str:
        return self.outputs[0]

    @property
    def in_place(self) -> bool:
        """Whether its kernel may write over its first input."""
        return self.elementwise

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        """Output shapes from input shapes (constants included)."""
        raise NotImplementedError(type(self).__name__)

    def permuted(self, perm: tuple[int, ...], graph: "Graph") -> "Node | None":
        """The same operation on tensors stored transposed by `perm`, or None when there is no such one.

        Axis `a` of the original tensor is axis `perm[a]` of the stored one; a stored tensor of more axes has size 1
        along the others, which are the last of `perm`.
        """
        return self if self.elementwise else None

    def before_affine(self, form: AffineForm, target: Shape) -> "tuple[Node, AffineForm] | None":
        """This node on its input without the affine `form`, and its output's form; None when it cannot pass that on.

        `target` is the output's shape.
        """
        return None

    def fused_clamp(self, low: float, high: float) -> "Node | None":
        """This node with the clamp [low, high] on its output taken in, or None when it has no clamp."""
        return None

    def offset_in_input(self, graph: "Graph") -> int | None:
        """The byte of its first input at which the output begins, where that is one run of it; else None."""
        return None

    def offsets_in_output(self, graph: "Graph") -> tuple[int, ...] | None:
        """The byte of the output at which each input begins, where all lie there one behind the other; else None."""
        return None

    def selected_from(self, graph: "Graph") -> Sequence[Array] | None:
        """The constants of which output values may be, where each is one of them, an input's or a bound of its clamp;
        None where values are computed."""
        return None

    def as_term(self, operands: Sequence[Term]) -> Term | None:
        """The output, its clamp aside, as a function of single values of its inputs; None where it is no such one."""
        return None

    @property
    def is_probability(self) -> bool:
        """Whether its output is a probability, or several."""
        return False

    def channel_effect(self, graph: "Graph") -> ChannelEffect:
        """How output channels are made of input channels."""
        return "unknown"

    def channel_range(self, least: Array, most: Array, graph: "Graph") -> tuple[Array, Array] | None:
        """The least and the largest integer of each output channel from those of each input channel; None: any."""
        return None

    def with_channels(self, count: int) -> Self:
        """The same node with so many output channels; its constants are the caller's."""
        return self

    def problem(self, graph: "Graph") -> str | None:
        """Why no kernel can compute this instance once the layout is final; None when one can."""
        return None

    def to_onnx(self, graph: "Graph", emit: "OnnxEmitter") -> None:
        """Emit the float meaning in standard ONNX."""
        raise NotImplementedError(type(self).__name__)

    def ties(self) -> tuple[tuple[str, str], ...]:
        """Pairs of tensors that must share one scale and zero point."""
        return ()

    def fixed_output(self, dtype: str) -> QuantParams | None:
        """The output's quantization when the operator prescribes it (softmax: 1/256, -128 for int8)."""
        return None

    def quantize(self, quantizer: "NodeQuantizer") -> None:
        """Append integer nodes that compute this one to the graph of `quantizer`."""
        raise NotImplementedError(type(self).__name__)

    def meaning(self, inputs: Sequence[Array], graph: "Graph") -> tuple[Array, ...]:
        """Integer NumPy: the specification. Activations carry a leading sample axis, constants do not."""
        raise NotImplementedError(type(self).__name__)

    def arithmetic(self) -> str:
        """The rule of `pipeline.arithmetic.versions` that `meaning` follows."""
        raise NotImplementedError(type(self).__name__)

    def rounding_slack(self, graph: "Graph") -> float:
        """The error of rounded factors in steps of the output, besides the last rounding; infinite: none is proven."""
        return inf

    def rounding_gain(self, graph: "Graph") -> float:
        """The most steps by which one step of any input moves the output."""
        return inf

    def rounding_bound(self, graph: "Graph") -> RoundingBound:
        """How far an integer node may be from the real value that it stands for."""
        quant = graph.tensors[self.output].quant
        if quant is None:
            return RoundingBound(0.0, inf, 0.0)
        return RoundingBound(self.rounding_slack(graph), self.rounding_gain(graph), precision(quant))

    def macs(self, graph: "Graph") -> int:
        """Multiply-accumulates of one inference."""
        return 0

    def calls(self, graph: "Graph") -> Sequence[KernelCall]:
        """The kernel calls that compute it, in order; none for a pure view."""
        raise NotImplementedError(type(self).__name__)

    def renamed(self, names: Mapping[str, str]) -> Self:
        """The same node on other tensors."""
        return replace(
            self,
            inputs=tuple(names.get(n, n) for n in self.inputs),
            outputs=tuple(names.get(n, n) for n in self.outputs),
        )


@dataclass(frozen=True, kw_only=True)
class ClampedNode(Node):
    """A node whose output is clamped to [low, high] (real values) at no cost, by its requantization."""

    low: float = -inf
    high: float = inf

    def fused_clamp(self, low: float, high: float) -> Self:
        return replace(self, low=min(max(self.low, low), high), high=max(min(self.high, high), low))


@dataclass(frozen=True, kw_only=True)
class ScaledNode(ClampedNode):
    """A clamped node whose integer meaning ends in y = (accumulator + offset) >> shift, clamped to [bottom, top].

    The rounding constant and the zero points are in the offset. The fields mean nothing in a float graph.
    """

    offset: int = 0
    shift: int = 0
    bottom: int = -128
    top: int = 127

    def shift_and_clamp(self, accumulator: Array) -> Array:
        """Add the offset to an int64 accumulator, shift it right and clamp it."""
        return np.clip((accumulator + self.offset) >> self.shift, self.bottom, self.top)

    def arithmetic(self) -> str:
        return "scaled"

    def epilogue(self) -> ShiftAndClamp:
        """The last step's fields as every kernel names them."""
        return {"offset": self.offset, "shift": self.shift, "low": self.bottom, "high": self.top}


@dataclass(frozen=True)
class Graph:
    """A network: tensors by name, nodes in execution order, ports in the order of the model file."""

    name: str
    tensors: Mapping[str, Tensor]
    nodes: tuple[Node, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    opset: int = field(default=0, compare=False)

    @property
    def macs(self) -> int:
        return sum(n.macs(self) for n in self.nodes)

    @property
    def quantized_inputs(self) -> bool:
        """Whether every input is an integer with a scale."""
        return all(self.tensors[p.tensor].quant is not None for p in self.inputs)

    @property
    def integer(self) -> bool:
        """Whether no tensor is float: the model file was quantized already."""
        return all(t.dtype != "float32" for t in self.tensors.values())

    def shapes_of(self, names: Sequence[str]) -> list[Shape]:
        return [self.tensors[n].shape for n in names]

    def constant(self, name: str) -> Array:
        """The data of a constant tensor; a bug if it is not one."""
        data = self.tensors[name].data
        assert data is not None, f"{name} is not a constant"
        return data

    def is_constant(self, name: str) -> bool:
        return self.tensors[name].data is not None

    def constants_of(self, node: Node) -> list[Array]:
        """The data of the node's inputs that are constants."""
        return [self.constant(n) for n in node.inputs if self.is_constant(n)]

    def activations(self, node: Node) -> tuple[str, ...]:
        """The node's inputs that are not constants."""
        return tuple(n for n in node.inputs if not self.is_constant(n))

    def consumers(self) -> dict[str, list[Node]]:
        """Every tensor's readers, in execution order."""
        readers: dict[str, list[Node]] = {n: [] for n in self.tensors}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                readers[name].append(node)
        return readers

    def verify(self, *, integer: bool) -> None:
        """Raise AssertionError unless the graph is legal: an executable specification of what passes may make.

        Legal: every name defined once and before its use, shapes as the operators say, only known dtypes,
        and, with `integer`, no float tensor anywhere and every activation quantized or a plain index.
        """
        defined = {n for n, t in self.tensors.items() if t.data is not None}
        defined |= {p.tensor for p in self.inputs}
        for node in self.nodes:
            for name in node.inputs:
                assert name in defined, f"{node.name}: input {name!r} is used before it is made"
            expected = node.shapes(self.shapes_of(node.inputs))
            for name, shape in zip(node.outputs, expected, strict=True):
                assert name not in defined, f"{node.name}: {name!r} is made twice"
                assert self.tensors[name].shape == shape, f"{name}: {self.tensors[name].shape} != {shape}"
                defined.add(name)
        for port in self.outputs:
            assert port.tensor in defined, f"output {port.tensor!r} is never made"
        for name, tensor in self.tensors.items():
            assert name == tensor.name
            assert tensor.dtype in (INTEGER_DTYPES if integer else DTYPES), f"{name} is {tensor.dtype}"
            assert tensor.data is None or tensor.data.shape == tensor.shape

    def integers(self, samples: Sequence[Array]) -> list[Array]:
        """Real samples (n, *onnx_shape), one array per input port, as the integers that `run` takes."""
        return [self.tensors[p.tensor].stored(p.to_stored(a)) for p, a in zip(self.inputs, samples, strict=True)]

    def run(self, inputs: Sequence[Array], keep: Callable[[str, Array], None] | None = None) -> list[Array]:
        """Run the integer meaning on samples.

        `inputs`: one integer array per input port, (samples, *stored shape). Returns one array per output
        port, (samples, *stored shape). `keep` sees every activation as it is made.
        """
        count = len(inputs[0]) if inputs else 0
        step = max(1, _AT_ONCE // max((t.size for t in self.tensors.values() if t.data is None), default=1))
        if keep is not None or count <= step:
            return self._run(inputs, keep)
        parts = [self._run([a[at : at + step] for a in inputs], None) for at in range(0, count, step)]
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    def _run(self, inputs: Sequence[Array], keep: Callable[[str, Array], None] | None) -> list[Array]:
        values: dict[str, Array] = {n: t.data for n, t in self.tensors.items() if t.data is not None}
        last = {name: node for node in self.nodes for name in self.activations(node)}
        ends = {p.tensor for p in self.outputs}
        for port, array in zip(self.inputs, inputs, strict=True):
            values[port.tensor] = array
            if keep:
                keep(port.tensor, array)
        for node in self.nodes:
            results = node.meaning([values[n] for n in node.inputs], self)
            for name, array in zip(node.outputs, results, strict=True):
                values[name] = array.astype(self.tensors[name].dtype)
                if keep:
                    keep(name, values[name])
            for name in self.activations(node):
                if last[name] is node and name not in ends:
                    values.pop(name, None)
        return [values[p.tensor] for p in self.outputs]
