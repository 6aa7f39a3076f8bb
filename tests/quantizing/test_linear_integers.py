"""Every channel of a linear layer is solved alone, and stays within the bound that its module derives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solved_layers import MONSTERS, REQUANTIZERS, Layer, assert_fits, assert_within_the_bound, layers, run

from pipeline.arithmetic.fixedpoint import apply_rescale
from pipeline.graph.rescale import Rescale
from pipeline.graph.tensor import QuantParams
from pipeline.quantizing.linear_integers import LinearIntegers, quantize_linear, quantize_linear_int16
from pipeline.quantizing.low_bit_weights import LowBitRounding
from pipeline.quantizing.weight_rounding import PrescribedRounding, WeightRounding


@settings(max_examples=150, deadline=None)
@given(layers(), st.sampled_from(REQUANTIZERS), st.booleans())
def test_outputs_stay_within_the_bound_and_sums_within_32_bits(layer: Layer, kind: str, reread: bool) -> None:
    solved = quantize_linear(WeightRounding(layer.kernel, layer.bias, True), layer.x, layer.y, kind)
    if solved is None:
        assert kind == "shift"
        return
    x = layer.inputs(np.random.default_rng(0))
    assert_fits(solved, layer)
    assert_within_the_bound(solved, layer, x)
    if reread:  # the file prescribes what was solved
        pinned = QuantParams(tuple(solved.scales), 0, 0)
        again = quantize_linear(
            PrescribedRounding(solved.weights * solved.scales[:, None], layer.bias, pinned), layer.x, layer.y, "auto"
        )
        assert again is not None
        assert_fits(again, layer, prescribed=True)
        off = np.abs(run(again, layer, x)[1] - run(solved, layer, x)[1]).max()
        error = max(s.changed.largest_error if s.changed else 0.0 for s in (again, solved))
        assert off <= 1 + error


@settings(max_examples=100, deadline=None)
@given(layers("int16"))
def test_int16_outputs_stay_within_the_bound_too(layer: Layer) -> None:
    solved = quantize_linear_int16(WeightRounding(layer.kernel, layer.bias, True), layer.x, layer.y)
    assert_fits(solved, layer)
    assert_within_the_bound(solved, layer, layer.inputs(np.random.default_rng(0)))


@pytest.mark.parametrize("bias", [9e38, -9e38])
def test_a_bias_that_no_float32_holds_is_counted_in_steps_all_the_same(bias: float) -> None:
    """A bias that passes have folded is float64; the second channel is so small that its bias alone is left."""
    x, y = (QuantParams((scale,), 0, dtype="int16") for scale in (1e34, 1e37))
    layer = Layer(np.array([[0.125730221], [-1.32104863e-09]]), np.array([6.4042265e38, bias]), x, y)
    solved = quantize_linear_int16(WeightRounding(layer.kernel, layer.bias, True), layer.x, layer.y)
    assert_within_the_bound(solved, layer, layer.inputs(np.random.default_rng(0)))
    assert (run(solved, layer, np.array([[-32768], [32767]]))[1][:, 1] == round(bias / 1e37)).all()


@settings(max_examples=60, deadline=None)
@given(layers(), st.sampled_from([2, 3, 4, 7]), st.sampled_from(REQUANTIZERS))
def test_narrow_weights_leave_no_type(layer: Layer, bits: int, kind: str) -> None:
    solved = quantize_linear(LowBitRounding(layer.kernel, layer.bias, True, bits, None), layer.x, layer.y, kind)
    assert solved is not None or kind == "shift"
    if solved is not None:
        assert_fits(solved, layer)
        assert np.abs(solved.weights.astype(int)).max(initial=0) < 2 ** (bits - 1)


def beside(name: str, taps: int = 9, dtype: str = "int8") -> tuple[Layer, Layer]:
    """A layer with a monster as its second channel, and the layer without that channel."""
    rng = np.random.default_rng(4)
    kernel, bias = rng.standard_normal((5, taps)), rng.standard_normal(5)
    kernel[3] *= 1e-9  # a dead one among the others too: the least shift
    peak = 1 if dtype == "int8" else 256
    x = QuantParams((0.02 / peak,), 3 if dtype == "int8" else 0, None, dtype)
    y = QuantParams((0.06 / peak,), -128 if dtype == "int8" else 0, None, dtype)
    factor, offset = MONSTERS[name]
    kernel[1] *= factor
    bias[1] = offset
    rest = [0, 2, 3, 4]
    return Layer(kernel, bias, x, y), Layer(kernel[rest], bias[rest], x, y)


@pytest.mark.parametrize("bits", [8, 5, 4, 2])
@pytest.mark.parametrize("kind", REQUANTIZERS)
@pytest.mark.parametrize("name", MONSTERS)
def test_the_other_channels_keep_their_integers(name: str, kind: str, bits: int) -> None:
    """As if the monster were not there. Beside a step, shifts are said as multipliers of the same meaning."""

    def solved_for(layer: Layer) -> LinearIntegers | None:
        exact = WeightRounding(layer.kernel, layer.bias, True)
        rounding = exact if bits == 8 else LowBitRounding(layer.kernel, layer.bias, True, bits, None)
        return quantize_linear(rounding, layer.x, layer.y, kind)

    layer, without = beside(name)
    ours, theirs = solved_for(layer), solved_for(without)
    assert theirs is not None
    if ours is None:
        assert kind == "shift" and MONSTERS[name][0] >= 1e8
        return
    assert_the_rest_is_equal(ours, theirs, layer, without)
    assert ours.kind == theirs.kind or (MONSTERS[name][0] >= 1e8 and (ours.kind, theirs.kind) == ("once", "shift"))


def assert_the_rest_is_equal(ours: LinearIntegers, theirs: LinearIntegers, layer: Layer, without: Layer) -> None:
    rest = [0, 2, 3, 4]
    np.testing.assert_array_equal(ours.weights[rest], theirs.weights)
    np.testing.assert_array_equal(ours.bias[rest], theirs.bias)
    np.testing.assert_array_equal(ours.scales[rest], theirs.scales)
    x = layer.inputs(np.random.default_rng(1))
    np.testing.assert_array_equal(run(ours, layer, x)[1][:, rest], run(theirs, without, x)[1])
    if ours.kind == theirs.kind:
        np.testing.assert_array_equal(ours.shift[rest], theirs.shift)
        if ours.multiplier is not None and theirs.multiplier is not None:
            np.testing.assert_array_equal(ours.multiplier[rest], theirs.multiplier)


@pytest.mark.parametrize("taps", [9, 4000])
@pytest.mark.parametrize("name", MONSTERS)
def test_the_other_channels_keep_their_integers_on_int16_activations(name: str, taps: int) -> None:
    """Weights that move the output by a few thousandths of its range are no monster there: they need wide sums."""
    layer, without = beside(name, taps, "int16")
    ours, theirs = (quantize_linear_int16(WeightRounding(v.kernel, v.bias, True), v.x, v.y) for v in (layer, without))
    assert theirs.kind == ("once" if taps == 9 else "wide")
    assert_fits(ours, layer)
    assert_within_the_bound(ours, layer, layer.inputs(np.random.default_rng(0)))
    if name != "nearly dead":
        assert ours.kind == theirs.kind
        assert_the_rest_is_equal(ours, theirs, layer, without)


@pytest.mark.parametrize("zero_point", [-128, 0, 127])
@pytest.mark.parametrize("kind", REQUANTIZERS[::2])
def test_a_bounded_multiplier_is_exact_for_its_integers(kind: str, zero_point: int) -> None:
    """Every sum but 0 saturates, whatever the zero point."""
    rng = np.random.default_rng(2)
    x, y = QuantParams((0.02,), 3), QuantParams((0.004,), zero_point)
    layer = Layer(rng.standard_normal((3, 6)), np.zeros(3), x, y)
    layer.kernel[1] = np.array([1e8, -1e8, 5e7, -5e7, 1e6, -1e6])
    solved = quantize_linear(WeightRounding(layer.kernel, layer.bias, True), x, y, kind)
    assert solved is not None and solved.changed is not None
    assert (solved.changed.step, solved.changed.largest_error) == (1, 0.0)
    inputs = rng.integers(-128, 128, (2000, 6)) // rng.choice([1, 32], (2000, 1))
    sums, got = run(solved, layer, inputs)
    assert {-2, -1, 0, 1, 2} <= set(sums[:, 1])
    real = solved.scales[1] * x.scale[0] / y.scale[0] * sums[:, 1]
    np.testing.assert_array_equal(got[:, 1], np.clip(np.floor(real + 0.5) + zero_point, -128, 127))


def test_what_a_bounded_multiplier_costs_is_said() -> None:
    """Sums of so many inputs leave no room for 256: the ones nearest to zero no longer saturate."""
    x, y = QuantParams((0.02,), 3), QuantParams((0.004,), 10)
    kernel = np.random.default_rng(2).standard_normal((1, 4000)) * 1e8
    solved = quantize_linear(WeightRounding(kernel, np.zeros(1), True), x, y, "multiplier")
    assert solved is not None and solved.changed is not None and solved.multiplier is not None
    sums = np.arange(-400, 401)[:, None]
    rescale = Rescale("", "", 10, -128, 127, solved.kind)
    got = apply_rescale(sums, rescale, solved.shift, solved.multiplier)
    real = np.clip(np.floor(sums * (solved.scales * 5) + 0.5) + 10, -128, 127)
    error = float(np.abs(got - real).max())
    assert 5 < error <= solved.changed.largest_error + 0.5 < error + 1.5


@pytest.mark.parametrize("share", [0.6, 0.97])
def test_half_a_step_of_the_largest_right_shift_leaves_room(share: float) -> None:
    """A multiplier of about 2**-31 and a sum of nearly 31 bits, to which half of 2**31 is added."""
    x, y = QuantParams((1.0,), 0), QuantParams((1.0,), 0)
    scale = share * 2.0**-31
    layer = Layer(np.array([[scale, 127 * scale]]), np.array([0.9 * 2.0**31 * scale]), x, y)
    solved = quantize_linear(PrescribedRounding(layer.kernel, layer.bias, QuantParams((scale,), 0, 0)), x, y, "auto")
    assert solved is not None
    assert_fits(solved, layer, prescribed=True)
    assert_within_the_bound(solved, layer, layer.inputs(np.random.default_rng(0)))


@pytest.mark.parametrize("kind", REQUANTIZERS)
@pytest.mark.parametrize("bias", [3.0, -3.0, 1e-3, 0.0])
def test_a_dead_channel_ends_as_its_bias(kind: str, bias: float) -> None:
    rng = np.random.default_rng(3)
    x, y = QuantParams((0.02,), -9), QuantParams((0.05,), 4)
    for factor in (0.0, 1e-30, 1e-12):
        kernel = rng.standard_normal((2, 9)) * np.array([[1], [factor]])
        layer = Layer(kernel, np.array([0.1, bias]), x, y)
        solved = quantize_linear(WeightRounding(kernel, layer.bias, True), x, y, kind)
        assert solved is not None
        _, got = run(solved, layer, rng.integers(-128, 128, (50, 9)))
        assert (got[:, 1] == np.floor(bias / 0.05 + 0.5) + 4).all()
        if factor and bias:
            assert not solved.weights[1].any() or kind != "multiplier"
            assert solved.changed is None or solved.changed.largest_error < 1e-3


def test_a_prescribed_scale_too_fine_for_the_bias_keeps_the_function() -> None:
    """QuantizeLinear of the bias where weights are 0: exact, ties to even as well."""
    x, y = QuantParams((0.01,), 3), QuantParams((0.0625,), -5)
    integers = np.random.default_rng(3).integers(-127, 128, (6, 8)).astype(np.float64)
    integers[1:5] = 0
    scales = np.array([0.01, 1.2e-7, 1.2e-7, 1.2e-9, 1e-30, 0.005])
    bias = np.array([0.3, 5.0, 0.09375, 0.15625, 1e9, 0.1])
    kernel = integers * scales[:, None]
    solved = quantize_linear(PrescribedRounding(kernel, bias, QuantParams(tuple(scales), 0, 0)), x, y, "auto")
    assert solved is not None and solved.changed is not None
    assert (solved.changed.constant, solved.changed.largest_error) == (3, 0.0)
    np.testing.assert_array_equal(solved.weights, integers)
    layer = Layer(kernel, bias, x, y)
    _, got = run(solved, layer, layer.inputs(np.random.default_rng(0)))
    assert [set(got[:, c]) for c in range(1, 5)] == [{75}, {-3}, {-3}, {127}]


def test_a_prescribed_bias_that_only_saturates_is_exact_and_any_other_is_reported() -> None:
    x, y = QuantParams((0.01,), 0), QuantParams((0.05,), 0)
    integers = np.random.default_rng(3).integers(-127, 128, (2, 8)).astype(np.float64)
    for bias, error in ((1e9, 0.0), (5.0, 1e-2)):
        scales = np.array([0.01, 1e-9])
        kernel = integers * scales[:, None]
        layer = Layer(kernel, np.array([0.0, bias]), x, y)
        solved = quantize_linear(PrescribedRounding(kernel, layer.bias, QuantParams(tuple(scales), 0, 0)), x, y, "auto")
        assert solved is not None and solved.changed is not None
        assert solved.changed.worst == (1 if error else 0) and solved.changed.largest_error <= error
        inputs = layer.inputs(np.random.default_rng(0))
        t = np.clip(layer.steps(inputs), -128, 127)
        assert np.abs(run(solved, layer, inputs)[1] - t).max() <= 0.5 + error + 1e-9
