"""What is written as ONNX again: names that collide, and sources that prescribe some scales and not others."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from building import Built, build, exported_model
from onnx import TensorProto, helper, numpy_helper

from pipeline.graph.tensor import Array
from pipeline.quantizing.onnx_runtime import FloatSession

RNG = np.random.default_rng(11)
X = RNG.normal(0, 1, (16, 1, 6)).astype(np.float32)


def network(nodes: list[onnx.NodeProto], constants: Mapping[str, Any], y: str = "y") -> onnx.ModelProto:
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [1, 6]), (y, [1, 4]))]
    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    graph = helper.make_graph(nodes, "net", infos[:1], infos[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def answers(built: Built) -> Array:
    """ONNX Runtime's answers on the written model, in steps from ours."""
    model = exported_model(built)
    assert [i.name for i in model.graph.input] == ["x"]
    port = built.quantized.graph.outputs[0]
    quant = built.quantized.graph.tensors[port.tensor].quant
    assert quant is not None
    theirs = FloatSession(model).stacked({"x": X})[port.onnx_name]
    return np.abs(port.to_onnx(quant.dequantize(built.expected[0])) - theirs) / quant.scale[0]


PAIR = {"s": np.float32(0.02), "z": np.int8(3), "w": RNG.integers(-127, 128, (6, 4)).astype(np.int8)}
PAIR |= {"sw": np.float32(0.01), "zw": np.int8(0), "t": np.float32(0.06), "u": np.int8(-5)}
QUANTIZED = [
    helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
    helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
    helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["wd"]),
]


@pytest.mark.parametrize("settled", [True, False], ids=["every scale prescribed", "the last scale chosen"])
def test_a_quantized_source_is_said_again(settled: bool) -> None:
    nodes = [*QUANTIZED, helper.make_node("MatMul", ["xd", "wd"], ["c" if settled else "y"])]
    if settled:
        nodes.append(helper.make_node("QuantizeLinear", ["c", "t", "u"], ["cq"]))
        nodes.append(helper.make_node("DequantizeLinear", ["cq", "t", "u"], ["y"]))
    assert answers(build(network(nodes, PAIR), (X,), (X,))).max() <= 1


@pytest.mark.parametrize("taken", ["x.stored", "y.stored", "x.stored.quantized", "y.dequantized", "Transpose#1", "w#2"])
def test_names_of_the_file_never_collide_with_those_that_are_added(taken: str) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], [taken], name="a"),
        helper.make_node("Tanh", [taken], ["t"], name="b"),
        helper.make_node("Neg", ["t"], ["y"], name="c"),
    ]
    w = RNG.normal(0, 1, (6, 4)).astype(np.float32)
    assert answers(build(network(nodes, {"w": w}), (X,), (X,))).max() <= 1.01


def test_weights_with_a_zero_point_beside_int8_activations_are_said() -> None:
    constants = PAIR | {"w": RNG.integers(0, 256, (6, 4)).astype(np.uint8), "zw": np.uint8(255)}
    nodes = [*QUANTIZED, helper.make_node("MatMul", ["xd", "wd"], ["y"])]
    assert answers(build(network(nodes, constants), (X,), (X,))).max() <= 1
