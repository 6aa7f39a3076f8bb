"""Operators behind a quantized tensor: on its real values and on its very integers, each as the file means them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from building import build
from conftest import some
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from pipeline.facts.errors import ChipfitError
from pipeline.graph.tensor import Array
from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.onnx_integers import VALUE_INPUTS
from pipeline.importing.passes import canonical
from pipeline.quantizing.calibrate import Policy
from pipeline.quantizing.integer_graph import quantize, unprescribed_activations
from pipeline.quantizing.onnx_runtime import FloatSession

F = TensorProto.FLOAT
TYPES = {"int8": TensorProto.INT8, "uint8": TensorProto.UINT8, "int16": TensorProto.INT16}
SHAPE = (1, 2, 4, 4)
SCALE = np.float32(1 / 64)


def model_of(
    nodes: list[onnx.NodeProto], x: int, y: int, constants: Mapping[str, Any], shape: tuple[int, ...] = SHAPE
) -> onnx.ModelProto:
    """A model from x of `shape` to y."""
    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    infos = helper.make_tensor_value_info("x", x, shape), helper.make_tensor_value_info("y", y, None)
    graph = helper.make_graph(nodes, "net", [infos[0]], [infos[1]], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def integers_of(model: onnx.ModelProto, real: Array) -> Array:
    """What chipfit's integer network makes of `real` (n, *shape), as the file's own integers."""
    graph = canonical(graph_of(model, "net.onnx", "net"), "net.onnx")
    assert not unprescribed_activations(graph)
    integer = quantize(graph, {}, Policy("min-max"), per_channel=True, requantizer="multiplier").graph
    (port,) = integer.outputs
    return port.to_onnx(integer.run(integer.integers([real]))[0])


def theirs(model: onnx.ModelProto, x: Array) -> Array:
    """The file's answers by ONNX Runtime, or by ONNX's reference evaluator for types that that lacks."""
    try:
        return FloatSession(model).stacked({"x": x})["y"]
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        evaluator = ReferenceEvaluator(model)
        return np.stack([np.asarray(evaluator.run(None, {"x": row})[0]) for row in x])


def kinds() -> list[tuple[str, int]]:
    return [(k, z) for k in TYPES for z in (np.iinfo(k).min, 3, np.iinfo(k).max)]


def operands(op: str, kind: str, zero: int, raw: bool) -> tuple[list[str], dict[str, Any], dict[str, Any]]:
    """Further inputs, constants and attributes of an operator, as integers of the file or as real values."""
    info = np.iinfo(kind)
    # Near the zero point, so that real bounds are within the range whatever the zero point is.
    steps = [int(np.clip(zero + s, info.min, info.max)) for s in (-40, 25)]
    low, high = (np.array(s, kind) if raw else (np.float32(s) - np.float32(zero)) * SCALE for s in steps)
    tensor = np.random.default_rng(5).integers(*np.clip([zero - 60, zero + 60], info.min, info.max), SHAPE)
    beside = tensor.astype(kind) if raw else ((tensor - zero) * SCALE).astype(np.float32)
    given: dict[str, tuple[list[str], dict[str, Any], dict[str, Any]]] = {
        "Clip": (["low", "high"], {"low": low, "high": high}, {}),
        "Pad": (["pads", "high"], {"pads": np.array([0, 0, 1, 0, 0, 0, 2, 1]), "high": high}, {}),
        "Pad without a value": (["pads"], {"pads": np.array([0, 0, 1, 0, 0, 0, 2, 1])}, {}),
        "Pad reflect": (["pads"], {"pads": np.array([0, 0, 1, 0, 0, 0, 2, 1])}, {"mode": "reflect"}),
        "Max": (["beside"], {"beside": beside}, {}),
        "Min": (["beside"], {"beside": beside}, {}),
        "Concat": (["beside"], {"beside": beside}, {"axis": 1}),
        "MaxPool": ([], {}, {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1]}),
        "Transpose": ([], {}, {"perm": [0, 2, 3, 1]}),
        "Reshape": (["shape"], {"shape": np.array([1, 32])}, {}),
        "Slice": (["begin", "end", "axes"], {"begin": np.array([1]), "end": np.array([3]), "axes": np.array([2])}, {}),
        "Gather": (["at"], {"at": np.array([3, 0, 1])}, {"axis": 3}),
        "Resize": (["", "by"], {"by": np.array([1, 1, 2, 2], np.float32)}, {"mode": "nearest"}),
        "Tile": (["times"], {"times": np.array([1, 1, 2, 1])}, {}),
        "DepthToSpace": ([], {}, {"blocksize": 1}),
        "Flatten": ([], {}, {}),
        "ArgMax": ([], {}, {"axis": 3}),
    }
    return given[op]


OPERATORS = (
    "Clip", "Pad", "Pad without a value", "Pad reflect", "Max", "Min", "Concat", "MaxPool", "Transpose", "Reshape",
    "Slice", "Gather", "Resize", "Tile", "Flatten", "ArgMax",
)  # fmt: skip


@pytest.mark.parametrize("raw", [False, True], ids=["real", "integers"])
@pytest.mark.parametrize("op", OPERATORS)
def test_an_operator_means_what_the_file_means_on_either_side_of_dequantize(op: str, raw: bool) -> None:
    """Equal to ONNX Runtime, for every type and zero points at its ends; ONNX has no MaxPool of int16."""
    for kind, zero in some(k for k in kinds() if not raw or op != "MaxPool" or k[0] != "int16"):
        names, constants, attributes = operands(op, kind, zero, raw)
        constants |= {"s": SCALE, "z": np.array(zero, kind)}
        plain = op.split(maxsplit=1)[0]
        last = "y" if raw else "r"
        middle = helper.make_node(plain, ["q" if raw else "d", *names], [last], **attributes)
        nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"])]
        nodes += [middle] if raw else [helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]), middle]
        if not raw and op != "ArgMax":
            nodes.append(helper.make_node("QuantizeLinear", ["r", "s", "z"], ["y"]))
        elif not raw:
            middle.output[0] = "y"
        model = model_of(nodes, F, TensorProto.INT64 if op == "ArgMax" else TYPES[kind], constants)
        x = np.random.default_rng(2).uniform(-1.5, 1.5, (6, *SHAPE)).astype(np.float32)
        np.testing.assert_array_equal(integers_of(model, x), theirs(model, x), err_msg=f"{kind}, zero point {zero}")


@pytest.mark.parametrize(
    ("op", "attributes"),
    [("Relu", {}), ("LeakyRelu", {"alpha": 0.3}), ("Clip", {}), ("HardSigmoid", {}), ("Abs", {}), ("Neg", {})],
)
def test_activations_behind_dequantize_round_as_onnx_runtime_does(op: str, attributes: dict[str, Any]) -> None:
    """Every int8 and uint8 value, odd scales: equal, ties included."""
    for kind, zero in some(kinds()[:6]):
        info = np.iinfo(kind)
        constants = {"s": np.float32(0.0537), "z": np.array(zero, kind), "t": np.float32(0.0358), "l": np.float32(-0.7)}
        names = ["d", "l"] if op == "Clip" else ["d"]
        nodes = [
            helper.make_node("DequantizeLinear", ["x", "s", "z"], ["d"]),
            helper.make_node(op, names, ["r"], **attributes),
            helper.make_node("QuantizeLinear", ["r", "t", "z"], ["y"]),
        ]
        model = model_of(nodes, TYPES[kind], TYPES[kind], constants, (1, 256))
        raw = np.arange(info.min, info.max + 1).astype(kind).reshape(1, 1, 256)
        real = (raw.astype(np.float32) - zero) * constants["s"]
        np.testing.assert_array_equal(integers_of(model, real), theirs(model, raw), err_msg=f"{kind}, {zero}")


def test_two_tensors_of_different_scales_meet_as_the_integers_they_are() -> None:
    constants = {"s": SCALE, "z": np.int8(3), "t": np.float32(0.05), "u": np.int8(-128)}
    for op, attributes in (("Concat", {"axis": 1}), ("Max", {}), ("Min", {})):
        nodes = [
            helper.make_node("DequantizeLinear", ["a", "s", "z"], ["d"]),
            helper.make_node("QuantizeLinear", ["d", "t", "u"], ["b"]),
            helper.make_node(op, ["a", "b"], ["y"], **attributes),
        ]
        nodes.insert(0, helper.make_node("QuantizeLinear", ["x", "s", "z"], ["a"]))
        model = model_of(nodes, F, TensorProto.INT8, constants)
        x = np.random.default_rng(2).uniform(-1.5, 1.5, (6, *SHAPE)).astype(np.float32)
        np.testing.assert_array_equal(integers_of(model, x), theirs(model, x))


def test_integers_dequantized_with_other_parameters_are_read_anew_not_requantized() -> None:
    constants = {"s": SCALE, "z": np.int8(3), "t": np.float32(0.05), "u": np.int8(-100), "v": np.float32(0.1)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "t", "u"], ["d"]),
        helper.make_node("QuantizeLinear", ["d", "v", "u"], ["y"]),
    ]
    model = model_of(nodes, F, TensorProto.INT8, constants)
    x = np.random.default_rng(2).uniform(-2, 2, (6, *SHAPE)).astype(np.float32)
    np.testing.assert_array_equal(integers_of(model, x), theirs(model, x))


@pytest.mark.parametrize("kind", ["uint8", "int8", "int16"])
def test_an_integer_input_is_dequantized_behind_a_view_or_cast(kind: str) -> None:
    info = np.iinfo(kind)
    constants = {"s": np.float32(0.02), "z": np.array(info.max, kind), "shape": np.array([1, 32]), "k": np.float32(255)}
    constants |= {"low": np.array(info.min // 2 + 20, kind), "one": np.float32(1 / 64), "zero": np.array(0, kind)}
    view = helper.make_node("Reshape", ["x", "shape"], ["v"])
    clip = helper.make_node("Clip", ["v", "low"], ["c"])
    behind = helper.make_node("QuantizeLinear", ["r", "s", "z"], ["y"])
    x = np.random.default_rng(4).integers(info.min, info.max + 1, (16, *SHAPE)).astype(kind)
    scaled = model_of(
        [view, clip, helper.make_node("DequantizeLinear", ["c", "s", "z"], ["r"]), behind], TYPES[kind], TYPES[kind],
        constants,
    )  # fmt: skip
    real = (x.astype(np.float32) - info.max) * constants["s"]
    np.testing.assert_array_equal(integers_of(scaled, real), theirs(scaled, x))
    cast = [view, helper.make_node("Cast", ["v"], ["f"], to=F), helper.make_node("Div", ["f", "k"], ["r"])]
    behind = helper.make_node("QuantizeLinear", ["r", "one", "zero"], ["y"])
    plain = model_of([*cast, behind], TYPES[kind], TYPES[kind], constants)
    ours, expected = integers_of(plain, x.astype(np.float32)), theirs(plain, x)
    assert np.abs(ours.astype(int) - expected.astype(int)).max() <= 1
    assert np.mean(ours != expected) < 0.01


def constant(name: str, **value: Any) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], **value)


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([constant("s", value_float=0.06)], {"z": np.int8(3)}),
        ([constant("s", value_floats=[0.06])], {"z": np.int8(3)}),
        ([helper.make_node("Mul", ["a", "b"], ["s"])], {"a": np.float32(0.03), "b": np.float32(2), "z": np.int8(3)}),
        ([helper.make_node("Identity", ["a"], ["z"])], {"s": np.float32(0.06), "a": np.int8(3)}),
        (
            [helper.make_node("DequantizeLinear", ["a", "b"], ["s"])],
            {"a": np.int8(2), "b": np.float32(0.03), "z": np.int8(3)},
        ),
        (
            [constant("a", value_int=3), helper.make_node("Cast", ["a"], ["z"], to=TensorProto.INT8)],
            {"s": np.float32(0.06)},
        ),
    ],
)
def test_scale_and_zero_point_of_an_integer_input_are_found_however_they_are_written(
    nodes: list[onnx.NodeProto], constants: dict[str, Any]
) -> None:
    nodes = [
        *nodes,
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["d"]),
        helper.make_node("Relu", ["d"], ["y"]),
    ]
    graph = graph_of(model_of(nodes, TYPES["int8"], F, constants), "net.onnx", "net")
    quant = graph.tensors[graph.inputs[0].tensor].quant
    assert quant is not None
    assert (quant.scale, quant.zero_point) == ((float(np.float32(0.06)),), 3)


def test_an_integer_input_whose_scale_or_zero_point_is_not_constant_is_refused() -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=F),
        helper.make_node("ReduceMax", ["f"], ["m"], keepdims=0),
        helper.make_node("DequantizeLinear", ["x", "m", "z"], ["y"]),
    ]
    model = model_of(nodes, TYPES["int8"], F, {"z": np.int8(3)})
    with pytest.raises(ChipfitError, match="input 'x' is read by a DequantizeLinear whose scale or zero point 'm' is"):
        graph_of(model, "net.onnx", "net")


@pytest.mark.parametrize("kind", TYPES)
def test_integers_that_nothing_gives_a_scale_mean_themselves(kind: str) -> None:
    """Never a scale chosen by calibration: the file's operators read the very integers."""
    cast = helper.make_node("Cast", ["x"], ["f"], to=F)
    for nodes, y in (
        ([helper.make_node("Reshape", ["x", "shape"], ["y"])], TYPES[kind]),
        ([cast, helper.make_node("Mul", ["f", "k"], ["y"])], F),
        ([cast, helper.make_node("Relu", ["f"], ["y"])], F),
    ):
        model = model_of(nodes, TYPES[kind], y, {"shape": np.array([1, 32]), "k": np.float32(0.3)})
        x = np.random.default_rng(3).integers(0, 90, (4, *SHAPE)).astype(np.float32)
        net = build(model, (x,), (x,)).quantized.graph
        quant = net.tensors[net.inputs[0].tensor].quant
        assert quant is not None
        assert (quant.scale, quant.zero_point, quant.dtype) == ((1.0,), 0, kind)


