"""Float networks in ONNX Runtime: one thread, float kernels, so that the same file gives the same floats."""

import re
from collections.abc import Iterator, Mapping, Sequence
from textwrap import shorten

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state as state

from pipeline.facts.errors import ChipfitError
from pipeline.graph.tensor import Array
from pipeline.importing.onnx_qoperator import without_qoperators

_QDQ_OPS = ("QuantizeLinear", "DequantizeLinear")
_REFUSAL_ERRORS = (state.Fail, state.InvalidGraph, state.InvalidArgument, state.NotImplemented, state.InvalidProtobuf)


class FloatSession:
    """An ONNX model in ONNX Runtime, fed one sample at a time (the model's batch is 1).

    A quantized model is run with float kernels, each node by itself. ONNX Runtime's integer kernels, into which it
    also fuses Q/DQ pairs, add products of uint8 and int8 in 16 bits on x86 processors without VNNI: their answers
    depend on the machine.
    """

    def __init__(self, model: onnx.ModelProto, source: str | None = None) -> None:
        """`source`: the user's file that `model` is. Raises ChipfitError when ONNX Runtime refuses that."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        model = in_floats(model)
        if any(n.op_type in _QDQ_OPS for n in model.graph.node):
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except _REFUSAL_ERRORS as error:
            if source is None:
                raise
            raise ChipfitError(
                f"ONNX Runtime refuses it: {_reason(error)}", place=source, hint=_REFUSAL_HINT
            ) from error
        self.outputs: list[str] = [o.name for o in self._session.get_outputs()]

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> Iterator[dict[str, Array]]:
        """The wanted outputs by name, sample after sample of `feeds` (name -> (n, *shape) float32)."""
        names = list(outputs or self.outputs)
        count = len(next(iter(feeds.values())))
        for i in range(count):
            feed = {k: np.asarray(v[i], order="C") for k, v in feeds.items()}
            yield dict(zip(names, self._session.run(names, feed), strict=True))

    def stacked(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> dict[str, Array]:
        """The outputs of all samples: name -> (n, *shape)."""
        rows = list(self.run(feeds, outputs))
        return {k: np.stack([r[k] for r in rows]) for k in rows[0]}


_REFUSAL_HINT = (
    f"Export the model for an opset that ONNX Runtime {onnxruntime.__version__} takes, with the types that its "
    "operators have there (int16 in QuantizeLinear from opset 21 on)."
)


def _reason(error: Exception) -> str:
    """The error's message in one line, without ONNX Runtime's error code and position in its own source."""
    message = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", " ".join(str(error).split()))
    return shorten(re.sub(r"^/\S+:\d+ .*?\) ", "", message), 300, placeholder=" ...").rstrip(". ")


def batch_of_one(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with a dynamic or larger batch set to 1, as the import did."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    constants = {t.name for t in copy.graph.initializer}
    for value in copy.graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name not in constants and len(dims) and not dims[0].dim_value:
            dims[0].dim_value = 1
    del copy.graph.value_info[:]
    return copy


def in_floats(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with quantized operators as float ones between Q and DQ, and their weights dequantized.

    Below opset 13 DequantizeLinear knows no axis, and below 21 no int16: constants need neither. Raises
    ChipfitError for an operator that chooses scales at run time.
    """
    expanded = without_qoperators(model, model.graph.name)
    if expanded is model:
        return model
    constants = {t.name: t for t in expanded.graph.initializer}
    dequantized = onnx.ModelProto()
    dequantized.CopyFrom(expanded)
    del dequantized.graph.node[:]
    for node in expanded.graph.node:
        constant_inputs = [constants.get(i) for i in node.input]
        if node.op_type == "DequantizeLinear" and all(constant_inputs):
            axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
            real = _dequantized([numpy_helper.to_array(t) for t in constant_inputs if t is not None], axis)
            dequantized.graph.initializer.append(numpy_helper.from_array(real, node.output[0]))
        else:
            dequantized.graph.node.add().CopyFrom(node)
            dequantized.graph.node[
                -1
            ].name = ""  # ONNX Runtime refuses two nodes of one name, as the two inputs of an Add get
            scale = constant_inputs[1] if node.op_type == "DequantizeLinear" else None
            if scale is not None and np.prod(scale.dims) == 1:
                del dequantized.graph.node[-1].attribute[:]
    return dequantized


def _dequantized(tensors: Sequence[Array], axis: int) -> Array:
    """DequantizeLinear of (integers, scale, zero point unless 0), one scale for each index of `axis` or for all."""
    integers, scale, *zero = tensors
    shape = [1] * integers.ndim
    if scale.size > 1:
        shape[axis] = scale.size
    offset = zero[0].astype(np.int32).reshape(shape) if zero else 0
    real: Array = (integers.astype(np.int32) - offset).astype(np.float32) * scale.astype(np.float32).reshape(shape)
    return real
