"""What calibration decides, taken from a lock instead: the same network, whatever the floats would have been."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx
import pytest
from building import Built, build
from conftest import ROOT, some
from onnx import helper, numpy_helper

from pipeline.facts.decisions import ActivationDecision, Decisions, LayerDecision
from pipeline.facts.errors import ChipfitError
from pipeline.facts.weight_bits import Widths
from pipeline.graph.graph_file import save
from pipeline.graph.tensor import Array, QuantParams
from pipeline.ops import samples
from pipeline.ops.shared.linear import Linear
from pipeline.ops.shared.samples import Sample
from pipeline.quantizing import onnx_runtime
from pipeline.quantizing.calibrate import Histogram, Policy, observe, rounded_up_scale
from pipeline.quantizing.data import Samples
from pipeline.quantizing.input_statistics import measure_inputs
from pipeline.quantizing.integer_graph import Quantized, join_int8_functions, quantize, unprescribed_activations
from pipeline.quantizing.locked import LockedRounding, decided_params, decisions_of, observed_of

SAMPLES = {s.name: s for s in samples()}
WITH_WEIGHTS = ("Gemm_and_an_addition", "MatMul_1x7_17", "Conv_grouped", "Conv_depthwise", "ConvTranspose_1d")


def decided(built: Built, calibration: tuple[Array, ...]) -> tuple[Decisions, Mapping[str, Histogram]]:
    names = unprescribed_activations(built.graph)
    observed = observe(built.graph, Samples(calibration), lambda done, total: None, names) if names else {}
    return decisions_of(built.quantized.params, observed, built.quantized.layers), observed


@pytest.mark.parametrize("activations", ["int8", "int16"])
@pytest.mark.parametrize("requantizer", ["auto", "multiplier", "shift"])
def test_decisions_lead_to_the_network_that_they_were_taken_from(requantizer: str, activations: str) -> None:
    checked = 0
    for sample in some(SAMPLES[n] for n in WITH_WEIGHTS):
        inputs = tuple(sample.inputs(16).values())
        for bits, per_channel in ((8, True), (5, True), (3, False), (2, True)):
            how = {"per_channel": per_channel, "requantizer": requantizer, "widths": Widths(bits)}
            try:
                built = build(sample.model, inputs, inputs, activations=activations, **how)
            except ChipfitError:
                continue  # shift is demanded, and cannot say it
            decisions, observed = decided(built, inputs)
            again = quantize(built.graph, {}, Policy("mse", dtype=activations), locked=decisions, **how)
            assert save(again.graph) == save(built.quantized.graph), (sample.name, bits)
            assert decisions_of(again.params, observed, again.layers) == decisions
            checked += 1
    assert checked > 10


TOUCH = ROOT / "configs" / "models" / "touch.onnx"


@pytest.fixture(scope="module")
def touch_inputs() -> tuple[Array, ...]:
    with np.load(TOUCH.with_suffix(".npz")) as arrays:
        return (arrays["calib"][:200].astype(np.float32).reshape(-1, 1, 30),)


class OtherProcessor:
    """ONNX Runtime as another processor has it: each float it computes may differ in its last bit."""

    def __init__(self, seed: int) -> None:
        self.run, self.rng = onnx_runtime.FloatSession.run, np.random.default_rng(seed)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        def run(
            session: onnx_runtime.FloatSession, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None
        ) -> Iterator[dict[str, Array]]:
            for row in self.run(session, feeds, outputs):
                yield {n: self._nudged(v) for n, v in row.items()}

        patch.setattr(onnx_runtime.FloatSession, "run", run)

    def _nudged(self, values: Array) -> Array:
        towards = self.rng.choice([-np.inf, 0, np.inf], values.shape)
        return np.where(towards == 0, values, np.nextafter(values, towards.astype(np.float32)))


def test_floats_of_another_processor_change_nothing_that_is_locked(
    touch_inputs: tuple[Array, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx.load(TOUCH)
    how = {"per_channel": True, "requantizer": "auto", "widths": Widths(5)}
    ours = build(model, touch_inputs, touch_inputs, **how)
    decisions, _ = decided(ours, touch_inputs)
    for seed in range(3):
        with monkeypatch.context() as patch:
            OtherProcessor(seed).install(patch)
            floats = observe(ours.graph, Samples(touch_inputs), lambda done, total: None)
            here = observed_of(decisions)
            assert any((f.low, f.high) != (here[n].low, here[n].high) for n, f in floats.items()), (
                "nothing is perturbed"
            )
            theirs = quantize(ours.graph, floats, Policy("mse"), locked=decisions, **how)
        assert save(theirs.graph) == save(ours.quantized.graph)


def on_the_edge() -> np.float32:
    """A largest value whose scale is another one step of float32 farther on."""
    for mantissa in range(3000, 4000):
        value = np.float32(255 * (mantissa + 1e-3) / 4096)
        if rounded_up_scale(float(value) / 255) != rounded_up_scale(
            float(np.nextafter(value, np.float32(np.inf))) / 255
        ):
            return value
    raise AssertionError


def test_a_last_bit_that_changes_an_unlocked_network_does_not_change_a_locked_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A range of calibration data on the edge between two scales: this processor and another take each one."""
    x, y = (helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, 2]) for n in "xy")
    weights = numpy_helper.from_array(np.eye(2, dtype=np.float32), "w")
    dense = helper.make_node("MatMul", ["x", "w"], ["y"], "dense")
    graph = helper.make_graph([dense], "edge", [x], [y], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    inputs = (np.array([[[0, on_the_edge()]], [[0.5, 1]]], np.float32),)
    how = {"per_channel": True, "requantizer": "auto", "widths": Widths(5)}
    policy = Policy("min-max")
    ours = build(model, inputs, inputs, policy=policy, **how)
    decisions, _ = decided(ours, inputs)
    unlocked, locked = set(), set()
    for seed in range(8):
        with monkeypatch.context() as patch:
            OtherProcessor(seed).install(patch)
            theirs = build(model, inputs, inputs, policy=policy, **how)
            unlocked.add(save(theirs.quantized.graph)["graph.json"])
            again = quantize(theirs.graph, {}, policy, locked=decisions, **how)
            locked.add((save(again.graph)["graph.json"], save(again.graph)["weights.bin"]))
    assert len(unlocked) == 2
    assert locked == {tuple(save(ours.quantized.graph).values())}


def test_statistics_that_decide_otherwise_change_nothing_that_is_locked(touch_inputs: tuple[Array, ...]) -> None:
    """Half of the data: scales and rounding are others, and the locked network is the same."""
    model = onnx.load(TOUCH)
    how = {"per_channel": True, "requantizer": "auto", "widths": Widths(5)}
    ours = build(model, touch_inputs, touch_inputs, **how)
    half = (touch_inputs[0][:100],)
    theirs = build(model, half, half, **how)
    assert save(theirs.quantized.graph) != save(ours.quantized.graph)
    decisions, _ = decided(ours, touch_inputs)
    narrow = [n for n in theirs.graph.nodes if isinstance(n, Linear)]
    locked = quantize(
        theirs.graph,
        observe(theirs.graph, Samples(half), lambda done, total: None),
        Policy("mse"),
        input_statistics=measure_inputs(theirs.graph, Samples(half), narrow, lambda done, total: None),
        locked=decisions,
        **how,
    )
    assert save(locked.graph) == save(ours.quantized.graph)


def gemm() -> tuple[Sample, Built, Decisions]:
    sample = SAMPLES["MatMul_1x7_17"]
    inputs = tuple(sample.inputs(16).values())
    built = build(sample.model, inputs, inputs, "multiplier", widths=Widths(4))
    return sample, built, decided(built, inputs)[0]


def requantized(built: Built, decisions: Decisions) -> Quantized:
    return quantize(
        built.graph, {}, Policy("mse"), per_channel=True, requantizer="multiplier", widths=Widths(4), locked=decisions
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scales": None}, "scales has 0 values"),
        ({"scales": "1/2^3 1/2^4"}, "scales has 2 values"),
        ({"scales": "0/2^3"}, "is beyond the range of a float"),
        ({"scales": "1/2^9999"}, "is beyond the range of a float"),
        ({"scales": "1/2^200"}, "float32 has no normal number"),
        ({"bias": "1 2"}, "bias has 2 values"),
        ({"bias": None}, "bias has 0 values"),
        ({"rounding": "AAAA"}, "bytes of rounding, in base64; the lock has 3"),
        ({"rounding": "!"}, "bytes of rounding, in base64; the lock has 0"),
        ({"constant": "77"}, "none is number 77"),
        ({"constant": "-1"}, "none is number -1"),
        ({"requantizer": "shift"}, "of shift and scales, the wrong one"),
        ({"requantizer": "shift", "shift": "-3"}, "shifts that are not within 0 and 127"),
    ],
)  # fmt: skip
def test_a_lock_of_another_layer_is_refused(change: dict[str, str | None], message: str) -> None:
    _, built, decisions = gemm()
    ((name, layer),) = decisions.layers.items()
    wrong = Decisions(decisions.activations, {name: replace(layer, **change)})  # type: ignore[arg-type]
    how = "shift" if "shift" in change else "auto"
    with pytest.raises(ChipfitError, match=message):
        quantize(
            built.graph, {}, Policy("mse"), per_channel=True, requantizer=how, widths=Widths(4), locked=wrong
        )  # fmt: skip