def test_pairs_around_constants_are_computed_by_onnx_rules() -> None:
    """0.5 / 0.2 is below 2.5 in float64 and a tie in float32, which goes to even; a view lies between Q and DQ."""
    constants = {"s": np.float32(0.2), "z": np.int8(1), "w": np.array([[0.5, -0.5, 0.7, 90]], np.float32)}
    nodes = [
        helper.make_node("QuantizeLinear", ["w", "s", "z"], ["wq"]),
        helper.make_node("Transpose", ["wq"], ["wt"]),
        helper.make_node("DequantizeLinear", ["wt", "s", "z"], ["wd"]),
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("MatMul", ["d", "wd"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "s", "z"], ["y"]),
    ]
    model = model_of(nodes, F, TensorProto.INT8, constants, (1, 4))
    graph = graph_of(model, "net.onnx", "net")
    (weights,) = [t for t in graph.tensors.values() if t.data is not None and t.data.size == 4]
    reference = ReferenceEvaluator(model).run(["wd"], {"x": np.zeros((1, 4), np.float32)})[0]
    assert weights.data is not None
    np.testing.assert_array_equal(weights.data.reshape(-1), reference.reshape(-1))


def test_what_no_integer_operator_means_is_refused() -> None:
    constants = {"s": SCALE, "z": np.int8(3), "by": np.array([1, 1, 2, 2], np.float32), "f": np.int8(1)}
    for op, names, attributes in (
        ("Resize", ["q", "", "by"], {"mode": "linear"}),
        ("Neg", ["q"], {}),
        ("Mul", ["q", "f"], {}),
    ):
        first = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"])
        second = helper.make_node(op, names, ["y"], name="n", **attributes)
        model = model_of([first, second], F, TYPES["int8"], constants)
        with pytest.raises(ChipfitError, match=f"{op} node 'n': computes on the integers of 'q'"):
            graph_of(model, "net.onnx", "net")


