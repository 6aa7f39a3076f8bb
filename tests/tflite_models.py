"""Small TFLite models, made with LiteRT's own schema, and what its reference kernels compute on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from pipeline.graph.tensor import Array

TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int16": schema.TensorType.INT16,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
    "bool": schema.TensorType.BOOL,
}


ONLY_FIRST = ("HARD_SWISH", "RELU_N1_TO_1", "SQUEEZE", "PRELU")
"""Operators that exist in version 1 alone."""


@dataclass(frozen=True, eq=False)
class T:
    """One tensor: `data` makes it a constant, `scale` quantizes it."""

    shape: tuple[int, ...]
    dtype: str = "int8"
    scale: Any = None
    zero: Any = 0
    axis: int = 0
    data: Array | None = None


@dataclass(frozen=True, eq=False)
class Op:
    """One operator: names of its tensors ("" omits one), and its options table with fields set."""

    code: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    options: Any = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    version: int = 2
    new_field: bool = False
    """Whether the code stands in `builtin_code` alone, as recent converters write it."""


def tflite_model(
    tensors: Mapping[str, T],
    ops: Sequence[Op],
    inputs: Sequence[str],
    outputs: Sequence[str],
    description: str = "test",
) -> bytes:
    """The bytes of a one-subgraph model."""
    model = schema.ModelT()
    model.version, model.description = 3, description
    empty = schema.BufferT()
    model.buffers = [empty]
    graph = schema.SubGraphT()
    graph.tensors, index = [], {"": -1}
    for name, tensor in tensors.items():
        stored = schema.TensorT()
        stored.name, stored.shape, stored.type, stored.buffer = name, list(tensor.shape), TYPES[tensor.dtype], 0
        stored.hasRank = True
        if tensor.data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(tensor.data.astype(tensor.dtype)).tobytes(), np.uint8)
            model.buffers.append(buffer)
            stored.buffer = len(model.buffers) - 1
        if tensor.scale is not None:
            stored.quantization = schema.QuantizationParametersT()
            stored.quantization.scale = np.atleast_1d(np.asarray(tensor.scale, np.float32))
            zero = np.broadcast_to(np.asarray(tensor.zero, np.int64), stored.quantization.scale.shape)
            stored.quantization.zeroPoint = np.ascontiguousarray(zero)
            stored.quantization.quantizedDimension = tensor.axis
        index[name] = len(graph.tensors)
        graph.tensors.append(stored)
    model.operatorCodes, graph.operators = [], []
    for op in ops:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, op.code)
        code.deprecatedBuiltinCode = 0 if op.new_field else min(code.builtinCode, 127)
        code.version = 1 if op.code in (*ONLY_FIRST, "ELU") else op.version
        model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(model.operatorCodes) - 1
        operator.inputs = [index[n] for n in op.inputs]
        operator.outputs = [index[n] for n in op.outputs]
        if op.options:
            table = getattr(schema, op.options + "T")()
            for key, value in op.fields.items():
                assert hasattr(table, key), key
                setattr(table, key, value)
            operator.builtinOptions = table
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, op.options)
        graph.operators.append(operator)
    graph.inputs, graph.outputs = [index[n] for n in inputs], [index[n] for n in outputs]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def elu(model: bytes) -> bool:
    codes = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0)).operatorCodes
    return any(c.builtinCode == schema.BuiltinOperator.ELU for c in codes)


def litert(model: bytes, inputs: Sequence[Array], apart: bool = False) -> list[Array]:
    """What LiteRT's reference kernels make of `inputs` (one array (samples, *shape) each): one array per output.

    `apart`: no two tensors share memory. LiteRT (2.1) lets the sum of a broadcast operand overwrite that operand.
    """
    # LiteRT's reference resolver lacks ELU; its ordinary kernel without delegates is all there is.
    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if elu(model) else OpResolverType.BUILTIN_REF
    interpreter = Interpreter(
        model_content=model, experimental_op_resolver_type=kernels, experimental_preserve_all_tensors=apart
    )
    interpreter.allocate_tensors()
    ins, outs = interpreter.get_input_details(), interpreter.get_output_details()
    rows: list[list[Array]] = []
    for i in range(len(inputs[0])):
        for detail, array in zip(ins, inputs, strict=True):
            interpreter.set_tensor(detail["index"], array[i])
        interpreter.invoke()
        rows.append([interpreter.get_tensor(d["index"]) for d in outs])
    return [np.stack(column) for column in zip(*rows, strict=True)]
