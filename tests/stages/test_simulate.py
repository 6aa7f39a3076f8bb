"""Vectors that no data hold: both ends of the type, and noise."""

import numpy as np
import pytest

from stages.simulate import _extremes


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_extremes_are_both_ends_of_the_type_and_noise_over_it(dtype: str) -> None:
    least, largest, noise = _extremes(np.zeros((5, 8, 9), dtype), np.random.default_rng(0))
    info = np.iinfo(dtype)
    assert (least == info.min).all() and (largest == info.max).all() and noise.dtype == dtype
    assert np.ptp(noise.astype(int)) > 0.9 * (info.max - info.min)
