"""A graph as standard ONNX: float, for ONNX Runtime, or with Q and DQ pairs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from math import isinf
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline.graph.ir import Graph
from pipeline.graph.tensor import Array, QuantParams, Shape, Tensor

OPSET, WIDE_OPSET = 20, 21
"""The later one where activations are int16, which Q and DQ take from 21 on.

For int8 the earlier one: from 21 on QuantizeLinear has `output_dtype`, with which ONNX Runtime 1.32 contradicts itself
when its default optimizations make uint8 of int8 on x86.
"""
IR_VERSION = 10


class Emitter:
    """Collects ONNX nodes; an operator's `to_onnx` facet calls it with the names of the graph.

    `activation` wraps each finished activation (to put a Q/DQ pair behind it); `weight` gives a constant.
    """

    def __init__(
        self,
        graph: Graph,
        constants: Mapping[str, Tensor] | None = None,
        reserved: Collection[str] = (),
        opset: int = OPSET,
    ) -> None:
        """`reserved` names are those of the model's inputs and outputs; tensors of the graph get others."""
        self.graph, self.reserved, self.opset = graph, reserved, opset
        self.quantized = constants or {}
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.names: dict[str, str] = {}
        self.used_names = {*graph.tensors, *reserved}
        self.count = 0

    def fresh(self, hint: str) -> str:
        """A name that no other tensor has."""
        self.count += 1
        name = f"{hint}#{self.count}"
        while name in self.used_names:
            name += "#"
        self.used_names.add(name)
        return name

    def read(self, name: str) -> str:
        """The ONNX name under which a tensor of the graph is read; constants are added on first use."""
        if name in self.graph.tensors and self.graph.is_constant(name):
            return self.constant_view(name, None)
        return self.names.get(name, name)

    def node(self, op: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        """Append one node; returns its output's name (a fresh one unless given)."""
        name = output if output and output not in self.reserved else self.fresh(output or op)
        if output:
            self.names[output] = name
        self.nodes.append(helper.make_node(op, [self.read(i) for i in inputs], [name], **attributes))
        return name

    def floats(self, data: Any) -> str:
        return self._initializer(self.fresh("float"), np.asarray(data, np.float32))

    def integers(self, data: Sequence[int]) -> str:
        return self._initializer(self.fresh("int"), np.asarray(list(data), np.int64))

    def transpose(self, x: str, perm: tuple[int, ...], output: str | None = None) -> str:
        return self.node("Transpose", [x], output, perm=list(perm))

    def clip(self, x: str, output: str, low: float, high: float) -> str:
        """Append a clamp to the finite ones of [low, high]; returns `output` as it is named in ONNX."""
        if isinf(low) and isinf(high):
            return self.node("Identity", [x], output)
        bounds = ["" if isinf(b) else self.floats(np.float32(b)) for b in (low, high)]
        while bounds[-1] == "":
            bounds.pop()
        return self.node("Clip", [x, *bounds], output)

    def constant_view(self, name: str, perm: tuple[int, ...] | None) -> str:
        """A constant of the graph, transposed by `perm`; through DequantizeLinear when it was quantized."""
        key = f"{name}#{perm}"
        if key in self.names:
            return self.names[key]
        tensor = self.quantized.get(name)
        axes = perm or tuple(range(len(self.graph.tensors[name].shape)))
        if tensor is None or tensor.quant is None or tensor.data is None:
            view = self._initializer(self.fresh(name), self.graph.constant(name).transpose(axes))
        else:
            view = self.dequantized(self.fresh(name), tensor.data.transpose(axes), _permuted_params(tensor.quant, axes))
        self.names[key] = view
        return view

    def dequantized(self, name: str, data: Array, quant: QuantParams) -> str:
        unsupported = np.int16 if self.opset < WIDE_OPSET else np.int64
        if data.dtype in (unsupported, np.int64):  # DequantizeLinear does not take them
            scales = quant.spread(data.ndim).astype(np.float32).astype(np.float64)
            return self._initializer(name, (data * scales).astype(np.float32))
        stored = self._initializer(self.fresh(f"{name}.q"), data)
        scale, zero_point, axis = self._parameters(name, quant, data.dtype)
        return self.node("DequantizeLinear", [stored, scale, zero_point], name, **axis)

    def qdq_pair(self, name: str, quant: QuantParams, tensor: str) -> str:
        """A QuantizeLinear and a DequantizeLinear behind `name`; returns the dequantized name.

        The QuantizeLinear node has the name of `tensor` of the graph, which it quantizes.
        """
        scale, zero_point, axis = self._parameters(name, quant, np.dtype(quant.dtype))
        quantized, dequantized = self.fresh(f"{name}.quantized"), self.fresh(f"{name}.dequantized")
        self.nodes.append(
            helper.make_node("QuantizeLinear", [name, scale, zero_point], [quantized], name=tensor, **axis)
        )
        self.nodes.append(helper.make_node("DequantizeLinear", [quantized, scale, zero_point], [dequantized], **axis))
        return dequantized

    def _parameters(self, name: str, quant: QuantParams, dtype: np.dtype[Any]) -> tuple[str, str, dict[str, Any]]:
        scalar = quant.axis is None
        scale = np.float32(quant.scale[0]) if scalar else np.asarray(quant.scale, np.float32)
        zero_point = (
            np.asarray(quant.zero_point, dtype) if scalar else np.full(len(quant.scale), quant.zero_point, dtype)
        )
        values = (("scale", scale), ("zero", zero_point))
        names = [self._initializer(self.fresh(f"{name}.{suffix}"), value) for suffix, value in values]
        return names[0], names[1], {} if scalar else {"axis": quant.axis}

    def _initializer(self, name: str, data: Any) -> str:
        self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(data).reshape(np.shape(data)), name)
        return name


