"""Reader of TensorFlow Lite flatbuffers that may be broken or hostile: every offset, length and number is checked.

What comes out is plain data; nothing later touches the flatbuffer but for an operator's own options.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tflite

from pipeline.facts.errors import ChipfitError, Place
from pipeline.facts.files import MAX_MODEL, absence_reason, file_size, is_file
from pipeline.graph.tensor import Array, Shape

MAX_BYTES = MAX_MODEL
MAX_ELEMENTS = 1 << 26
MAX_ITEMS = 20_000
_MAX_VALUES = 1 << 26
"""Values of all tensors together at most."""
_HEADER_BYTES = 8
"""Bytes of the flatbuffer up to the end of its file identifier."""
_PER_INDEX = 64
"""Values that one tensor index counts for: it becomes a Python number."""
_HINT = "Convert the model again, or copy the whole file."
_DTYPES = {
    tflite.TensorType.FLOAT32: "float32",
    tflite.TensorType.FLOAT16: "float16",
    tflite.TensorType.INT8: "int8",
    tflite.TensorType.UINT8: "uint8",
    tflite.TensorType.INT16: "int16",
    tflite.TensorType.INT32: "int32",
    tflite.TensorType.INT64: "int64",
    tflite.TensorType.BOOL: "bool",
}
_OPERATORS = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
_OPTIONS_NAMES = {v: k for k, v in vars(tflite.BuiltinOptions).items() if isinstance(v, int)}
WITHOUT_OPTIONS = ("ELU", "LOGISTIC", "PRELU", "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "TANH")
OPTIONS = {
    "ADD": "AddOptions",
    "ARG_MAX": "ArgMaxOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "CONCATENATION": "ConcatenationOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "DEQUANTIZE": "DequantizeOptions",
    "EXPAND_DIMS": "ExpandDimsOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "HARD_SWISH": "HardSwishOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "MUL": "MulOptions",
    "PACK": "PackOptions",
    "PAD": "PadOptions",
    "PADV2": "PadV2Options",
    "QUANTIZE": "QuantizeOptions",
    "RESHAPE": "ReshapeOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "SHAPE": "ShapeOptions",
    "SLICE": "SliceOptions",
    "SOFTMAX": "SoftmaxOptions",
    "SPLIT": "SplitOptions",
    "SQUEEZE": "SqueezeOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "SUB": "SubOptions",
    "TRANSPOSE": "TransposeOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
    "UNPACK": "UnpackOptions",
}
"""The type of an operator's options. Source: schema.fbs and TFLite's flatbuffer_conversions."""
_BROKEN = (struct.error, ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True, eq=False)
class TfliteTensor:
    """One tensor. `scales` is empty when it is not quantized, else one entry or one for each index of `axis`."""

    name: str
    shape: Shape
    dtype: str
    data: Array | None
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int
    dynamic: bool


@dataclass(frozen=True, eq=False)
class TfliteOperator:
    """One operator; `options` is its table in the flatbuffer, of the kind that its code prescribes, or None."""

    code: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any


@dataclass(frozen=True, eq=False)
class TfliteModel:
    tensors: tuple[TfliteTensor, ...]
    operators: tuple[TfliteOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def load_tflite(path: Path, shown: str) -> TfliteModel:
    """The checked model in the file at `path`; `shown` is the path as the user wrote it, for messages.

    Raises ChipfitError for a file that is missing, too large, damaged, or not TensorFlow Lite.
    """
    if not is_file(path):
        raise ChipfitError(absence_reason(path), place=Place(shown), hint="Check model.source in the product YAML.")
    if file_size(path) > MAX_BYTES:
        raise ChipfitError(f"the file has {file_size(path)} bytes, the limit is {MAX_BYTES}", place=Place(shown))
    try:
        with path.open("rb") as file:
            _check_identifier(file.read(_HEADER_BYTES), shown)
            file.seek(0)
            data = file.read()
    except OSError as error:
        raise ChipfitError(
            f"cannot be read: {error.strerror}", place=Place(shown), hint="Check model.source in the product YAML."
        ) from error
    return parse_tflite(data, shown)


def parse_tflite(data: bytes, shown: str) -> TfliteModel:
    """The checked model in the bytes of a file; raises ChipfitError where they are damaged or not TensorFlow Lite."""
    _check_identifier(data[:_HEADER_BYTES], shown)
    try:
        return _Reader(data, shown).model()
    except _BROKEN as error:
        raise ChipfitError("is damaged or truncated", place=Place(shown), hint=_HINT) from error


def _check_identifier(header: bytes, shown: str) -> None:
    if header[4:] != b"TFL3":
        raise ChipfitError("is not a TensorFlow Lite file", place=Place(shown), hint=_HINT)


class _Reader:
    def __init__(self, data: bytes, shown: str) -> None:
        self.data, self.shown, self.values_left = data, shown, _MAX_VALUES
        self.proto = tflite.Model.GetRootAsModel(data, 0)

    def fail(self, message: str, hint: str = _HINT) -> ChipfitError:
        return ChipfitError(message, place=Place(self.shown), hint=hint)

    def spend(self, values: int) -> None:
        """Count values that are copied out of the file: many tensors may name the same bytes."""
        self.values_left -= values
        if self.values_left < 0:
            raise self.fail(f"its tensors hold more than {_MAX_VALUES} values", "No microcontroller holds that.")

    def ints(self, array: Any) -> tuple[int, ...]:
        """The numbers of a flatbuffer vector; none for an absent one, for which the package `tflite` gives 0."""
        if isinstance(array, int):
            return ()
        if len(array) > MAX_ITEMS:
            raise self.fail(f"has a list of {len(array)} sizes or tensors, the limit is {MAX_ITEMS}")
        values: Sequence[int] = np.asarray(array).reshape(-1).tolist()
        return tuple(values)

    def model(self) -> TfliteModel:
        if self.proto.Version() != 3:
            raise self.fail(f"has schema version {self.proto.Version()}, expected 3")
        if self.proto.SubgraphsLength() != 1:
            raise self.fail(
                f"has {self.proto.SubgraphsLength()} subgraphs, expected 1",
                "Control flow is not supported: convert a plain feed-forward network.",
            )
        graph = self.proto.Subgraphs(0)
        counts = (graph.TensorsLength(), graph.OperatorsLength(), self.proto.BuffersLength())
        if max(counts) > MAX_ITEMS or self.proto.OperatorCodesLength() > MAX_ITEMS:
            raise self.fail(f"has {max(counts)} tensors, operators or buffers, the limit is {MAX_ITEMS}")
        tensors = tuple(self.tensor(graph.Tensors(i), i) for i in range(counts[0]))
        operators = tuple(self.operator(graph.Operators(i)) for i in range(counts[1]))
        inputs, outputs = self.ints(graph.InputsAsNumpy()), self.ints(graph.OutputsAsNumpy())
        for index in (*inputs, *outputs):
            if not 0 <= index < len(tensors):
                raise self.fail(f"its inputs or outputs name tensor {index}, which does not exist")
        for operator in operators:
            for index in (*operator.inputs, *operator.outputs):
                if not -1 <= index < len(tensors):
                    raise self.fail(f"a {operator.code} names tensor {index}, which does not exist")
        return TfliteModel(tensors, operators, inputs, outputs)

    def tensor(self, proto: Any, index: int) -> TfliteTensor:
        name_bytes = proto.Name() or b""
        self.spend(len(name_bytes))
        name = name_bytes.decode("utf-8", "replace") or f"tensor_{index}"
        dtype = _DTYPES.get(proto.Type())
        if dtype is None:
            dtype = next((k.lower() for k, v in vars(tflite.TensorType).items() if v == proto.Type()), "unknown")
        shape, signature = self.ints(proto.ShapeAsNumpy()), self.ints(proto.ShapeSignatureAsNumpy())
        if proto.Sparsity() is not None:
            raise self.fail(f"tensor {name!r} is stored sparse", "Convert the model without sparse encoding.")
        if min(shape, default=1) < 0 or prod(map(float, shape)) > MAX_ELEMENTS or len(shape) > 8:
            raise self.fail(f"tensor {name!r} has an impossible shape {list(shape)}")
        scales, zeros, axis = self.quantization(proto, name, dtype, shape)
        data = self.buffer(proto.Buffer(), name, dtype, shape)
        dynamic = any(s < 0 for s in signature[1:])
        return TfliteTensor(name, shape, dtype, data, scales, zeros, axis, dynamic)

    def quantization(
        self, proto: Any, name: str, dtype: str, shape: Shape
    ) -> tuple[tuple[float, ...], tuple[int, ...], int]:
        quantization = proto.Quantization()
        if quantization is None or quantization.ScaleLength() == 0 or dtype.startswith("float"):
            return (), (), 0
        scales = np.asarray(quantization.ScaleAsNumpy(), np.float32)
        zeros = np.asarray(quantization.ZeroPointAsNumpy(), np.int64).reshape(-1)
        zeros = np.zeros(len(scales), np.int64) if quantization.ZeroPointLength() == 0 else zeros
        # A bias of older converters carries its weights' dimension, which it does not have; a vector has only one.
        axis = quantization.QuantizedDimension() if len(shape) != 1 else 0
        if not (np.isfinite(scales).all() and (scales > 0).all()):
            raise self.fail(f"tensor {name!r} has a scale of zero, below zero, infinite or NaN")
        if len(zeros) == 1 < len(scales):
            zeros = np.repeat(zeros, len(scales))
        if len(zeros) != len(scales):
            raise self.fail(f"tensor {name!r} has {len(scales)} scales and {len(zeros)} zero points")
        if len(scales) > 1 and not (0 <= axis < len(shape) and shape[axis] == len(scales)):
            raise self.fail(f"tensor {name!r} of shape {list(shape)} has {len(scales)} scales along dimension {axis}")
        if np.dtype(dtype).kind in "iu" and dtype != "int64":
            limits = np.iinfo(dtype)
            if zeros.min() < limits.min or zeros.max() > limits.max:
                raise self.fail(f"tensor {name!r} has a zero point outside {dtype}")
        return tuple(float(s) for s in scales), tuple(int(z) for z in zeros), axis if len(scales) > 1 else 0

    def buffer(self, index: int, name: str, dtype: str, shape: Shape) -> Array | None:
        if not 0 <= index < self.proto.BuffersLength():
            raise self.fail(f"tensor {name!r} names buffer {index}, which does not exist")
        buffer = self.proto.Buffers(index)
        if index == 0 or buffer.DataLength() == 0:
            return None
        if dtype not in _DTYPES.values():
            raise self.fail(f"constant {name!r} has type {dtype}, which is not supported")
        self.spend(prod(shape))
        raw = np.asarray(buffer.DataAsNumpy(), np.uint8)
        needed = prod(shape) * np.dtype(dtype).itemsize
        if raw.nbytes < needed:
            raise self.fail(f"tensor {name!r} needs {needed} bytes, its buffer has {raw.nbytes}")
        array: Array = np.frombuffer(raw[:needed].tobytes(), np.dtype(dtype).newbyteorder("<")).reshape(shape)
        return array.astype(dtype)

    def operator(self, proto: Any) -> TfliteOperator:
        if not 0 <= proto.OpcodeIndex() < self.proto.OperatorCodesLength():
            raise self.fail(f"an operator has code {proto.OpcodeIndex()}, which does not exist")
        code = self.proto.OperatorCodes(proto.OpcodeIndex())
        number = builtin_code(code)
        name = _OPERATORS.get(number, f"number {number}")
        if name == "CUSTOM":
            name = f"CUSTOM {(code.CustomCode() or b'').decode('utf-8', 'replace')}"
        self.spend(_PER_INDEX * (proto.InputsLength() + proto.OutputsLength()))
        inputs, outputs = self.ints(proto.InputsAsNumpy()), self.ints(proto.OutputsAsNumpy())
        self.check_options(name, proto)
        return TfliteOperator(name, inputs, outputs, proto.BuiltinOptions())

    def check_options(self, name: str, proto: Any) -> None:
        """Refuse options of another operator's type, whose fields would be misread."""
        kind = _OPTIONS_NAMES.get(proto.BuiltinOptionsType(), f"number {proto.BuiltinOptionsType()}")
        expected = OPTIONS.get(name, "NONE")
        if kind not in ("NONE", expected) and (name in OPTIONS or name in WITHOUT_OPTIONS):
            raise self.fail(f"a {name} has options of type {kind}, expected {expected}")
        if proto.BuiltinOptions2Type() and (name in OPTIONS or name in WITHOUT_OPTIONS):
            raise self.fail(f"a {name} has options of the second kind, which it has none of")


def builtin_code(code: Any) -> int:
    """Number of the builtin operator: the larger of two fields, as schema.fbs says of OperatorCode.

    The accessor of the package `tflite` (2.18) gives the deprecated field wherever the new one is below 127, so that
    one is read here: field 3, at offset 10 of the table.
    """
    at = code._tab.Offset(10)
    new = int.from_bytes(code._tab.Bytes[code._tab.Pos + at :][:4], "little", signed=True) if at else 0
    return max(new, int(code.DeprecatedBuiltinCode()))
