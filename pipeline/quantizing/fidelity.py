"""Whether the integers of a network that came quantized are those of ONNX Runtime, layer by layer.

The model file is cut at every quantized tensor that the integer graph has, too: ONNX Runtime computes each of them from
the very integers that our layers before it made, so that one near tie does not make the next layers differ. What may
remain is explained by `rounding_bounds`: an integer that is at most half a step, plus what rounded factors, a rounded
bias and float32 can do, from ONNX Runtime's value before QuantizeLinear rounded it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from pipeline.graph.ir import Graph
from pipeline.graph.tensor import Array, Port, QuantParams
from pipeline.importing.onnx_constants import constants_of
from pipeline.importing.onnx_functions import inlined
from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.passes import canonical, stored_as
from pipeline.importing.passes.stored import Stored
from pipeline.ops import IMPORTS
from pipeline.ops.add import Add
from pipeline.ops.mul import Mul
from pipeline.ops.shared.linear import Linear
from pipeline.quantizing.onnx_runtime import FloatOracle, batch_of_one, in_floats
from pipeline.quantizing.rounding_bounds import deviation, precision

_LOWER = {"int8": 0, "int16": 0, "uint8": 128, "uint16": 32768}
"""How much lower an ONNX type's integers are kept here."""
_GIVEN = ".chipfit.given"
"""Behind a quantized tensor's name: our integers of it, which the file's next layers read."""


@dataclass(frozen=True)
class Difference:
    """One tensor of the model file, and the layer that makes it here.

    `unexplained` of its `values` are farther from what the framework has before it rounds than the rounding rule
    allows, which is `allowed` steps where it is most; `steps` is the largest difference of all, `first` the first
    unexplained sample.
    """

    tensor: str
    layer: str
    values: int
    differing: int
    unexplained: int
    steps: int
    allowed: float
    first: int | None


@dataclass(frozen=True)
class Comparison:
    """`tensors` in execution order; `left_out`: quantized tensors of the file that could not be compared."""

    samples: int
    tensors: tuple[Difference, ...]
    left_out: tuple[str, ...]

    @property
    def first(self) -> Difference | None:
        """The first tensor that nothing explains."""
        return next((t for t in self.tensors if t.unexplained), None)


def document(found: Comparison) -> dict[str, Any]:
    """A comparison as quantize.json has it."""
    return {
        "against": "ONNX Runtime",
        "why": "",
        "samples": found.samples,
        "tensors": len(found.tensors),
        "values": sum(t.values for t in found.tensors),
        "differing": sum(t.differing for t in found.tensors),
        "unexplained": sum(t.unexplained for t in found.tensors),
        "largest_difference": max((t.steps for t in found.tensors), default=0),
        "left_out": list(found.left_out),
        "first": asdict(found.first) if found.first else None,
    }


@dataclass(frozen=True, eq=False)
class _Point:
    """A tensor that both sides have. `real`: where the file holds it before rounding, `kind`: its ONNX type."""

    tensor: str
    real: str
    kind: str
    held: str
    stored: Stored
    quant: QuantParams | None


def compare(
    model: onnx.ModelProto, graph: Graph, samples: Sequence[Array], errors: Mapping[str, float] | None = None
) -> Comparison:
    """`graph` is the integer graph made of `model`, `samples` real inputs, (n, *onnx_shape) for each input port.

    `errors`: what constants cost that the file leaves float, from `rounding_bounds.constants`; without it layers that
    have any are left out. Raises ChipfitError for a model that cannot be imported.
    """
    model = batch_of_one(model)
    imported = graph_of(model, model.graph.name, graph.name)
    free = _free(canonical(imported, model.graph.name)) if errors is None else set()
    return _compared(model, graph, samples, stored_as(imported), set(imported.tensors), errors or {}, free)


def _free(graph: Graph) -> set[str]:
    """The layers of a float graph whose constants the file leaves float: weights, and operands beside an activation."""
    own = {n for n, t in graph.tensors.items() if t.data is not None and t.quant is None}
    linear = {n.name for n in graph.nodes if isinstance(n, Linear) and n.weights in own}
    return linear | {n.name for n in graph.nodes if isinstance(n, Add | Mul) and own & set(n.inputs)}


def compare_export(qdq: onnx.ModelProto, graph: Graph, samples: Sequence[Array]) -> Comparison:
    """As `compare`, for the model with Q/DQ pairs that `onnx_export` wrote of `graph`: stored as that is."""
    stored = {
        node.output[0]: Stored.as_is(node.name, len(graph.tensors[node.name].shape))
        for node in qdq.graph.node
        if node.op_type == "QuantizeLinear" and node.name in graph.tensors
    }
    return _compared(qdq, graph, samples, stored, set(), {}, set())


