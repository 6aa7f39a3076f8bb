"""Requantization by a single multiplication: the same outputs as each requantizer, at every sum."""

import numpy as np
import pytest

from pipeline.arithmetic.fixedpoint import accumulator_range, apply_rescale, quantize_multiplier
from pipeline.arithmetic.thresholds import apply_single_multiply, single_multiply
from pipeline.graph.rescale import Rescale


@pytest.mark.parametrize("kind", ["multiplier", "once"])
def test_one_multiplication_climbs_every_requantizer(kind: str) -> None:
    rng, found = np.random.default_rng(5), 0
    for trial in range(40):
        channels, taps = 8, int(rng.integers(1, 300))
        w = rng.integers(-127, 128, (channels, taps)) * (rng.random((channels, taps)) < rng.random())
        bias = rng.integers(-(2 ** rng.integers(4, 20)), 2 ** rng.integers(4, 20), channels)
        reach = accumulator_range(w, bias)
        pairs = [quantize_multiplier(float(2.0 ** rng.uniform(-14, -1))) for _ in range(channels)]
        multiplier, shift = (np.array(v) for v in zip(*pairs, strict=True))
        low = int(rng.choice([-128, 0]))
        rescale = Rescale("", "", int(rng.integers(-128, 128)), low, 127, kind)
        multiply = single_multiply(rescale, shift, multiplier, reach)
        if multiply is None:
            continue
        found += 1
        accumulators = rng.integers(reach[0], reach[1] + 1, (4000, channels))
        near = np.clip(
            multiply.bottom + rng.integers(-2, np.maximum(multiply.top - multiply.bottom, 0) + 3, (4000, channels)),
            *reach,
        )
        for values in (accumulators, near):
            np.testing.assert_array_equal(
                apply_single_multiply(values, multiply),
                apply_rescale(values, rescale, shift, multiplier),
                err_msg=f"trial {trial}",
            )
    assert found > 20