def test_every_operator_on_integers_has_a_case_or_moves_values_only() -> None:
    tried = {op.split(maxsplit=1)[0] for op in OPERATORS}
    alike = {"Squeeze", "Unsqueeze", "Identity", "Split", "GatherElements", "GatherND", "Upsample", "ArgMin"}
    assert set(VALUE_INPUTS) == tried | alike | {"DepthToSpace", "SpaceToDepth", "Expand"}


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_a_pad_with_the_zero_point_is_the_padding_of_the_convolution_behind_it(kind: str) -> None:
    constants = {
        "s": SCALE, "z": np.array(7, kind), "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "sw": np.float32(0.01),
        "w": np.random.default_rng(6).integers(-99, 99, (3, 2, 3, 3)).astype(np.int8), "zw": np.int8(0),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("Pad", ["q", "pads", "z"], ["p"]),
        helper.make_node("DequantizeLinear", ["p", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["wd"]),
        helper.make_node("Conv", ["d", "wd"], ["c"]),
        helper.make_node("QuantizeLinear", ["c", "s", "z"], ["y"]),
    ]
    model = model_of(nodes, F, TYPES[kind], constants)
    graph = canonical(graph_of(model, "net.onnx", "net"), "net.onnx")
    assert [type(n).__name__ for n in graph.nodes] == ["Conv"]
    x = np.random.default_rng(2).uniform(-1.5, 1.5, (6, *SHAPE)).astype(np.float32)
    ours, expected = integers_of(model, x).astype(int), theirs(model, x).astype(int)
    assert np.abs(ours - expected).max() <= 1 and np.mean(ours != expected) < 0.02