def _compared(
    model: onnx.ModelProto, graph: Graph, samples: Sequence[Array], stored: Mapping[str, Stored], chosen: set[str],
    errors: Mapping[str, float], free: set[str],
) -> Comparison:  # fmt: skip
    """`stored`: how the graph keeps tensors of the file; `chosen`: those of the graph whose scale no file says."""
    plain = inlined(in_floats(model), set(IMPORTS))
    cuts, left_out = _cuts(plain, graph, stored)
    kinds = {i.name: _INTEGERS.get(i.type.tensor_type.elem_type, np.float32) for i in plain.graph.input}
    exact = {c.held for c in cuts} | {p.tensor for p in graph.inputs if kinds[p.onnx_name] is not np.float32}
    bounds = deviation(graph, exact, chosen - exact, errors, free)
    named = {c.tensor for c in cuts}
    ends = [_end(p, graph) for p in graph.outputs if p.tensor not in exact and p.onnx_name not in named]
    points = [p for p in (*cuts, *ends) if np.isfinite(np.max(bounds[p.held][0]))]
    left_out += [p.tensor for p in (*cuts, *ends) if p not in points]
    oracle = FloatOracle(_cut_open(plain, cuts))
    tallies = [_Tally(p, graph, bounds[p.held]) for p in points]
    for i in range(len(samples[0])):
        integers = graph.integers([a[i : i + 1] for a in samples])
        kept: dict[str, Array] = {}
        graph.run(integers, kept.__setitem__)
        feeds = {}
        for p, a, q in zip(graph.inputs, samples, integers, strict=True):
            kind = kinds[p.onnx_name]
            feeds[p.onnx_name] = (a[i : i + 1] if kind is np.float32 else p.to_onnx(q)).astype(kind)
        feeds |= {c.tensor + _GIVEN: _raw(c, c.stored.to_file(kept[c.held])) for c in cuts}
        theirs = next(oracle.run(feeds)) | {n: v[0] for n, v in feeds.items()}
        for tally in tallies:
            tally.count(i, kept[tally.point.held], theirs)
    return Comparison(len(samples[0]), tuple(t.result() for t in tallies), tuple(left_out))


_INTEGERS = {TensorProto.INT8: np.int8, TensorProto.UINT8: np.uint8, TensorProto.INT16: np.int16}


def _raw(cut: _Point, values: Array) -> Array:
    """Our integers as the file's."""
    return (values.astype(np.int64) + _LOWER[cut.kind]).astype(cut.kind)


def _cuts(model: onnx.ModelProto, graph: Graph, stored: Mapping[str, Stored]) -> tuple[list[_Point], list[str]]:
    """Every QuantizeLinear of an activation that the integer graph has, in execution order; the names of the others."""
    constants = constants_of(model.graph)
    cuts, others = [], []
    for node in model.graph.node:
        if node.op_type != "QuantizeLinear" or node.input[0] in constants:
            continue
        name, zero = node.output[0], constants.get(node.input[2]) if len(node.input) > 2 else None
        kind = next((a.i for a in node.attribute if a.name == "output_dtype" and a.i), TensorProto.UINT8)
        kind = zero.data_type if zero is not None else kind
        held = graph.tensors.get(stored[name].name) if name in stored else None
        if held is None or held.data is not None or held.quant is None:
            others.append(name)
            continue
        numpy_kind = helper.tensor_dtype_to_np_dtype(kind).name
        cuts.append(_Point(name, node.input[0], numpy_kind, held.name, stored[name], held.quant))
    return cuts, others


def _end(port: Port, graph: Graph) -> _Point:
    """An output of the network."""
    stored = Stored(port.tensor, tuple(int(i) for i in np.argsort(port.perm)), len(port.perm))
    return _Point(port.onnx_name, port.onnx_name, "", port.tensor, stored, graph.tensors[port.tensor].quant)


def _cut_open(model: onnx.ModelProto, cuts: Sequence[_Point]) -> onnx.ModelProto:
    """The model whose layers read the integers of each cut from an input, and whose outputs are what they make."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.value_info[:]
    for node in made.graph.node:
        for i, name in enumerate(node.input):
            if any(c.tensor == name for c in cuts):
                node.input[i] = name + _GIVEN
    told = {v.name for v in (*made.graph.output, *made.graph.input)}
    for cut in cuts:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(cut.kind))
        made.graph.input.append(helper.make_tensor_value_info(cut.tensor + _GIVEN, kind, None))
        for name, of in ((cut.tensor, kind), (cut.real, TensorProto.FLOAT)):
            if name not in told:
                told.add(name)
                made.graph.output.append(helper.make_tensor_value_info(name, of, None))
    return made


class _Tally:
    """Counts of one point over samples."""

    def __init__(self, point: _Point, graph: Graph, bound: tuple[Array | float, ...]) -> None:
        self.point = point
        self.layer = next((n.name for n in graph.nodes if point.held in n.outputs), "the input")
        shape = (1, *graph.tensors[point.held].shape)
        self.precision = 0.0 if point.quant is None else precision(point.quant)
        allowed = np.asarray(bound[0]) + np.asarray(bound[1]) + self.precision
        self.allowed = point.stored.to_file(np.broadcast_to(allowed, shape))
        self.values = self.differing = self.unexplained = self.steps = 0
        self.first: int | None = None

    def count(self, sample: int, held: Array, theirs: Mapping[str, Array]) -> None:
        point, quant = self.point, self.point.quant
        ours = point.stored.to_file(held).astype(np.float64)
        real = theirs[point.real].reshape(ours.shape)
        if quant is None or real.dtype.kind in "iub":
            lower = _LOWER.get(real.dtype.name, 0) if quant is not None and held.dtype.kind == "i" else 0
            exact = rounded = real.astype(np.float64) - lower
        else:
            exact = np.clip(real.astype(np.float64) / quant.scale[0] + quant.zero_point, *quant.limits)
            rounded = np.rint(exact)
        if point.kind:
            rounded = theirs[point.tensor].reshape(ours.shape).astype(np.float64) - _LOWER[point.kind]
        # The second half says that the file's scale is ours.
        wrong = (np.abs(ours - exact) > self.allowed) | (np.abs(rounded - exact) > 0.5 + self.precision)
        off = np.abs(ours - rounded)
        self.values, self.differing = self.values + off.size, self.differing + int((off > 0).sum())
        self.unexplained, self.steps = self.unexplained + int(wrong.sum()), max(self.steps, int(off.max(initial=0)))
        if wrong.any() and self.first is None:
            self.first = sample

    def result(self) -> Difference:
        return Difference(
            self.point.tensor, self.layer, self.values, self.differing, self.unexplained, self.steps,
            float(self.allowed.max(initial=0)), self.first,
        )  # fmt: skip
