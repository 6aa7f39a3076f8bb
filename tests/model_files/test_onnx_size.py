"""Nodes once functions are inlined, counted without inlining: against the inliner, and where that would never end."""

import onnx
import pytest
from onnx import TensorProto, helper, inliner

from pipeline.model_files.onnx_size import MAX_NODES, count_nodes

OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("d", 1)]


def function(name: str, *called: str) -> onnx.FunctionProto:
    nodes = [helper.make_node("Neg", ["a"], ["t0"])]
    for index, op in enumerate(called):
        nodes.append(helper.make_node(op, [f"t{index}"], [f"t{index + 1}"], domain="d"))
    nodes.append(helper.make_node("Abs", [f"t{len(called)}"], ["b"]))
    return helper.make_function("d", name, ["a"], ["b"], nodes, OPSETS)


def model(*functions: onnx.FunctionProto, calls: tuple[str, ...] = ("F",)) -> onnx.ModelProto:
    names = ["x", *(f"v{i}" for i in range(len(calls)))]
    nodes = [helper.make_node(op, [a], [b], domain="d") for op, a, b in zip(calls, names, names[1:], strict=False)]
    nodes.append(helper.make_node("Relu", [names[-1]], ["y"]))
    infos = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, [4])] for n in "xy"]
    graph = helper.make_graph(nodes, "net", *infos)
    return helper.make_model(graph, opset_imports=OPSETS, functions=functions, ir_version=9)


@pytest.mark.parametrize("calls", [("F",), ("F", "G", "F"), ()])
def test_the_count_is_that_of_the_inlined_model(calls: tuple[str, ...]) -> None:
    given = model(function("F", "G", "G"), function("G", "H"), function("H"), calls=calls)
    assert count_nodes(given) == len(inliner.inline_local_functions(given).graph.node)


def test_graphs_inside_of_nodes_count() -> None:
    info = helper.make_tensor_value_info("r", TensorProto.FLOAT, [4])
    branches = [helper.make_graph([helper.make_node(op, ["x"], ["r"])], op, [], [info]) for op in ("Neg", "Abs")]
    given = model(calls=())
    node = helper.make_node("If", ["c"], ["z"], then_branch=branches[0], else_branch=branches[1])
    given.graph.node.append(node)
    assert count_nodes(given) == 1 + 1 + 2


def test_functions_that_double_again_and_again_are_more_than_the_most() -> None:
    doubling = [function(f"F{i}", *([f"F{i + 1}"] * 2 if i < 60 else [])) for i in range(61)]
    assert count_nodes(model(*doubling, calls=("F0",))) == MAX_NODES + 1


def test_functions_that_call_each_other_in_a_circle_are_too() -> None:
    assert count_nodes(model(function("F", "G"), function("G", "F"))) == MAX_NODES + 1
    assert count_nodes(model(function("F", "F"), calls=())) == 1, "nobody calls it"
