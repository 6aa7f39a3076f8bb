"""Any unit of the data: powers of two change no integer, and what float32 cannot say is refused by name."""

from fractions import Fraction

import numpy as np
import onnx
import pytest
from building import Built, build
from onnx import helper, numpy_helper

from pipeline.facts.errors import ChipfitError
from pipeline.facts.weight_bits import Widths
from pipeline.generating.ports import exact_ratio
from pipeline.ops.shared.samples import Sample, one_node, weights
from pipeline.quantizing.calibrate import Histogram, Policy, choose_params, merge_histograms

SCALED = {
    "Conv": one_node("Conv", {"x": (1, 3, 5, 5)}, {"w": weights(4, 3, 3, 3)}),
    "MatMul": one_node("MatMul", {"x": (2, 9)}, {"w": weights(9, 4)}),
    "Add": one_node("Add", {"a": (1, 2, 3), "b": (1, 2, 3)}),
    "Sub": one_node("Sub", {"a": (1, 6), "b": (1, 1)}),
    "Concat": one_node("Concat", {"a": (1, 2, 3), "b": (1, 4, 3)}, axis=1),
    "MaxPool": one_node("MaxPool", {"x": (1, 2, 6, 6)}, kernel_shape=[2, 2]),
    "AveragePool": one_node("AveragePool", {"x": (1, 2, 6, 6)}, kernel_shape=[2, 2]),
    "ReduceMean": one_node("GlobalAveragePool", {"x": (1, 2, 6, 6)}),
    "LeakyRelu": one_node("LeakyRelu", {"x": (1, 8)}, alpha=0.1),
    "PRelu": one_node("PRelu", {"x": (1, 3, 4)}, {"s": np.array([[0.1], [0.5], [-2.0]], np.float32)}),
    "Max": one_node("Max", {"a": (1, 8), "b": (1, 8)}),
    "Affine": one_node("Mul", {"x": (1, 3, 4)}, {"s": weights(3, 1)}),
}


def in_unit(sample: Sample, unit: float, activations: str = "int8", bits: int = 8) -> Built:
    inputs = tuple((v * np.float32(unit)).astype(np.float32) for v in sample.inputs(6).values())
    return build(sample.model, inputs, inputs, "auto", activations=activations, widths=Widths(bits))


@pytest.mark.parametrize("activations", ["int8", "int16"])
@pytest.mark.parametrize("name", SCALED)
def test_units_change_no_integer(name: str, activations: str) -> None:
    """All of these networks are homogeneous: in another unit their outputs are the same in that unit."""
    plain = in_unit(SCALED[name], 1.0, activations)
    for unit in (2.0**-105, 2.0**-40, 2.0**40, 2.0**110):
        other_unit = in_unit(SCALED[name], unit, activations)
        for ours, theirs in zip(other_unit.expected, plain.expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        quant, other = (b.quantized.graph.tensors[b.graph.outputs[0].tensor].quant for b in (other_unit, plain))
        assert quant is not None and other is not None and quant.scale[0] == other.scale[0] * unit


@pytest.mark.parametrize("bits", [2, 4])
def test_units_change_no_narrow_weight(bits: int) -> None:
    plain = in_unit(SCALED["Conv"], 1.0, bits=bits)
    for unit in (2.0**-60, 2.0**60):
        np.testing.assert_array_equal(in_unit(SCALED["Conv"], unit, bits=bits).expected[0], plain.expected[0])


def test_products_of_tiny_values_stay() -> None:
    sample = one_node("Mul", {"a": (1, 8), "b": (1, 8)})
    for unit in (2.0**-55, 2.0**55):
        np.testing.assert_array_equal(in_unit(sample, unit).expected[0], in_unit(sample, 1.0).expected[0])


def test_values_without_a_normal_scale_are_refused_by_name() -> None:
    with pytest.raises(ChipfitError, match=r"tensor 'x' holds values so small that float32 has no normal number"):
        in_unit(SCALED["MatMul"], 2.0**-135)


@pytest.mark.parametrize("value", [1e-30, 1e-8, 0.5, 3e7, 1e30])
def test_a_tensor_of_one_value_keeps_it(value: float) -> None:
    observed = Histogram.of(np.full(100, value, np.float32))
    for method in ("mse", "percentile", "min-max"):
        for seen in (observed, merge_histograms([observed, observed])):
            quant = choose_params(seen, Policy(method))
            dequantized = quant.dequantize(quant.quantize(np.array([value])))
            np.testing.assert_allclose(dequantized, [value], rtol=0.01)


@pytest.mark.parametrize("scale", [2.0**-126, 1.5e-30, 0.0123, 1.0, 48.0, 3e9, 1.7e30])
def test_the_ratio_of_the_header_is_the_scale(scale: float) -> None:
    scale = float(np.float32(scale))
    multiplier, shift = exact_ratio(scale)
    assert Fraction(multiplier) / Fraction(2) ** shift == Fraction(scale)
    assert 0 < multiplier < 2**31


def clipped(sample: Sample, low: float, high: float) -> Sample:
    """The sample's output clipped."""
    model = onnx.ModelProto()
    model.CopyFrom(sample.model)
    graph = model.graph
    graph.node[0].output[0] = "before"
    graph.initializer.extend(numpy_helper.from_array(np.float32(v), n) for v, n in ((low, "low"), (high, "high")))
    graph.node.append(helper.make_node("Clip", ["before", "low", "high"], [graph.output[0].name]))
    return Sample(sample.name, model, sample.low, sample.high)


STEEP = {
    "Add": clipped(one_node("Sub", {"a": (1, 40), "b": (1, 40)}), -1e-9, 1e-9),
    "Mul": clipped(one_node("Mul", {"a": (1, 40), "b": (1, 40)}), -1e-9, 1e-9),
    "AveragePool": clipped(
        one_node("AveragePool", {"x": (1, 2, 8, 8)}, kernel_shape=[2, 2], strides=[2, 2]), -1e-9, 1e-9
    ),
    "Mean": clipped(one_node("GlobalAveragePool", {"x": (1, 5, 3, 3)}), -1e-9, 1e-9),
}


@pytest.mark.parametrize("name", STEEP)
def test_operators_that_only_say_a_sign_say_it(name: str) -> None:
    built = in_unit(STEEP[name], 1.0)
    graph = built.quantized.graph
    real = []
    for port, integers in zip(graph.inputs, built.inputs, strict=True):
        quant = graph.tensors[port.tensor].quant
        assert quant is not None
        real.append(port.to_onnx(quant.dequantize(integers)))
    if name in ("Add", "Mul"):
        wanted = real[0] - real[1] if name == "Add" else real[0] * real[1]
    elif name == "Mean":
        wanted = real[0].mean(axis=(3, 4))
    else:
        wanted = real[0].reshape(len(real[0]), 2, 4, 2, 4, 2).mean(axis=(3, 5))
    quant = graph.tensors[graph.outputs[0].tensor].quant
    assert quant is not None
    got = graph.outputs[0].to_onnx(quant.dequantize(built.expected[0])).reshape(wanted.shape)
    sure = np.abs(wanted) > (1e-6 if name != "Add" else 0.05)
    assert sure.sum() > 10
    np.testing.assert_array_equal(np.sign(got)[sure], np.sign(wanted)[sure])
