"""Weights with a zero point of their own: int8 kernels serve them, the offset multiplies the sum of the inputs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from building import Built, on_host, with_expected, write_library
from every_variant import every_variant
from onnx import TensorProto, helper, numpy_helper

from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.linear import DenseOffsetParams, DenseParams, RequantizeParams
from pipeline.graph.tensor import Array
from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.passes import canonical
from pipeline.ops.shared.linear import with_offset
from pipeline.planning.variants.without_offset import without_offset
from pipeline.quantizing.calibrate import Policy
from pipeline.quantizing.fidelity import compare
from pipeline.quantizing.integer_graph import quantize

RNG = np.random.default_rng(17)


def layer(
    op: str, x: list[int], w: Array, y: list[int], zero: Any, axis: int | None = None, **attributes: Any
) -> onnx.ModelProto:
    """One layer with uint8 weights between int8 tensors; `zero`: the weights' zero point, or several along `axis`."""
    axis = axis if axis is not None else int(op != "Conv")
    per_channel = np.ndim(zero) > 0
    scale = np.full(w.shape[axis], 0.01, np.float32) if per_channel else np.float32(0.01)
    constants: Mapping[str, Any] = {
        "s": np.float32(0.02), "z": np.int8(-31), "w": w, "sw": scale, "zw": np.asarray(zero, w.dtype),
        "t": np.float32(0.11), "u": np.int8(12),
    }  # fmt: skip
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["wd"], axis=axis),
        helper.make_node(op, ["xd", "wd"], ["c"], **attributes),
        helper.make_node("QuantizeLinear", ["c", "t", "u"], ["y"]),
    ]
    infos = [[helper.make_tensor_value_info(n, TensorProto.INT8, s)] for n, s in (("x", x), ("y", y))]
    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    graph = helper.make_graph(nodes, "net", *infos, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def built(model: onnx.ModelProto) -> Built:
    graph = canonical(graph_of(model, "net.onnx", "net"), "net.onnx")
    result = quantize(graph, {}, Policy("min-max"), per_channel=True, requantizer="multiplier")
    shape = result.graph.inputs[0].onnx_shape
    raw = RNG.integers(-128, 128, (5, *shape)).astype(np.int8)
    raw[0], raw[1] = -128, 127
    return with_expected(graph, result, [np.ascontiguousarray(result.graph.inputs[0].to_stored(raw))])


def whole(*shape: int) -> Array:
    return RNG.integers(0, 256, shape).astype(np.uint8)


LAYERS = {
    "dense": lambda: layer("MatMul", [1, 21], whole(21, 7), [1, 7], 60),
    "dense_rows": lambda: layer("MatMul", [3, 5], whole(5, 6), [3, 6], 255),
    "dense_per_channel": lambda: layer("MatMul", [1, 9], whole(9, 4), [1, 4], [0, 128, 255, 91]),
    "conv": lambda: layer("Conv", [1, 3, 6, 5], whole(5, 3, 3, 3), [1, 5, 4, 3], 60, pads=[1, 0, 1, 0], strides=[2, 2],
                          dilations=[2, 1]),
    "conv_1x1": lambda: layer("Conv", [1, 6, 3, 4], whole(4, 6, 1, 1), [1, 4, 3, 4], [0, 128, 255, 91]),
    "conv_beyond_the_image": lambda: layer("Conv", [1, 2, 3, 3], whole(3, 2, 2, 2), [1, 3, 8, 8], 200,
                                           pads=[3, 3, 3, 3]),
    "depthwise": lambda: layer("Conv", [1, 4, 5, 7], whole(4, 1, 3, 3), [1, 4, 5, 7], 60, group=4, pads=[1] * 4),
    "depthwise_2x3": lambda: layer("Conv", [1, 3, 5, 6], whole(3, 1, 2, 3), [1, 3, 4, 2], 200, group=3, strides=[1, 2]),
    "conv_grouped": lambda: layer("Conv", [1, 4, 4, 4], whole(4, 2, 3, 3), [1, 4, 2, 2], 60, group=2),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers_whose_weights_have_a_zero_point(name: str, tmp_path: Path) -> None:
    net = built(LAYERS[name]())
    assert np.unique(net.expected[0]).size > 10, "the outputs must not all be at the ends"
    family = {"dense": "dense_offset", "conv": "conv2d_offset"}.get(name.split("_")[0], "conv_w16")
    assert [c.family for c in net.program.calls] == ["conv_w16" if name == "conv_grouped" else family]
    library = write_library(net, tmp_path / "c", "cortex-m0", net.program)
    for got, expected in zip(on_host(net, library), net.expected, strict=True):
        np.testing.assert_array_equal(got, expected)
    every_variant({name: net}, tmp_path)


def dense(weights: Array, bias: int = 0) -> DenseParams:
    outputs, inputs = weights.shape
    biases, requantize = np.full(outputs, bias, np.int32), RequantizeParams(low=-128, high=127)
    return DenseParams(weights=weights, bias=biases, requantize=requantize, rows=1, inputs=inputs, outputs=outputs)


def test_the_offset_is_exact_and_no_larger_than_it_must_be() -> None:
    low = RNG.integers(-255, 1, (40, 1))
    weights = (low + RNG.integers(0, 256, (40, 30))).astype(np.int16)
    params = with_offset(dense(weights))
    assert isinstance(params, DenseOffsetParams) and params.dense.weights.dtype == np.int8
    call = without_offset(KernelCall("dense_offset_once", "d", ("x",), ("y",), params))
    assert isinstance(call.params, DenseParams) and call.kernel == "dense_once"
    np.testing.assert_array_equal(call.params.weights, weights)
    fits = (weights.min(axis=1) >= -128) & (weights.max(axis=1) <= 127)
    np.testing.assert_array_equal(params.offset == 0, fits)


def test_what_an_offset_cannot_say_keeps_its_wide_weights() -> None:
    assert with_offset(dense(np.array([[-128, 128]], np.int16))) is None
    assert with_offset(dense(np.array([[0, 128]], np.int16), bias=2**31 - 1)) is None
    assert with_offset(dense(np.array([[1, 128]], np.int16))) is not None


@pytest.mark.parametrize("op", ["ConvTranspose", "MatMul"])
def test_scales_along_the_inputs_are_kept_in_sixteen_bits(op: str) -> None:
    """PyTorch quantizes ConvTranspose so. Nothing but the file's own roundings is left."""
    if op == "ConvTranspose":
        model = layer(op, [1, 3, 4, 4], whole(3, 2, 3, 3), [1, 2, 6, 6], [0, 128, 255], axis=0)
    else:
        model = layer(op, [2, 5], whole(5, 4), [2, 4], [0, 128, 255, 91, 60], axis=0)
    (scale,) = (t for t in model.graph.initializer if t.name == "sw")
    scale.CopyFrom(numpy_helper.from_array(RNG.uniform(0.001, 0.01, scale.dims[0]).astype(np.float32), "sw"))
    net = built(model)
    found = compare(model, net.quantized.graph, [RNG.uniform(-3, 3, (20, *net.graph.inputs[0].onnx_shape))])
    (tensor,) = (t for t in found.tensors if t.tensor == "y")
    assert tensor.unexplained == 0 and tensor.allowed < 0.7 and tensor.differing < 0.1 * tensor.values
