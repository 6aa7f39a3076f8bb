"""Windows read from widened rows: the order of their inputs, row by row, in which no lane overflows."""

import numpy as np
import pytest
from samples_of_calls import conv2d, dense, linear_call

from pipeline.planning.variants.armv6m.im2col import Windows, inputs_of
from pipeline.planning.variants.armv6m.packed_rows import _NEXT_ROW, _entries_and_inputs, _widened_rows, offer
from pipeline.planning.variants.armv6m.packed_schedule import FIRST, LAST


def windows_of(ky: int, kx: int, channels: int, stride: int = 1) -> Windows:
    found = inputs_of(linear_call(conv2d(np.ones((3, ky, kx, channels)), 9, 10, stride=(stride, stride))))
    assert isinstance(found, Windows)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_every_input_comes_once_row_by_row_and_no_lane_overflows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ky, kx, channels = (int(n) for n in rng.integers(1, 5, 3))
    windows, weights = windows_of(ky, kx, channels), rng.integers(-128, 128, (3, ky * kx * channels))
    entries, inputs = _entries_and_inputs(weights, windows)
    assert sorted(inputs) == list(range(weights.shape[1])) and len(entries) == len(inputs)
    row, total, split = -1, np.zeros(3, np.int64), True
    for entry, tap in zip(entries, inputs, strict=True):
        row += bool(entry & _NEXT_ROW) or row < 0
        assert tap == row * windows.row + entry % 32, "the entry counts from its own kernel row"
        assert bool(entry & FIRST) == split, "lanes begin anew where they were split, and nowhere else"
        total = np.abs(weights[:, tap]) + (0 if entry & FIRST else total)
        assert (total * 128).max() < 2**15
        split = bool(entry & LAST)
    assert split and row == ky - 1 and not entries[0] & _NEXT_ROW


def test_a_widened_row_holds_all_windows_of_a_row_of_outputs() -> None:
    windows = windows_of(2, 3, 2, stride=2)
    widened = _widened_rows(windows)
    assert (widened.out_width, widened.row) == (1, (windows.out_width - 1) * 4 + 6)


def test_long_kernel_rows_and_dense_layers_are_left_to_others() -> None:
    assert offer(linear_call(conv2d(np.ones((2, 2, 2, 16)), 5, 5))) is not None
    assert offer(linear_call(conv2d(np.ones((2, 2, 3, 11)), 5, 5))) is None, "33 inputs in a kernel row"
    assert offer(linear_call(dense(np.ones((2, 8))))) is None
