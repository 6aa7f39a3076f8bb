"""Signal over quantization noise: of outputs and of parts that go separate ways, and what would help, tried."""

from collections.abc import Mapping
from math import inf
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.graph.ir import Graph
from pipeline.graph.onnx_export import qdq_model
from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.passes import canonical
from pipeline.quantizing.calibrate import Histogram, Policy, observe
from pipeline.quantizing.data import Samples
from pipeline.quantizing.evaluate import evaluate
from pipeline.quantizing.integer_graph import Quantized, join_int8_functions, quantize, unprescribed_activations
from pipeline.quantizing.quantize_file import QuantizeFile, least_signal
from pipeline.quantizing.signal_to_noise import SignalMeter, TensorPart, alternatives, output_elements, tensor_parts

RNG = np.random.default_rng(9)


def model_of(
    nodes: list[onnx.NodeProto], inputs: Mapping[str, list[int]], outputs: Mapping[str, list[int]], constants: Any
) -> onnx.ModelProto:
    ends = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in e.items()] for e in (inputs, outputs)]
    tensors = [numpy_helper.from_array(np.asarray(v, np.float32), n) for n, v in constants.items()]
    graph = helper.make_graph(nodes, "net", ends[0], ends[1], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def none(done: int, total: int) -> None:
    """No progress is shown."""


def attempt(graph: Graph, policy: Policy, typical: Samples) -> Quantized:
    graph = join_int8_functions(graph, policy)
    observed = observe(graph, typical, none, unprescribed_activations(graph))
    return quantize(graph, observed, policy, per_channel=True, requantizer="multiplier")


def measured(model: onnx.ModelProto, samples: Samples) -> tuple[Graph, QuantizeFile]:
    graph = join_int8_functions(canonical(graph_of(model, "net.onnx", "net"), "net.onnx"), Policy("mse"))
    names = unprescribed_activations(graph)
    observed: Mapping[str, Histogram] = observe(graph, samples, none, names) if names else {}
    result = quantize(graph, observed, Policy("mse"), per_channel=True, requantizer="multiplier")
    qdq = qdq_model(graph, result.params, result.constants)
    return graph, evaluate(graph, result, observed, model, qdq, samples, none)


def raw_features() -> tuple[onnx.ModelProto, Samples]:
    """Two features of unlike size, one of which decides."""
    constants = {"w": [[1e-3, -1e-3], [4.0, -4.0]]}
    model = model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": [1, 2]}, {"y": [1, 2]}, constants)
    x = np.stack([RNG.normal(0, 300, 64), RNG.normal(0, 0.5, 64)], axis=1).astype(np.float32)
    return model, Samples((x.reshape(64, 1, 2),))


def test_an_output_that_lost_its_signal_is_found_and_what_helps_was_tried() -> None:
    model, samples = raw_features()
    graph, document = measured(model, samples)
    rows = document.signal
    assert [r.part for r in rows] == ["output 'y'", "element 1 of output 'y'"] and rows[0].signal_db < 10
    found = {
        r.what: r.signal_db
        for r in alternatives(tensor_parts(graph)[0], graph, Policy("mse"), attempt, samples, samples)
    }
    assert set(found) == {
        "quantization: {activations: int16}", "quantization: {calibration: min-max}",
        "quantization: {calibration: percentile}",
        "each channel of input 'x' divided by its largest magnitude before the network",
    }  # fmt: skip
    assert found["each channel of input 'x' divided by its largest magnitude before the network"] > 30
    assert found["quantization: {activations: int16}"] > 15 > 10 > found["quantization: {calibration: min-max}"]


def test_the_small_part_of_a_joined_output_is_measured_alone() -> None:
    """Boxes of up to 150 pixels and scores below 1 in one tensor: the whole looks well."""
    nodes = [
        helper.make_node("MatMul", ["x", "v"], ["boxes"]),
        helper.make_node("MatMul", ["x", "w"], ["s"]),
        helper.make_node("Sigmoid", ["s"], ["scores"]),
        helper.make_node("Concat", ["boxes", "scores"], ["y"], axis=1),
    ]
    constants = {"v": RNG.normal(0, 50, (4, 2)), "w": RNG.normal(0, 1, (4, 3))}
    model = model_of(nodes, {"x": [1, 4]}, {"y": [1, 5]}, constants)
    _, document = measured(model, Samples((RNG.normal(0, 1, (64, 1, 4)).astype(np.float32),)))
    found = {r.part: r.signal_db for r in document.signal}
    assert list(found) == [
        "output 'y'", "the part of output 'y' that comes from 'boxes'",
        "the part of output 'y' that comes from 'scores'",
    ]  # fmt: skip
    assert found["output 'y'"] > 30 and found["the part of output 'y' that comes from 'scores'"] < 10
    least = least_signal(document.signal, 10.0)
    assert least is not None and least.part.endswith("'scores'")
    assert least_signal(document.signal, None) is None and least_signal(document.signal, -90.0) is None


def test_parts_that_a_split_takes_out_are_measured() -> None:
    split = helper.make_node("Split", ["x"], ["a", "b"], axis=1)
    nodes = [split, helper.make_node("Relu", ["a"], ["p"]), helper.make_node("Relu", ["b"], ["q"])]
    model = model_of(nodes, {"x": [1, 8]}, {"p": [1, 4], "q": [1, 4]}, {})
    x = RNG.normal(0, 1, (32, 1, 8)).astype(np.float32)
    x[:, :, 4:] *= 1e-3
    _, document = measured(model, Samples((x,)))
    found = {r.part: r.signal_db for r in document.signal}
    assert found["output 'p'"] > 30 and found["output 'q'"] < 10


@pytest.mark.parametrize(("real", "error", "expected"), [(1.0, 0.1, 20.0), (1.0, 0.0, inf), (0.0, 0.1, None)])
def test_signal_is_power_about_the_mean(real: float, error: float, expected: float | None) -> None:
    part = TensorPart("t", "t")
    meter = SignalMeter([part])
    for sign in (-1, 1):
        meter.add("t", 500 + sign * np.full((2, 3), real), np.full((2, 3), error))
        meter.add("other", np.ones(1), np.ones(1))
    assert meter.decibels(part) == (pytest.approx(expected) if expected is not None else None)


def regression(offsets: list[float], factors: list[float]) -> tuple[onnx.ModelProto, Samples]:
    """Independent quantities about offsets, of one dense layer."""
    count = len(offsets)
    constants = {"w": np.diag(factors), "b": offsets}
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["y"])]
    model = model_of(nodes, {"x": [1, count]}, {"y": [1, count]}, constants)
    return model, Samples((RNG.normal(0, 1, (64, 1, count)).astype(np.float32),))


