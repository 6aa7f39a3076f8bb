"""Weights of less than eight bits: in their range, nearer than plain rounding, and exact in C."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from building import Built, assert_chip_equals, build, on_chip, on_host, write_library
from conftest import ROOT
from onnx import helper, numpy_helper

from pipeline.facts.config import load_project
from pipeline.facts.errors import ChipfitError
from pipeline.facts.weight_bits import BITS, Widths, largest_weight
from pipeline.graph.graph_file import load
from pipeline.graph.onnx_export import float_model, qdq_model
from pipeline.graph.tensor import QuantParams
from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.passes import canonical
from pipeline.ops import NODES, samples
from pipeline.ops.shared.linear import Linear
from pipeline.ops.shared.samples import Sample, one_node
from pipeline.quantizing.data import Samples
from pipeline.quantizing.input_statistics import InputStatistics, measure_inputs
from pipeline.quantizing.linear_integers import quantize_linear
from pipeline.quantizing.low_bit_weights import LowBitRounding
from pipeline.quantizing.onnx_runtime import FloatSession
from pipeline.quantizing.weight_rounding import WeightRounding
from stages import STAGES
from stages.base import Job
from stages.execution import execute

SAMPLES = {s.name: s for s in samples() if s.name.startswith(("Conv", "Gemm", "MatMul"))}
NARROW = range(7, 1, -1)
MODELS = ROOT / "configs" / "models"


def net_of(
    sample: Sample, widths: Widths, requantizer: str = "auto", count: int = 16, activations: str = "int8"
) -> Built:
    inputs = tuple(sample.inputs(count).values())
    return build(sample.model, inputs, inputs, requantizer, widths=widths, activations=activations)


def weights(built: Built) -> dict[str, np.ndarray]:
    graph = built.quantized.graph
    return {n.name: graph.constant(n.weights) for n in graph.nodes if isinstance(n, Linear)}


def check(sample: Sample, built: Built, bits: int, steps: float) -> None:
    """Weights in their range, and the integers within so many steps of ONNX Runtime on the QDQ model."""
    for kernel in weights(built).values():
        assert kernel.dtype == np.int8 and 0 < np.abs(kernel.astype(int)).max() <= largest_weight(bits)
    model = qdq_model(built.graph, built.quantized.params, built.quantized.constants)
    qdq = FloatSession(model).stacked(sample.inputs(16))
    for port, got in zip(built.graph.outputs, built.expected, strict=True):
        quant = built.quantized.graph.tensors[port.tensor].quant
        assert quant is not None
        assert np.abs(port.to_onnx(quant.dequantize(got)) - qdq[port.onnx_name]).max() <= steps * quant.scale[0]


# In the fast suite each sample meets every width and every requantizer, and every width each requantizer.
AGREEING = [
    pytest.param(s, r, bits, id=f"{s.name}-{r}-{bits}", marks=[pytest.mark.exhaustive] * ((i + j + bits) % 3 != 0))
    for i, s in enumerate(SAMPLES.values())
    for j, r in enumerate(("shift", "multiplier", "auto"))
    for bits in NARROW
]


@pytest.mark.parametrize(("sample", "requantizer", "bits"), AGREEING)
def test_weights_are_in_their_range_and_the_qdq_model_agrees(sample: Sample, requantizer: str, bits: int) -> None:
    check(sample, net_of(sample, Widths(bits), requantizer), bits, 1.01)


@pytest.mark.parametrize("bits", NARROW)
@pytest.mark.parametrize("requantizer", ["shift", "multiplier"])
@pytest.mark.parametrize("name", ["Conv_3x3_pad", "Gemm_1x5_17_transB1"])
def test_c_equals_the_specification(name: str, requantizer: str, bits: int, tmp_path: Path) -> None:
    built = net_of(SAMPLES[name], Widths(bits), requantizer)
    library = write_library(built, tmp_path, "cortex-m0")
    for ours, expected in zip(on_host(built, library), built.expected, strict=True):
        np.testing.assert_array_equal(ours, expected)
    assert_chip_equals(built, on_chip(built, library, "cortex-m0", count=4))


@pytest.mark.parametrize("bits", [2, 3])
def test_a_tight_clamp_scales_sums_up(bits: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sample = one_node("Gemm", {"x": (1, 3)}, {"w": rng.standard_normal((4, 3)).astype(np.float32)}, transB=1)
    graph = sample.model.graph
    graph.node[0].output[0] = "before"
    graph.initializer.extend(numpy_helper.from_array(np.float32(v), n) for v, n in ((-0.1, "low"), (0.1, "high")))
    graph.node.append(helper.make_node("Clip", ["before", "low", "high"], [graph.output[0].name]))
    built = net_of(sample, Widths(bits), "auto")
    layer = next(n for n in built.quantized.graph.nodes if isinstance(n, Linear))
    assert layer.rescale is not None and built.quantized.graph.constant(layer.rescale.shift).min() > 0
    library = write_library(built, tmp_path, "cortex-m0")
    assert_chip_equals(built, on_chip(built, library, "cortex-m0"))
    with pytest.raises(ChipfitError, match="multiplies its input up by more than a shift can say"):
        net_of(sample, Widths(bits), "shift")


@pytest.mark.parametrize("bits", NARROW)
@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES.keys())
def test_int16_activations_agree_too(sample: Sample, bits: int) -> None:
    check(sample, net_of(sample, Widths(bits), activations="int16"), bits, 4)


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES.keys())
def test_moments_of_the_inputs_tell_those_of_the_outputs(sample: Sample) -> None:
    graph = canonical(graph_of(sample.model, "net.onnx", "net"), "net.onnx")
    inputs = sample.inputs(8)
    (layer,) = (n for n in graph.nodes if isinstance(n, Linear))
    seen = measure_inputs(graph, Samples(tuple(inputs.values())), [layer], lambda done, total: None)[layer.name]
    feeds = {p.tensor: p.to_stored(inputs[p.onnx_name]) for p in graph.inputs}
    outputs = FloatSession(float_model(graph, [layer.output])).stacked(feeds, [layer.output])[layer.output]
    outputs = outputs.reshape(-1, outputs.shape[-1]).astype(np.float64)
    kernel = graph.constant(layer.weights).reshape(outputs.shape[1], -1).astype(np.float64)
    split = np.split(kernel, len(seen.mean))
    means = np.concatenate([k @ m for k, m in zip(split, seen.mean, strict=True)]) + graph.constant(layer.bias)
    variances = np.concatenate([((k @ c) * k).sum(axis=1) for k, c in zip(split, seen.covariance, strict=True)])
    np.testing.assert_allclose(means, outputs.mean(axis=0), atol=0.01)
    np.testing.assert_allclose(variances, outputs.var(axis=0), rtol=0.02, atol=0.01)


def rows(seed: int, groups: int = 1) -> tuple[np.ndarray, np.ndarray, InputStatistics]:
    """Weights (8, 20), a bias, and inputs that depend on each other."""
    rng = np.random.default_rng(seed)
    mixed = rng.standard_normal((groups, 20, 20))
    covariance = mixed @ mixed.transpose(0, 2, 1) / 20
    return (
        rng.standard_t(4, (8, 20)),
        rng.standard_normal(8),
        InputStatistics(rng.standard_normal((groups, 20)), covariance),
    )


def lost(kernel: np.ndarray, integers: np.ndarray, scales: np.ndarray, seen: InputStatistics | None) -> float:
    error = np.split(kernel - integers * scales[:, None], 1 if seen is None else len(seen.mean))
    matrices = [np.eye(20)] if seen is None else list(seen.covariance)
    return float(sum(np.trace(e @ c @ e.T) for e, c in zip(error, matrices, strict=True)))


@pytest.mark.parametrize("bits", NARROW)
@pytest.mark.parametrize("groups", [0, 1, 4])
@pytest.mark.parametrize("per_channel", [True, False])
def test_less_is_lost_than_by_plain_rounding(bits: int, groups: int, per_channel: bool) -> None:
    """Within what the rounding of scales to 12 bits and the damping move."""
    for seed in range(5):
        kernel, bias, seen = rows(seed, max(groups, 1))
        known = seen if groups else None
        narrow = LowBitRounding(kernel, bias, per_channel, bits, known)
        plain = narrow.peaks / largest_weight(bits)
        rounded = np.rint(kernel / plain[:, None])
        scales = narrow.scales(64.0)
        assert (len(set(scales)) > 1) == per_channel
        assert lost(kernel, narrow.weights(scales), scales, known) < 1.002 * lost(kernel, rounded, plain, known)
        shifts = narrow.shifts(64.0, True)
        coarse = 64.0 * 2.0 ** -np.array([np.floor(np.log2(64.0 / p)) for p in plain])
        rounded = np.rint(kernel / coarse[:, None])
        scales = 64.0 * 2.0**-shifts
        assert lost(kernel, narrow.weights(scales), scales, known) < 1.002 * lost(kernel, rounded, coarse, known)


def test_the_mean_error_goes_into_the_bias() -> None:
    kernel, bias, seen = rows(0)
    narrow = LowBitRounding(kernel, bias, True, 2, seen)
    scales = narrow.scales(64.0)
    integers = narrow.weights(scales)
    mean_output = integers * scales[:, None] @ seen.mean[0] + narrow.shifted_bias(integers, scales)
    np.testing.assert_allclose(mean_output, kernel @ seen.mean[0] + bias)


@pytest.mark.parametrize("requantizer", ["shift", "multiplier"])
def test_an_output_without_weights_keeps_its_bias_and_spares_the_others(requantizer: str) -> None:
    kernel, bias, _ = rows(0)
    kernel[3] = 0.0
    x, y = QuantParams((0.02,), 3), QuantParams((0.5,), -5)
    for rounding in (LowBitRounding(kernel, bias, True, 4, None), WeightRounding(kernel, bias, True)):
        solved = quantize_linear(rounding, x, y, requantizer)
        assert solved is not None
        assert not solved.weights[3].any() and all(solved.weights[i].any() for i in (0, 1, 2, 4, 5, 6, 7))
        np.testing.assert_allclose(solved.bias * solved.scales * 0.02, bias, atol=0.02)


def test_ternary_is_another_name_for_two_bits_and_eight_change_nothing() -> None:
    assert BITS["ternary"] == BITS["int2"] == 2 and largest_weight(2) == 1
    sample = SAMPLES["Gemm_1x5_17_transB1"]
    one, other = (
        net_of(sample, Widths(8)),
        net_of(sample, Widths(2, dict.fromkeys(weights(net_of(sample, Widths())), 8))),
    )
    for name, kernel in weights(one).items():
        np.testing.assert_array_equal(kernel, weights(other)[name])


PRODUCT = """product: digits
model: {{source: {source}}}
data: {{calibration: {data}, evaluation: {data}}}
chip: stm32f030r8
quantization:
{quantization}
"""


def quantized(folder: Path, quantization: str, source: Path = MODELS / "digits.onnx") -> Path:
    """The quantize stage's folder of a product with these settings."""
    text = PRODUCT.format(source=source, data=MODELS / "digits.npz", quantization=quantization)
    (folder / "d.yaml").write_text(text, "utf-8")
    job = Job(load_project(folder / "d.yaml"), folder / "build")
    for stage in STAGES:
        if stage.NAME in ("import", "quantize"):
            execute(stage, job)
    return job.folder / "quantize"


