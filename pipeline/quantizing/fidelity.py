"""Whether the integers of a network that came quantized are those of ONNX Runtime, layer by layer.

The model file is cut at every quantized tensor that the integer graph has, too: ONNX Runtime computes each of them from
the very integers that our layers before it made, so that one near tie does not make the next layers differ. What may
remain is explained by `rounding_bounds`: an integer that is at most half a step, plus what rounded factors, a rounded
bias and float32 can do, from ONNX Runtime's value before QuantizeLinear rounded it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from pipeline.graph.ir import Graph
from pipeline.graph.rounding_bound import precision
from pipeline.graph.tensor import Array, Port, QuantParams
from pipeline.importing.onnx_constants import constants_of
from pipeline.importing.onnx_functions import inline_functions
from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.passes import canonical, stored_as
from pipeline.importing.passes.stored import Stored
from pipeline.ops import IMPORTS
from pipeline.ops.add import Add
from pipeline.ops.mul import Mul
from pipeline.ops.shared.linear import Linear
from pipeline.quantizing.onnx_runtime import FloatSession, batch_of_one, in_floats
from pipeline.quantizing.quantize_file import Compared, Difference
from pipeline.quantizing.rounding_bounds import deviation

_OFFSET_FROM_STORED = {"int8": 0, "int16": 0, "uint8": 128, "uint16": 32768}
"""What is subtracted from integers of an ONNX type to store them in a graph."""
_INPUT_SUFFIX = ".chipfit.given"
"""Behind a quantized tensor's name: our integers of it, which the file's next layers read."""


@dataclass(frozen=True)
class Comparison:
    """`tensors` in execution order; `left_out`: quantized tensors of the file that could not be compared."""

    samples: int
    tensors: tuple[Difference, ...]
    left_out: tuple[str, ...]

    @property
    def first(self) -> Difference | None:
        """The first tensor with an unexplained difference."""
        return next((t for t in self.tensors if t.unexplained), None)


def compared(comparison: Comparison) -> Compared:
    """The comparison in the form of quantize.json."""
    return Compared(
        against="ONNX Runtime",
        why="",
        samples=comparison.samples,
        tensors=len(comparison.tensors),
        values=sum(t.values for t in comparison.tensors),
        differing=sum(t.differing for t in comparison.tensors),
        unexplained=sum(t.unexplained for t in comparison.tensors),
        largest_difference=max((t.steps for t in comparison.tensors), default=0),
        left_out=comparison.left_out,
        first=comparison.first,
    )


@dataclass(frozen=True, eq=False)
class _ComparisonPoint:
    """A tensor that both sides have. `real`: where the file holds it before rounding, `onnx_dtype`: its ONNX type."""

    tensor: str
    real: str
    onnx_dtype: str
    graph_tensor: str
    stored: Stored
    quant: QuantParams | None


def compare(
    model: onnx.ModelProto, graph: Graph, samples: Sequence[Array], errors: Mapping[str, float] | None = None
) -> Comparison:
    """The comparison of `model` with the integer graph that it became, on real inputs, (n, *onnx_shape) for each port.

    `errors`: what constants cost that the file leaves float, from `rounding_bounds.constants`; without it layers that
    have any are left out. Raises ChipfitError for a model that cannot be imported.
    """
    model = batch_of_one(model)
    imported = graph_of(model, model.graph.name, graph.name)
    unprescribed = _unprescribed_layers(canonical(imported, model.graph.name)) if errors is None else set()
    return _compare(model, graph, samples, stored_as(imported), set(imported.tensors), errors or {}, unprescribed)


def _unprescribed_layers(graph: Graph) -> set[str]:
    """The layers of a float graph whose constants the file leaves float: weights, and operands beside an activation."""
    unprescribed = {n for n, t in graph.tensors.items() if t.data is not None and t.quant is None}
    linear = {n.name for n in graph.nodes if isinstance(n, Linear) and n.weights in unprescribed}
    return linear | {n.name for n in graph.nodes if isinstance(n, Add | Mul) and unprescribed & set(n.inputs)}


def compare_export(qdq: onnx.ModelProto, graph: Graph, samples: Sequence[Array]) -> Comparison:
    """The comparison of `graph` with its export, the model with Q/DQ pairs that `onnx_export` wrote: stored as that is.

    `samples`: real inputs, (n, *onnx_shape) for each input port.
    """
    stored = {
        node.output[0]: Stored.as_is(node.name, len(graph.tensors[node.name].shape))
        for node in qdq.graph.node
        if node.op_type == "QuantizeLinear" and node.name in graph.tensors
    }
    return _compare(qdq, graph, samples, stored, set(), {}, set())


def _compare(
    model: onnx.ModelProto, graph: Graph, samples: Sequence[Array], stored: Mapping[str, Stored], chosen: set[str],
    errors: Mapping[str, float], unprescribed: set[str],
) -> Comparison:  # fmt: skip
    """`stored`: how the graph keeps tensors of the file; `chosen`: those of the graph whose scale no file says."""
    float_ops = inline_functions(in_floats(model), set(IMPORTS))
    cuts, left_out = _cuts(float_ops, graph, stored)
    dtypes = {i.name: _INTEGER_DTYPES.get(i.type.tensor_type.elem_type, np.float32) for i in float_ops.graph.input}
    exact = {c.graph_tensor for c in cuts} | {p.tensor for p in graph.inputs if dtypes[p.onnx_name] is not np.float32}
    bounds = deviation(graph, exact, chosen - exact, errors, unprescribed)
    cut_tensors = {c.tensor for c in cuts}
    outputs = [
        _output_point(p, graph) for p in graph.outputs if p.tensor not in exact and p.onnx_name not in cut_tensors
    ]
    points = [p for p in (*cuts, *outputs) if np.isfinite(np.max(bounds[p.graph_tensor][0]))]
    left_out += [p.tensor for p in (*cuts, *outputs) if p not in points]
    session = FloatSession(_with_cuts_as_inputs(float_ops, cuts))
    tallies = [_Tally(p, graph, bounds[p.graph_tensor]) for p in points]
    for i in range(len(samples[0])):
        integers = graph.integers([a[i : i + 1] for a in samples])
        integer_values: dict[str, Array] = {}
        graph.run(integers, integer_values.__setitem__)
        feeds = {}
        for p, a, q in zip(graph.inputs, samples, integers, strict=True):
            dtype = dtypes[p.onnx_name]
            feeds[p.onnx_name] = (a[i : i + 1] if dtype is np.float32 else p.to_onnx(q)).astype(dtype)
        feeds |= {
            c.tensor + _INPUT_SUFFIX: _file_integers(c, c.stored.to_file(integer_values[c.graph_tensor])) for c in cuts
        }
        theirs = next(session.run(feeds)) | {n: v[0] for n, v in feeds.items()}
        for tally in tallies:
            tally.count(i, integer_values[tally.point.graph_tensor], theirs)
    return Comparison(len(samples[0]), tuple(t.result() for t in tallies), tuple(left_out))


_INTEGER_DTYPES = {TensorProto.INT8: np.int8, TensorProto.UINT8: np.uint8, TensorProto.INT16: np.int16}


def _file_integers(cut: _ComparisonPoint, values: Array) -> Array:
    """A tensor's integers in the ONNX type of the model file."""
    return (values.astype(np.int64) + _OFFSET_FROM_STORED[cut.onnx_dtype]).astype(cut.onnx_dtype)


