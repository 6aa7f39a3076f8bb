"""One multiply per element: channels of any slope share a shift, and steps stay where they are."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.graph.tensor import QuantParams
from pipeline.ops.affine import affine_integers

SLOPES = st.sampled_from([0.0, 1e-20, 0.3, -0.9, 2.0, -7.0, 130.0, 520.0, -900.0, 1e6, -1e9, 1e30])
ZEROS = st.integers(-128, 127)


@settings(max_examples=300, deadline=None)
@given(st.lists(SLOPES, min_size=1, max_size=4), st.lists(st.floats(-300, 300), min_size=4, max_size=4), ZEROS, ZEROS)
def test_every_slope_keeps_its_function(slopes: list[float], roots: list[float], zero: int, out: int) -> None:
    """Within the rounding of a slope to 2**-shift for d up to 255; a step of more than 512 is exact but for that."""
    ratios = np.array(slopes)
    steps = np.where(np.abs(ratios) > 1, -ratios * np.array(roots[: len(slopes)]), np.array(roots[: len(slopes)]))
    solved = affine_integers(ratios, steps, QuantParams((1.0,), zero), QuantParams((1.0,), out))
    assert solved is not None
    scale, offset, shift = solved
    x = np.arange(-128, 128, dtype=np.int64)[:, None]
    acc = x * scale.astype(np.int64) + offset
    assert np.abs(acc).max() < 2**31 and np.abs(x * scale.astype(np.int64)).max() < 2**31
    got = np.clip(acc >> shift, -128, 127)
    t = (x - zero) * ratios + steps
    bound = 0.5 + (256 / 2 + 1) * 2.0**-shift + 1e-12 * np.abs(ratios) * 300
    assert shift >= 9 or np.abs(ratios).max() < 512
    least, most = (np.clip(v + out, -128, 127) for v in (t - bound, t + bound))
    assert (least - 1e-9 <= got).all() and (got <= most + 1e-9).all()
