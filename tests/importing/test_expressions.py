"""Elementwise operators on one tensor are one table; two tensors, channels and prescribed scales keep them apart."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from building import build
from conftest import some
from onnx import TensorProto, helper, numpy_helper

from pipeline.facts.errors import ChipfitError
from pipeline.graph.ir import Graph
from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.passes import canonical
from pipeline.importing.passes.expressions import join_functions
from pipeline.ops.expression import Expression
from pipeline.ops.lookup import Lookup
from pipeline.quantizing.onnx_runtime import FloatSession

SHAPE = (1, 3, 4)


def model_of(nodes: Sequence[tuple[str, str, str]], constants: Mapping[str, Any], inputs: str = "x") -> onnx.ModelProto:
    """`nodes`: (operator, inputs, output); all inputs and the output `y` have SHAPE."""
    onnx_nodes = [helper.make_node(op, given.split(), [output], name=output) for op, given, output in nodes]
    infos = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, SHAPE) for n in names] for names in (inputs, "y")]
    values = [numpy_helper.from_array(np.asarray(v, np.float32), n) for n, v in constants.items()]
    graph = helper.make_graph(onnx_nodes, "net", *infos, values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def joined(model: onnx.ModelProto) -> Graph:
    return join_functions(canonical(graph_of(model, "net.onnx", "net"), "net.onnx"))


def kinds(graph: Graph) -> list[str]:
    return [type(n).__name__ for n in graph.nodes]


CHAIN = (("Sigmoid", "x", "s"), ("Log", "s", "l"), ("Mul", "l k", "y"))


def test_a_chain_is_one_table_as_near_to_float_as_its_output_is() -> None:
    model = model_of(CHAIN, {"k": 0.5})
    x = np.random.default_rng(2).normal(0, 3, (64, *SHAPE)).astype(np.float32)
    built = build(model, (x,), (x,))
    assert kinds(built.quantized.graph) == ["Lookup"]
    port = built.quantized.graph.outputs[0]
    source, quant = (built.quantized.graph.tensors[n].quant for n in ("x", port.tensor))
    assert source is not None and quant is not None
    seen = source.dequantize(source.quantize(x)).astype(np.float32)
    reference = FloatSession(model).stacked({"x": seen})["y"]
    assert np.abs(quant.dequantize(built.expected[0]) - reference).max() <= 0.51 * quant.scale[0]


def test_a_tensor_that_others_read_stays_and_is_a_table_of_the_same_root() -> None:
    graph = joined(model_of((*CHAIN[:2], ("Exp", "l", "e"), ("Mul", "e x", "m"), ("Add", "m l", "y")), {}))
    assert kinds(graph) == ["Expression"]
    other = model_of(((*CHAIN[0],), ("Log", "s", "l"), ("Concat", "s l", "c"), ("ReduceMax", "c", "y")), {})
    other.graph.node[2].attribute.append(helper.make_attribute("axis", 0))
    other.graph.node[3].attribute.append(helper.make_attribute("keepdims", 1))
    del other.graph.output[0].type.tensor_type.shape.dim[:]
    graph = joined(other)
    assert [n.inputs for n in graph.nodes if isinstance(n, Expression)] == [("x",)]
    assert kinds(graph)[0] == "Activation"


@pytest.mark.parametrize(
    "nodes",
    [
        (("Sigmoid", "x", "s"), ("Mul", "s w", "y")),
        (("Sigmoid", "x", "s"), ("Tanh", "v", "t"), ("Mul", "s t", "y")),
        (("QuantizeLinear", "s q", "a"), ("DequantizeLinear", "a q", "b"), ("Log", "b", "y")),
    ],
    ids=["one value per channel", "two tensors", "a prescribed scale between"],
)
def test_what_is_no_function_of_one_value_stays_apart(nodes: Any) -> None:
    if nodes[0][0] == "QuantizeLinear":
        nodes = (("Sigmoid", "x", "s"), *nodes)
    model = model_of(nodes, {"w": np.arange(1, 5), "q": 0.01}, "xv" if any("v" in n[1] for n in nodes) else "x")
    assert "Expression" not in kinds(joined(model))


def test_a_choice_between_two_tensors_is_refused_by_name() -> None:
    model = model_of((("Greater", "x v", "g"), ("Where", "g x v", "y")), {}, "xv")
    with pytest.raises(ChipfitError, match=r"'x' and 'v', which do not come from one tensor"):
        joined(model)


def test_squaring_again_and_again_stays_bounded() -> None:
    nodes = [("Mul", f"{a} {a}", b) for a, b in zip("xabcdefghijklm", "abcdefghijklmy", strict=True)]
    graph = joined(model_of(nodes, {}))
    assert 0 < len(graph.nodes) < 14
    assert all(isinstance(n, Expression | Lookup) or type(n).__name__ == "Mul" for n in some(graph.nodes))