def _cuts(
    model: onnx.ModelProto, graph: Graph, stored: Mapping[str, Stored]
) -> tuple[list[_ComparisonPoint], list[str]]:
    """Every QuantizeLinear of an activation that the integer graph has, in execution order; the names of the others."""
    constant_errors = constants_of(model.graph)
    cuts, others = [], []
    for node in model.graph.node:
        if node.op_type != "QuantizeLinear" or node.input[0] in constant_errors:
            continue
        name, zero_point = node.output[0], constant_errors.get(node.input[2]) if len(node.input) > 2 else None
        dtype = next((a.i for a in node.attribute if a.name == "output_dtype" and a.i), TensorProto.UINT8)
        dtype = zero_point.data_type if zero_point is not None else dtype
        tensor = graph.tensors.get(stored[name].name) if name in stored else None
        if tensor is None or tensor.data is not None or tensor.quant is None:
            others.append(name)
            continue
        numpy_dtype = helper.tensor_dtype_to_np_dtype(dtype).name
        cuts.append(_ComparisonPoint(name, node.input[0], numpy_dtype, tensor.name, stored[name], tensor.quant))
    return cuts, others


def _output_point(port: Port, graph: Graph) -> _ComparisonPoint:
    """An output of the network as a point to compare."""
    stored = Stored(port.tensor, tuple(int(i) for i in np.argsort(port.perm)), len(port.perm))
    return _ComparisonPoint(port.onnx_name, port.onnx_name, "", port.tensor, stored, graph.tensors[port.tensor].quant)


