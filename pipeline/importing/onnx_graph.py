"""ONNX to a float graph: constants folded, every operator read by its own module, or refused by name."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from pipeline.facts.errors import ChipfitError, Place, did_you_mean
from pipeline.graph.builder import GraphBuilder
from pipeline.graph.ir import Graph
from pipeline.graph.tensor import Array, Port, QuantParams, Shape, Tensor
from pipeline.importing.onnx_fold import ConstantFolder, TooMuchWork
from pipeline.importing.onnx_functions import inline_functions
from pipeline.importing.onnx_integers import input_params, mark_integers, with_real_values
from pipeline.importing.onnx_needed import live_nodes
from pipeline.importing.onnx_qoperator import MICROSOFT, without_qoperators
from pipeline.importing.onnx_sparse import densify
from pipeline.model_files.node import MALFORMED
from pipeline.model_files.onnx_file import load_onnx
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.ops import IMPORTS

MAX_ELEMENTS = 1 << 26
OLDEST_OPSET = 7
_STANDARD_DOMAINS = ("", "ai.onnx")
_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
_INTEGER_INPUTS = {
    onnx.TensorProto.INT8: "int8",
    onnx.TensorProto.UINT8: "uint8",
    onnx.TensorProto.INT16: "int16",
}
_STANDARD_OPS_ELSEWHERE = ((MICROSOFT, "QuantizeLinear"), (MICROSOFT, "DequantizeLinear"))
"""Operators of other domains with the meaning of the standard ones of their names."""
_EXPORT_AGAIN_HINT = "Train or export the model again."
_FOLD_HINT = "Let the exporter fold constants, or store the result as an initializer."


def import_onnx(path: Path, shown: str, name: str) -> Graph:
    """The float graph of an ONNX file, in the file's own layout; `pipeline.importing.passes` make it canonical.

    Raises ChipfitError with the model's path (`shown`) for everything it cannot take.
    """
    return graph_of(load_onnx(path, shown), shown, name)


def graph_of(model: onnx.ModelProto, shown: str, name: str) -> Graph:
    """The float graph of a loaded and checked ONNX model; see `import_onnx`. Raises ChipfitError."""
    return _Importer(
        inline_functions(without_qoperators(densify(model, shown), shown), set(IMPORTS)), shown, name
    ).run()


def type_name(kind: int) -> str:
    """ONNX's name of an element type, or its number when it has none."""
    return onnx.TensorProto.DataType.Name(kind) if kind in onnx.TensorProto.DataType.values() else f"number {kind}"