def test_one_layer_may_differ_from_the_others(tmp_path: Path) -> None:
    folder = quantized(
        tmp_path, "  weights: int5\n  layers:\n    /4/Conv: {weights: ternary}\n    /9/Gemm: {weights: int8}"
    )
    graph = load({n: (folder / n).read_bytes() for n in ("graph.json", "weights.bin")}, NODES)
    peaks = {
        n.name: int(np.abs(graph.constant(n.weights).astype(int)).max()) for n in graph.nodes if isinstance(n, Linear)
    }
    assert peaks["/0/Conv"] in range(8, 16) and peaks["/4/Conv"] == 1 and peaks["/9/Gemm"] > 63
    onnx.checker.check_model(onnx.load(folder / "model.qdq.onnx"))


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        ("/4/conv", "no layer is called '/4/conv'. Hint: Did you mean '/4/Conv'?"),
        ("fc", "no layer is called 'fc'. Hint: Known: /0/Conv, /4/Conv, /9/Gemm."),
        (
            "/3/MaxPool",
            "layer '/3/MaxPool' (MaxPool) has no weights. Hint: Those with weights: /0/Conv, /4/Conv, /9/Gemm.",
        ),
    ],
)
def test_a_layer_that_has_no_weights_or_does_not_exist(layer: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ChipfitError) as caught:
        quantized(tmp_path, f"  weights: int4\n  layers:\n    {layer}: {{weights: int2}}")
    assert str(caught.value) == f"{tmp_path}/d.yaml:8: quantization.layers: {sentence}"


@pytest.mark.parametrize("quantization", ["  weights: int4", "  layers: {Conv_6: {weights: int4}}"])
def test_weights_that_come_quantized_are_not_narrowed(quantization: str, tmp_path: Path) -> None:
    own = quantized(tmp_path, "  weights: int8") / "model.qdq.onnx"
    (tmp_path / "net.onnx").write_bytes(own.read_bytes())
    with pytest.raises(ChipfitError, match="the model file itself says the integers of layer"):
        quantized(tmp_path, quantization, tmp_path / "net.onnx")
