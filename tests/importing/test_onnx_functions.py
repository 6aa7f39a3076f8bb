"""Operators that ONNX defines by others: read by their definition, unless they are known."""

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from pipeline.importing.onnx_functions import inline_functions


def model(*nodes: onnx.NodeProto, functions: tuple[onnx.FunctionProto, ...] = ()) -> onnx.ModelProto:
    infos = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 5])] for n in "xy"]
    graph = helper.make_graph(nodes, "net", *infos)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=8)


def test_an_unknown_operator_becomes_its_definition() -> None:
    given = model(helper.make_node("LogSoftmax", ["x"], ["y"], axis=1))
    inlined = inline_functions(given, {"Relu"})
    assert "LogSoftmax" not in {n.op_type for n in inlined.graph.node} and len(inlined.graph.node) > 1
    x = np.random.default_rng(0).normal(0, 2, (2, 5)).astype(np.float32)
    expected, got = (ReferenceEvaluator(m).run(None, {"x": x})[0] for m in (given, inlined))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_what_is_known_or_has_no_definition_stays_the_very_same() -> None:
    known, unknown = (
        model(helper.make_node("LogSoftmax", ["x"], ["y"])),
        model(helper.make_node("Nothing", ["x"], ["y"])),
    )
    assert inline_functions(known, {"LogSoftmax"}) is known and inline_functions(unknown, set()) is unknown


def test_the_models_own_functions_are_put_in_their_place() -> None:
    body = [helper.make_node("Neg", ["a"], ["t"]), helper.make_node("Abs", ["t"], ["b"])]
    function = helper.make_function("own", "F", ["a"], ["b"], body, [helper.make_opsetid("", 18)])
    inlined = inline_functions(
        model(helper.make_node("F", ["x"], ["y"], domain="own"), functions=(function,)), {"Neg", "Abs"}
    )
    assert [n.op_type for n in inlined.graph.node] == ["Neg", "Abs"] and not inlined.functions