class _Importer:
    def __init__(self, model: onnx.ModelProto, shown: str, name: str) -> None:
        self.proto, self.shown = model.graph, shown
        self.opset = max((o.version for o in model.opset_import if o.domain in _STANDARD_DOMAINS), default=0)
        self.nodes, self.read_names = live_nodes(self.proto)
        self.builder, self.folder = GraphBuilder(name, shown), ConstantFolder(self.opset)
        self.integer_types: dict[str, str] = {}
        """ONNX types of the file's tensors that hold integers, by name; all others hold real values."""
        self.folded_nodes: set[int] = set()
        """Numbers of the nodes that are folded to constants."""

    def fail(self, message: str, hint: str = "") -> ChipfitError:
        return ChipfitError(message, place=Place(self.shown), hint=hint)

    def run(self) -> Graph:
        if self.opset < OLDEST_OPSET:
            raise self.fail(
                f"has opset {self.opset}, expected {OLDEST_OPSET} or later", "Export it with a newer opset."
            )
        self.refuse_unknown()
        for tensor in self.proto.initializer:
            self.builder.add(Tensor.constant(tensor.name, self.as_array(tensor)))
        inputs = [self.input_port(i) for i in self.proto.input if i.name not in self.builder.tensors]
        if not inputs:
            raise self.fail("has no input")
        for index, node in self.nodes:
            if index not in self.folded_nodes:
                self.node(node, node.name or f"{node.op_type}_{index}")
        name, times = max(Counter(o.name for o in self.proto.output).items(), key=lambda i: i[1], default=("", 0))
        if times > 1:
            raise self.fail(f"lists output {name!r} {times} times, expected once", "List it once in the graph.")
        outputs = [self.output_port(o) for o in self.proto.output]
        if not outputs:
            raise self.fail("has no output")
        return self.builder.build(inputs, outputs, self.opset)

    def refuse_unknown(self) -> None:
        known = {*IMPORTS, "Constant"}
        computed = {o for n in self.proto.node for o in n.output}
        constant = {t.name for t in self.proto.initializer}
        for _, node in self.nodes:
            if all(i in constant or not i for i in node.input) and computed:
                constant |= set(node.output)  # folded whatever it is
            elif (node.domain, node.op_type) in _STANDARD_OPS_ELSEWHERE:
                continue
            elif node.op_type not in known or node.domain not in _STANDARD_DOMAINS:
                if node.op_type in ("Shape", "Size") and node.domain in _STANDARD_DOMAINS:
                    constant |= set(node.output)
                    continue
                full_name = f"{node.domain}.{node.op_type}" if node.domain not in _STANDARD_DOMAINS else node.op_type
                raise self.fail(
                    f"operator {full_name} (node {node.name!r}) is not supported",
                    f"Supported: {', '.join(sorted(known))}.",
                )

    def as_array(self, tensor: onnx.TensorProto) -> Array:
        if (
            np.prod([max(d, 0) for d in tensor.dims], dtype=np.float64) > MAX_ELEMENTS
            or min(tensor.dims, default=0) < 0
        ):
            raise self.fail(f"tensor {tensor.name!r} has an impossible shape {list(tensor.dims)}")
        try:
            array: Array = numpy_helper.to_array(tensor)
        except (ValueError, TypeError, KeyError) as error:
            raise self.fail(f"tensor {tensor.name!r} does not hold its shape {list(tensor.dims)}") from error
        return self.finite_float32(array, tensor.name)

    def finite_float32(self, array: Array, name: str) -> Array:
        """The array, floats as float32. Raises ChipfitError where it has several values and one is not finite."""
        if array.dtype.kind == "f":
            with np.errstate(over="ignore", invalid="ignore"):  # refused below
                array = array.astype(np.float32)
            if not np.isfinite(array).all() and array.size > 1:
                raise self.fail(f"tensor {name!r} holds NaN or infinity", _EXPORT_AGAIN_HINT)
        return array

    def input_port(self, value: onnx.ValueInfoProto) -> Port:
        kind = value.type.tensor_type
        if kind.elem_type not in (*_FLOATS, *_INTEGER_INPUTS):
            known = type_name(kind.elem_type)
            raise self.fail(
                f"input {value.name!r} has type {known}, expected a float or a quantized tensor",
                "Export it as a float, uint8, int8 or int16 input.",
            )
        shape: list[int] = []
        for axis, dim in enumerate(kind.shape.dim):
            static = dim.HasField("dim_value") and dim.dim_value > 0
            if not static and axis > 0:
                label = f" ({dim.dim_param})" if dim.dim_param else ""
                raise self.fail(
                    f"input {value.name!r} has a dynamic axis {axis}{label}; only the batch may be dynamic",
                    "Export the model with fixed sizes.",
                )
            shape.append(dim.dim_value if static else 1)
        if not kind.HasField("shape") or np.prod(shape, dtype=np.float64) > MAX_ELEMENTS:
            raise self.fail(f"input {value.name!r} has no usable shape {shape}")
        quant = None
        if kind.elem_type in _INTEGER_INPUTS:
            self.integer_types[value.name] = _INTEGER_INPUTS[kind.elem_type]
            quant = self.input_params(value.name)
        self.builder.add(Tensor(value.name, tuple(shape), "float32", None, quant))
        return self.port(value.name)

    def input_params(self, name: str) -> QuantParams:
        try:
            return input_params([n for _, n in self.nodes], name, self.integer_types[name], self.constant_before)
        except LookupError as error:
            raise self.fail(
                f"input {name!r} is read by a DequantizeLinear whose scale or zero point {error.args[0]!r} is not "
                "made of constants alone",
                _FOLD_HINT,
            ) from error

    def constant_before(self, name: str) -> Array | None:
        """The constant of a name, before the nodes of the file are read; what it is computed from is folded first."""
        names, nodes = {name}, list[tuple[int, onnx.NodeProto]]()
        for index, node in reversed(self.nodes):
            if names & set(node.output) and not any(o in self.builder.tensors for o in node.output):
                names |= set(node.input)
                nodes.append((index, node))
        for index, node in reversed(nodes):
            if all(not i or self.constant(i) is not None for i in node.input):
                self.node(node, node.name or f"{node.op_type}_{index}")
                self.folded_nodes.add(index)
        return self.constant(name)

    def output_port(self, value: onnx.ValueInfoProto) -> Port:
        name, kind = value.name, value.type.tensor_type.elem_type
        tensor = self.builder.tensors.get(self.builder.resolved(name))
        if tensor is None or tensor.data is not None:
            raise self.fail(f"output {name!r} does not depend on any input")
        real = tensor.dtype == "float32" and name not in self.integer_types
        if (real and kind not in (0, *_FLOATS)) or self.integer_types.get(name) == "uint16":
            known = type_name(kind)
            raise self.fail(
                f"output {name!r} has type {known}", "Put a QuantizeLinear to int8, uint8 or int16 before it."
            )
        return self.port(name)

    def port(self, name: str) -> Port:
        stored = self.builder.resolved(name)
        shape = self.builder.tensors[stored].shape
        unsigned = self.integer_types.get(name) == "uint8"
        return Port(stored, name, shape, tuple(range(len(shape))), unsigned)

    def node(self, proto: onnx.NodeProto, name: str) -> None:
        inputs = [self.builder.resolved(i) for i in proto.input]
        missing = [i for i in inputs if i and i not in self.builder.tensors]
        if missing:
            raise self.fail(f"node {name!r} reads {missing[0]!r}, which nothing made")
        defined_twice = [o for o in proto.output if o in self.builder.tensors]
        if defined_twice:
            raise self.fail(f"node {name!r} makes {defined_twice[0]!r} a second time")
        if proto.op_type in ("Shape", "Size"):
            self.shape_operator(proto)
        elif proto.op_type in ("QuantizeLinear", "DequantizeLinear"):
            self.read_operator(proto, name)
        elif all(not i or self.builder.data(i) is not None for i in inputs):
            self.fold_constants(proto, name)
        else:
            self.read_operator(proto, name)

    def shape_operator(self, proto: onnx.NodeProto) -> None:
        shape: Shape = self.builder.tensors[self.builder.resolved(proto.input[0])].shape
        bounds = {a.name: a.i for a in proto.attribute}
        value = np.array(shape[bounds.get("start", 0) : bounds.get("end", len(shape))], np.int64)
        if proto.op_type == "Size":
            value = np.array(np.prod(shape), np.int64)
        self.builder.add(Tensor.constant(proto.output[0], value))

    def fold_constants(self, proto: onnx.NodeProto, name: str) -> None:
        """Evaluate a node of constants with ONNX's own reference evaluator."""
        try:
            results = self.folder.evaluate(proto, self.constant)
        except TooMuchWork as error:
            raise self.fail(f"{proto.op_type} node {name!r} of constants: {error}", _FOLD_HINT) from error
        except Exception as error:  # the evaluator raises whatever NumPy raises
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise self.fail(f"{proto.op_type} node {name!r} of constants cannot be evaluated: {first}") from error
        for output, value in zip(proto.output, results, strict=False):
            if output:
                self.builder.add(Tensor.constant(output, self.finite_float32(np.asarray(value), output)))

    def constant(self, name: str) -> Array | None:
        stored = self.builder.resolved(name)
        return self.builder.data(stored) if stored in self.builder.tensors else None

    def read_operator(self, proto: onnx.NodeProto, name: str) -> None:
        reader = IMPORTS.get(proto.op_type)
        if reader is None:
            raise self.fail(f"operator {proto.op_type} is not supported", did_you_mean(proto.op_type, list(IMPORTS)))
        inputs = tuple(self.builder.resolved(i) for i in proto.input)
        high_rank = [i for i in inputs if i and len(self.builder.tensors[i].shape) > 8]
        if high_rank:
            raise self.fail(f"{proto.op_type} node {name!r}: {high_rank[0]!r} has more than 8 dimensions")
        node = OnnxNode(
            op=proto.op_type,
            name=name,
            inputs=inputs,
            outputs=tuple(
                o if not i or proto.op_type == "Split" or o in self.read_names else ""
                for i, o in enumerate(proto.output)
            ),
            attributes={a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute},
            opset=self.opset,
            graph=self.builder,
            file=self.shown,
            kinds=tuple(self.integer_types.get(i, "") for i in proto.input),
        )
        first = len(self.builder.nodes)
        self.refuse_nan(node)
        try:
            reader(with_real_values(node))
            mark_integers(self.builder, node, first)
        except MALFORMED as error:
            raise node.malformed(error) from error
        self.integer_types |= node.results

    def refuse_nan(self, node: OnnxNode) -> None:
        """No parameter is NaN: not an attribute, not a constant of one value; for larger ones see `finite_float32`."""
        for key, value in node.attributes.items():
            if isinstance(value, float) and np.isnan(value):
                node.refuse(f"its attribute {key} is NaN", _EXPORT_AGAIN_HINT)
            if isinstance(value, list) and any(isinstance(v, float) and np.isnan(v) for v in value):
                node.refuse(f"its attribute {key} holds NaN", _EXPORT_AGAIN_HINT)
        for index, name in enumerate(node.inputs):
            data = self.builder.data(name) if name else None
            if data is not None and data.dtype.kind == "f" and data.size == 1 and np.isnan(data).any():
                node.refuse(f"its input {index} ({name!r}) is NaN", _EXPORT_AGAIN_HINT)