def test_a_small_variation_on_a_large_offset_is_measured() -> None:
    """Pascals: every input gives the same integer."""
    (row,) = measured(*regression([101325], [3]))[1].signal
    assert row.part == "output 'y'" and row.signal_db < -10


def test_an_element_that_is_lost_beside_a_large_one_is_named() -> None:
    """Kelvin beside pascals; what is constant in the float network loses nothing."""
    document = measured(*regression([298, 101300, 7], [2, 5000, 0]))[1]
    least = least_signal(document.signal, 10.0)
    assert least is not None and least.part == "element 0 of output 'y'" and least.limit_db == 0
    assert least_signal(measured(*regression([298, 310], [20, 0]))[1].signal, 10.0) is None


def test_probabilities_of_a_class_that_no_sample_has_are_no_finding() -> None:
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["h"]), helper.make_node("Softmax", ["h"], ["y"])]
    constants = {"w": np.diag([3, 3, 1]), "b": [0, 0, -30]}
    model = model_of(nodes, {"x": [1, 3]}, {"y": [1, 3]}, constants)
    samples = Samples((RNG.normal(0, 1, (64, 1, 3)).astype(np.float32),))
    graph, document = measured(model, samples)
    assert least_signal(document.signal, 10.0) is None and not output_elements(graph)


def test_elements_have_their_onnx_index_and_beyond_64_channels_are_taken() -> None:
    def names_of(shape: list[int]) -> list[str]:
        model = model_of(
            [helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[1, 1])], {"x": shape}, {"y": shape}, {}
        )
        return [p.description for p in output_elements(canonical(graph_of(model, "net.onnx", "net"), "net.onnx"))]

    assert names_of([1, 2, 1, 2]) == [
        f"element {i} of output 'y'" for i in ((0, 0, 0, 0), (0, 1, 0, 0), (0, 0, 0, 1), (0, 1, 0, 1))
    ]
    assert names_of([1, 3, 1, 1])[1] == "element 1 of output 'y'"
    assert names_of([1, 3, 8, 8]) == [f"channel {i} of output 'y'" for i in range(3)]


@pytest.mark.parametrize(("scale", "lost"), [(0.05, False), (5.0, True)])
def test_a_quantized_file_is_measured_beside_the_network_without_its_rounding(scale: float, lost: bool) -> None:
    """Two halves joined at one scale, at which the small one may be nothing but zeros."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("Mul", ["d", "hundred"], ["m"]),
        helper.make_node("Concat", ["m", "d"], ["c"], axis=1),
        helper.make_node("QuantizeLinear", ["c", "t", "z"], ["p"]),
        helper.make_node("DequantizeLinear", ["p", "t", "z"], ["y"]),
    ]
    model = model_of(nodes, {"x": [1, 4]}, {"y": [1, 8]}, {"s": 0.01, "t": scale, "hundred": [100 * scale / 5]})
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(0, np.int8), "z"))
    _, document = measured(model, Samples((RNG.uniform(-1, 1, (64, 1, 4)).astype(np.float32),)))
    least = least_signal(document.signal, 10.0)
    assert (least is not None) == lost and len(document.signal) == 3 + lost


def test_what_a_prescribed_range_cuts_off_is_no_noise() -> None:
    """A zero point of -128 is a ReLU: exporters leave the other out."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    model = model_of(nodes, {"x": [1, 4]}, {"y": [1, 4]}, {"s": 0.01})
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(-128, np.int8), "z"))
    _, document = measured(model, Samples((RNG.uniform(-1, 1, (64, 1, 4)).astype(np.float32),)))
    assert [r.signal_db > 30 for r in document.signal] == [True]