def test_weights_of_a_lock_stay_within_their_bits_and_sums_within_theirs() -> None:
    """Whatever scales a lock has, the integers pass the checks of those that are computed."""
    _, built, decisions = gemm()
    ((name, layer),) = decisions.layers.items()
    tiny = Decisions(decisions.activations, {name: replace(layer, scales="1/2^40", rounding=None)})
    graph = requantized(built, tiny).graph
    layers = some(n for n in graph.nodes if isinstance(n, Linear))
    assert max(np.abs(graph.constant(n.weights).astype(int)).max() for n in layers) == 7
    huge = Decisions(decisions.activations, {name: replace(layer, bias="9999999999999999")})
    with pytest.raises(ChipfitError, match="has a bias, or sums, that are too large at its scales"):
        requantized(built, huge)


def test_tensors_that_a_lock_lacks_or_tears_apart_are_named() -> None:
    one = ActivationDecision("3/2^7", -5, -1.0, 1.0)
    with pytest.raises(ChipfitError, match="tensor 'y' has no scale in the lock"):
        decided_params(Decisions({"x": one}, {}), ["x", "y"], "int8")
    other = replace(one, zero_point=0)
    with pytest.raises(ChipfitError, match="tensors 'x' and 'y' share a scale, but not in the lock"):
        decided_params(Decisions({"x": one, "y": other}, {}), ["x", "y"], "int8")
    with pytest.raises(ChipfitError, match="300 is no zero point of int8"):
        decided_params(Decisions({"x": replace(one, zero_point=300)}, {}), ["x"], "int8")
    with pytest.raises(ChipfitError, match="-5 is no zero point of int16"):
        decided_params(Decisions({"x": one}, {}), ["x"], "int16")
    assert decided_params(Decisions({"x": one}, {}), ["x"], "int8") == QuantParams((3 / 128,), -5)


