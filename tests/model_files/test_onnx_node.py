"""An ONNX node: inputs that are left out, and parameters that moved from an attribute to an input."""

from typing import Any

import numpy as np

from pipeline.graph.builder import GraphBuilder
from pipeline.graph.tensor import Tensor
from pipeline.model_files.onnx_node import OnnxNode


def node(**attributes: Any) -> OnnxNode:
    builder = GraphBuilder("net")
    builder.add(Tensor("x", (1, 3, 4)))
    builder.constant("w", np.array([1.5, 2.5]))
    return OnnxNode("Op", "n", ("x", "", "w"), ("y",), builder, "net.onnx", attributes, 17, ("", "", "uint8"))


def test_inputs_may_be_left_out_in_the_middle_and_at_the_end() -> None:
    assert [node().has(i) for i in range(4)] == [True, False, True, False]
    assert node().shape(0) == (1, 3, 4) and node().rank() == 3
    assert [node().is_constant(i) for i in range(4)] == [False, False, True, False]
    assert node().optional(1, "bias") is node().optional(7, "bias") is None
    assert [node().kind(i) for i in (0, 2, 9)] == ["", "uint8", ""]


def test_a_parameter_is_an_attribute_or_an_input() -> None:
    assert node(scale=[7.0]).attr_or_input("scale", 2) == [7.0]
    assert node().attr_or_input("scale", 2) == [1.5, 2.5] and node().attr_or_input("scale", 1, 9) == 9
    assert node(pads=[1, 2]).ints("pads", (0,)) == (1, 2) and node().ints("pads", (0,)) == (0,)
    assert node(a=1, b=2).without("a").attributes == {"b": 2}
