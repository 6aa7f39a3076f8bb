"""The order of packed products: every input once, and no lane overflows before it is split off."""

import numpy as np

from pipeline.graph.tensor import Array
from pipeline.planning.variants.armv6m.packed_schedule import schedule


def test_no_lane_overflows_between_splits() -> None:
    rng = np.random.default_rng(6)
    for _ in range(30):
        w = rng.integers(-128, 128, (int(rng.integers(1, 70)), int(rng.integers(1, 240))))
        order = schedule(w)
        assert sorted(e & 255 for e in order) == list(range(w.shape[1]))
        total: Array = np.zeros(len(w), np.int64)
        for entry in order:
            total = np.abs(w[:, entry & 255]) + (0 if entry & 256 else total)
            # The product of the largest magnitudes, -128 and -128, is the one that a lane must hold.
            assert total.max() * 128 < 2**15
        assert order[-1] & 512