def test_a_layer_that_a_lock_lacks_is_named() -> None:
    _, built, decisions = gemm()
    with pytest.raises(ChipfitError, match="the lock has no layer"):
        requantized(built, Decisions(decisions.activations, {}))


def test_bits_of_rounding_stand_in_the_order_of_the_weights() -> None:
    layer = LayerDecision("once", "0" * 16, scales="1", bias="0", rounding="oA==")
    kernel = np.array([[0.4, 0.4, 0.6], [-0.4, 0.4, 0.4]])
    rounding = LockedRounding(kernel, np.zeros(2), 4, layer, "layer", QuantParams((1.0,)))
    assert rounding.scales(1.0).tolist() == [1, 1]
    assert rounding.weights(np.ones(2)).tolist() == [[1, 0, 0], [0, 0, 0]]


def test_extremes_are_kept_to_the_last_bit() -> None:
    values = np.array([-0.1, 1 / 3], np.float32)
    seen = Histogram(float(values[0]), float(values[1]), np.zeros(0), np.zeros(0))
    decisions = decisions_of({"x": QuantParams((1.0,))}, {"x": seen}, {})
    assert decisions.activations["x"].low == -0.1
    kept = observed_of(decisions)["x"]
    assert (kept.low, kept.high) == (seen.low, seen.high)


def test_join_is_what_a_stage_does_before() -> None:
    _, built, _ = gemm()
    assert join_int8_functions(built.graph, Policy("mse")).nodes == built.graph.nodes