def _permuted_params(quant: QuantParams, perm: tuple[int, ...]) -> QuantParams:
    return quant if quant.axis is None else replace(quant, axis=perm.index(quant.axis))


def float_model(
    graph: Graph, observe: Sequence[str] = (), ranges: Mapping[str, tuple[float, float]] = MappingProxyType({})
) -> onnx.ModelProto:
    """The float graph as ONNX, inputs and outputs as stored (channels-last), `observe` as further outputs.

    `ranges`: the least and the largest value that layers read, of the tensors named.
    """
    emitter = Emitter(graph)
    for port in graph.inputs:
        _clip_to_range(emitter, port.tensor, ranges)
    for node in graph.nodes:
        node.to_onnx(graph, emitter)
        for name in node.outputs:
            _clip_to_range(emitter, name, ranges)
    names = dict.fromkeys([*(p.tensor for p in graph.outputs), *observe])
    return _model(
        graph,
        emitter,
        [_value_info(graph, p.tensor, p.tensor, graph.tensors[p.tensor].shape) for p in graph.inputs],
        [_value_info(graph, n, n, graph.tensors[n].shape) for n in names],
    )


def _clip_to_range(emitter: Emitter, name: str, ranges: Mapping[str, tuple[float, float]]) -> None:
    if name in ranges:
        emitter.names[name] = emitter.node("Clip", [name, *(emitter.floats(np.float32(v)) for v in ranges[name])])


def named_model(graph: Graph) -> onnx.ModelProto:
    """The float graph with inputs and outputs as the model file names, shapes and lays them out."""
    return qdq_model(graph, {}, {})


def qdq_model(graph: Graph, params: Mapping[str, QuantParams], constants: Mapping[str, Tensor]) -> onnx.ModelProto:
    """The float graph with a Q/DQ pair behind every activation in `params` and quantized constants.

    Inputs and outputs keep the names, shapes and layout of the model file.
    """
    int16 = any(q.dtype == "int16" for q in params.values())
    reserved = {p.onnx_name for p in (*graph.inputs, *graph.outputs)}
    emitter = Emitter(graph, constants, reserved, WIDE_OPSET if int16 else OPSET)
    for port in graph.inputs:
        stored = emitter.fresh(f"{port.tensor}.stored")
        emitter.nodes.append(_transpose_node(port.onnx_name, stored, port.perm))
        emitter.names[port.tensor] = (
            emitter.qdq_pair(stored, params[port.tensor], port.tensor) if port.tensor in params else stored
        )
    for node in graph.nodes:
        node.to_onnx(graph, emitter)
        for name in node.outputs:
            if name in params:
                emitter.names[name] = emitter.qdq_pair(emitter.names[name], params[name], name)
    inputs = {p.onnx_name for p in graph.inputs}
    for port in (p for p in graph.outputs if p.onnx_name not in inputs):
        to_onnx = tuple(int(i) for i in np.argsort(port.perm))
        emitter.nodes.append(_transpose_node(emitter.read(port.tensor), port.onnx_name, to_onnx))
    return _model(
        graph,
        emitter,
        [_value_info(graph, p.tensor, p.onnx_name, p.onnx_shape) for p in graph.inputs],
        [_value_info(graph, p.tensor, p.onnx_name, p.onnx_shape) for p in graph.outputs],
    )


def _transpose_node(x: str, y: str, perm: tuple[int, ...]) -> onnx.NodeProto:
    """A Transpose, or for a port that is a scalar an Identity: ONNX's helper cannot write a permutation of no axes."""
    return helper.make_node("Transpose", [x], [y], perm=list(perm)) if perm else helper.make_node("Identity", [x], [y])


def _value_info(graph: Graph, name: str, shown: str, shape: Shape) -> onnx.ValueInfoProto:
    element_type = TensorProto.INT64 if graph.tensors[name].dtype == "int32" else TensorProto.FLOAT
    return helper.make_tensor_value_info(shown, element_type, shape)


def _model(
    graph: Graph,
    emitter: Emitter,
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    proto = helper.make_graph(emitter.nodes, graph.name, inputs, outputs, list(emitter.initializers.values()))
    return helper.make_model(
        proto,
        opset_imports=[helper.make_opsetid("", emitter.opset)],
        ir_version=IR_VERSION,
        producer_name="chipfit",
    )