def _with_cuts_as_inputs(model: onnx.ModelProto, cuts: Sequence[_ComparisonPoint]) -> onnx.ModelProto:
    """The model whose layers read the integers of each cut from an input, and whose outputs are all points."""
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    del opened.graph.value_info[:]
    for node in opened.graph.node:
        for i, name in enumerate(node.input):
            if any(c.tensor == name for c in cuts):
                node.input[i] = name + _INPUT_SUFFIX
    listed = {v.name for v in (*opened.graph.output, *opened.graph.input)}
    for cut in cuts:
        dtype = helper.np_dtype_to_tensor_dtype(np.dtype(cut.onnx_dtype))
        opened.graph.input.append(helper.make_tensor_value_info(cut.tensor + _INPUT_SUFFIX, dtype, None))
        for name, tensor_dtype in ((cut.tensor, dtype), (cut.real, TensorProto.FLOAT)):
            if name not in listed:
                listed.add(name)
                opened.graph.output.append(helper.make_tensor_value_info(name, tensor_dtype, None))
    return opened


class _Tally:
    """Differences of one comparison point, counted over samples."""

    def __init__(self, point: _ComparisonPoint, graph: Graph, rounding_bound: tuple[Array | float, ...]) -> None:
        self.point = point
        self.layer = next((n.name for n in graph.nodes if point.graph_tensor in n.outputs), "the input")
        shape = (1, *graph.tensors[point.graph_tensor].shape)
        self.precision = 0.0 if point.quant is None else precision(point.quant)
        allowed = np.asarray(rounding_bound[0]) + np.asarray(rounding_bound[1]) + self.precision
        self.allowed = point.stored.to_file(np.broadcast_to(allowed, shape))
        self.values = self.differing = self.unexplained = self.steps = 0
        self.first: int | None = None

    def count(self, sample: int, values: Array, theirs: Mapping[str, Array]) -> None:
        point, quant = self.point, self.point.quant
        ours = point.stored.to_file(values).astype(np.float64)
        real = theirs[point.real].reshape(ours.shape)
        if quant is None or real.dtype.kind in "iub":
            lower = _OFFSET_FROM_STORED.get(real.dtype.name, 0) if quant is not None and values.dtype.kind == "i" else 0
            exact = rounded = real.astype(np.float64) - lower
        else:
            exact = np.clip(real.astype(np.float64) / quant.scale[0] + quant.zero_point, *quant.limits)
            rounded = np.rint(exact)
        if point.onnx_dtype:
            rounded = (
                theirs[point.tensor].reshape(ours.shape).astype(np.float64) - _OFFSET_FROM_STORED[point.onnx_dtype]
            )
        # The second half says that the file's scale is ours.
        wrong = (np.abs(ours - exact) > self.allowed) | (np.abs(rounded - exact) > 0.5 + self.precision)
        differences = np.abs(ours - rounded)
        self.values, self.differing = self.values + differences.size, self.differing + int((differences > 0).sum())
        self.unexplained, self.steps = (
            self.unexplained + int(wrong.sum()),
            max(self.steps, int(differences.max(initial=0))),
        )
        if wrong.any() and self.first is None:
            self.first = sample

    def result(self) -> Difference:
        return Difference(
            self.point.tensor, self.layer, self.values, self.differing, self.unexplained, self.steps,
            float(self.allowed.max(initial=0)), self.first,
        )  # fmt: skip
