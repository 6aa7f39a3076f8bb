"""Softmax at any output scale: within half a step of the exact value, but for the last bit of its exponentials."""

from pathlib import Path

import numpy as np
import pytest
from building import Built, assert_chip_equals, on_chip, on_host, with_expected, write_library
from onnx import TensorProto, helper, numpy_helper

from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.passes import canonical
from pipeline.ops.softmax import SoftmaxScaled
from pipeline.quantizing.calibrate import Policy
from pipeline.quantizing.integer_graph import quantize


def built(count: int, input_scale: float, scale: float, zero: int) -> Built:
    """Softmax between int8 tensors of prescribed scales."""
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["d"]),
        helper.make_node("Softmax", ["d"], ["p"], axis=1),
        helper.make_node("QuantizeLinear", ["p", "t", "u"], ["y"]),
    ]
    constant_errors = {"s": np.float32(input_scale), "z": np.int8(7), "t": np.float32(scale), "u": np.int8(zero)}
    infos = [[helper.make_tensor_value_info(n, TensorProto.INT8, [1, count, 2])] for n in "xy"]
    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in constant_errors.items()]
    graph = helper.make_graph(nodes, "net", *infos, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    canon = canonical(graph_of(model, "net.onnx", "net"), "net.onnx")
    result = quantize(canon, {}, Policy("min-max"), per_channel=True, requantizer="multiplier")
    rng = np.random.default_rng(count)
    x = rng.integers(-128, 128, (12, 1, count, 2)).astype(np.int8)
    x[0], x[1] = -128, 127
    x[2], x[2, 0, 0] = -128, 127
    return with_expected(canon, result, [np.ascontiguousarray(result.graph.inputs[0].to_stored(x))])


SCALES = [1 / 255, 1 / 5000, 1.6e-5, 1 / 300.4, 0.0101, 0.7, 3.0]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("count", "input_scale"), [(1, 0.1), (10, 0.15), (40, 0.003), (300, 0.05)])
def test_within_half_a_step_of_the_exact_value(scale: float, count: int, input_scale: float) -> None:
    net = built(count, input_scale, scale, -128 if scale < 1 else 0)
    (node,) = net.quantized.graph.nodes
    x, y = (net.quantized.graph.tensors[n].quant for n in (node.inputs[0], node.output))
    assert isinstance(node, SoftmaxScaled) and x is not None and y is not None
    e = np.exp(x.dequantize(net.inputs[0]))
    total, largest = (f(e, axis=node.axis + 1, keepdims=True) for f in (np.sum, np.max))
    wanted = np.clip(e / total / y.scale[0] + y.zero_point, *y.limits)
    off = np.abs(net.expected[0] - wanted)
    assert off.max() <= 0.5 + np.max(node.rounding_bound(net.quantized.graph).slack)
    last_bit = 0.5 * (2 + count * e / total) / 2**15 * largest / total
    assert (off <= 0.52 + 2.0**-node.shift + last_bit / y.scale[0]).all()


def test_c_and_machine_code_equal_the_specification(tmp_path: Path) -> None:
    for number, (scale, zero) in enumerate(((1 / 255, -128), (1.6e-5, 127), (0.7, -3), (3.0, 0))):
        net = built(10, 0.15, scale, zero)
        library = write_library(net, tmp_path / str(number), "cortex-m0")
        np.testing.assert_array_equal(on_host(net, library)[0], net.expected[0])
        assert_chip_equals(net, on_chip(net, library, "cortex-m0"))
