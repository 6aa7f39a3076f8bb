"""Scales carried over what keeps them exact: no calibration data where every scale is known."""

from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper
from test_onnx_integers import SCALE, SHAPE, integers_of, model_of, theirs

from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.passes import canonical
from pipeline.quantizing.integer_graph import unprescribed_activations

F = TensorProto.FLOAT
CONSTANTS = {
    "s": SCALE, "z": np.int8(3), "t": np.float32(0.1), "shape": np.array([1, 32]), "first": np.array([0]),
    "b": np.array([1]), "e": np.array([3]), "axis": np.array([2]), "at": np.array([3, 0, 1]), "low": np.float32(-0.3),
    "pads": np.array([0, 0, 1, 0, 0, 0, 1, 0]), "half": np.float32(0.5), "five": np.float32(5.0),
}  # fmt: skip
MOVES: dict[str, tuple[str, list[str], dict[str, Any]]] = {
    "Reshape": ("Reshape", ["shape"], {}),
    "Transpose": ("Transpose", [], {"perm": [0, 2, 3, 1]}),
    "Flatten": ("Flatten", [], {}),
    "Squeeze": ("Squeeze", ["first"], {}),
    "Unsqueeze": ("Unsqueeze", ["first"], {}),
    "Identity": ("Identity", [], {}),
    "Dropout": ("Dropout", [], {}),
    "Slice": ("Slice", ["b", "e", "axis"], {}),
    "Gather": ("Gather", ["at"], {"axis": 3}),
    "Pad": ("Pad", ["pads"], {}),
    "Pad with a value": ("Pad", ["pads", "half"], {}),
    "MaxPool": ("MaxPool", [], {"kernel_shape": [2, 2]}),
    "Relu": ("Relu", [], {}),
    "Clip": ("Clip", ["", "half"], {}),
    "Max": ("Max", ["half"], {}),
    "Concat": ("Concat", ["*"], {"axis": 1}),
}


def pair(x: str, y: str, scale: str = "s") -> list[NodeProto]:
    return [
        helper.make_node("QuantizeLinear", [x, scale, "z"], [f"{y}.q"]),
        helper.make_node("DequantizeLinear", [f"{y}.q", scale, "z"], [y]),
    ]


def check(nodes: list[NodeProto], shape: tuple[int, ...] = SHAPE) -> None:
    """Exact without any data, and with inputs whose scale is known."""
    model = model_of(
        [*nodes, helper.make_node("QuantizeLinear", [nodes[-1].output[0], "t", "z"], ["y"])], F, 3, CONSTANTS
    )
    graph = canonical(graph_of(model, "net.onnx", "net"), "net.onnx")
    assert graph.quantized_inputs and not unprescribed_activations(graph)
    x = np.random.default_rng(3).uniform(-2, 2, (8, *shape)).astype(np.float32)
    np.testing.assert_array_equal(integers_of(model, x), theirs(model, x))


@pytest.mark.parametrize("name", MOVES)
def test_a_move_or_a_bound_before_the_first_or_behind_the_last_pair_takes_its_scale(name: str) -> None:
    op, names, attributes = MOVES[name]
    before = helper.make_node(op, ["x", *(n.replace("*", "x") for n in names)], ["r"], **attributes)
    check([before, *pair("r", "d")])
    behind = helper.make_node(op, ["d", *(n.replace("*", "d") for n in names)], ["r"], **attributes)
    nodes = [*pair("x", "d"), behind]
    graph = canonical(
        graph_of(model_of([*nodes, helper.make_node("Identity", ["r"], ["y"])], F, F, CONSTANTS), "n", "n"), "n"
    )
    assert not unprescribed_activations(graph)
    check(nodes)


def test_several_moves_and_two_readers_of_one_scale() -> None:
    check(
        [
            helper.make_node("Identity", ["x"], ["i"]),
            helper.make_node("Reshape", ["i", "shape"], ["r"]),
            *pair("r", "d"),
        ]
    )
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["r"]), *pair("r", "d"), *pair("x", "f")]
    check([*nodes, helper.make_node("Flatten", ["f"], ["g"]), helper.make_node("Max", ["d", "g"], ["m"])])


@pytest.mark.parametrize(("op", "names"), [("Clip", ["low"]), ("Sigmoid", [])])
def test_what_leaves_the_grid_is_not_settled(op: str, names: list[str]) -> None:
    """A bound between two steps, a function: the output has values that the input's scale has not."""
    model = model_of([*pair("x", "d"), helper.make_node(op, ["d", *names], ["y"])], F, F, CONSTANTS)
    assert unprescribed_activations(canonical(graph_of(model, "n", "n"), "n"))


def test_halves_with_two_scales_leave_the_whole_without_one() -> None:
    nodes = [helper.make_node("Split", ["x"], ["u", "v"], axis=2, num_outputs=2), *pair("u", "c"), *pair("v", "d", "t")]
    model = model_of([*nodes, helper.make_node("Concat", ["c", "d"], ["y"], axis=2)], F, F, CONSTANTS)
    assert "x" in unprescribed_activations(canonical(graph_of(model, "n", "n"), "n"))


def test_a_pad_with_a_value_outside_the_range_of_what_it_pads_keeps_it() -> None:
    check([*pair("x", "d"), helper.make_node("Pad", ["d", "pads", "five"], ["r"])])


def test_a_bound_half_way_between_two_steps_is_rounded_in_float32_and_to_even() -> None:
    """0.3 / 0.2 is below 1.5 in float64, and exactly a tie in float32, as 0.5 / 0.2 and 0.7 / 0.2 are near ones."""
    for bound in (0.1, 0.3, 0.5, 0.7, 0.9, 1.1, 1.3):
        constants = {"s": np.float32(0.01), "z": np.int8(0), "t": np.float32(0.2), "h": np.float32(bound)}
        nodes = [*pair("x", "d"), helper.make_node("Clip", ["d", "", "h"], ["c"])]
        model = model_of([*nodes, helper.make_node("QuantizeLinear", ["c", "t", "z"], ["y"])], F, 3, constants)
        x = np.full((1, *SHAPE), 2.0, np.float32)
        np.testing.assert_array_equal(integers_of(model, x), theirs(model, x), err_msg=str(bound))
