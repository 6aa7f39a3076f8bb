"""Float weights as integers: scales by channel or for all, and those that a file prescribes."""

import numpy as np

from pipeline.graph.tensor import QuantParams
from pipeline.quantizing.weight_rounding import LEAST_SCALE, PrescribedRounding, WeightRounding, zero_weights_scale

KERNEL = np.array([[1.27, -0.5], [0.0, 0.0], [-2.54, 0.635]])
BIAS = np.array([1.0, 2.0, 3.0])


def test_a_channels_largest_weight_is_127_steps() -> None:
    rounding = WeightRounding(KERNEL, BIAS, per_channel=True)
    scales = rounding.scales(0.5)
    np.testing.assert_allclose(scales, [0.01, 0.5 / 4096, 0.02])
    assert rounding.weights(scales).tolist() == [[127, -50], [0, 0], [-127, 32]]
    assert rounding.weights(scales).dtype == np.int8 and rounding.shifted_bias(KERNEL, scales) is BIAS


def test_one_scale_for_all_is_that_of_the_largest() -> None:
    rounding = WeightRounding(KERNEL, BIAS, per_channel=False)
    np.testing.assert_allclose(rounding.scales(0.5), [0.02] * 3)
    assert rounding.weights(rounding.scales(0.5))[0].tolist() == [64, -25]


def test_shifts_leave_the_largest_weight_in_its_range() -> None:
    ratio = 0.3
    for shift, peak in zip(
        WeightRounding(KERNEL, BIAS, True).shifts(ratio, False).tolist()[::2], (1.27, 2.54), strict=True
    ):
        assert peak / (ratio * 2.0**-shift) <= 127.5 < peak / (ratio * 2.0 ** -(shift + 1))


def test_scales_that_a_file_prescribes_give_its_own_integers() -> None:
    integers = np.array([[3, -128], [0, 0], [127, 1]])
    params = QuantParams((0.1, 0.2, 0.3), axis=0)
    rounding = PrescribedRounding(integers * np.array(params.scale)[:, None], BIAS, params)
    assert rounding.prescribed and (rounding.weights(rounding.scales(9.0)) == integers).all()
    wide = PrescribedRounding(np.array([[200.0 * 0.5]]), BIAS[:1], QuantParams((0.5,)))
    assert wide.weights(wide.scales(1.0)).dtype == np.int16 and wide.weights(wide.scales(1.0)).tolist() == [[200]]


def test_no_scale_is_below_the_least_normal_number() -> None:
    tiny = WeightRounding(np.full((1, 1), 1e-40), BIAS[:1], True)
    assert tiny.scales(1.0).tolist() == [LEAST_SCALE] and zero_weights_scale(0.0) == LEAST_SCALE
