"""Where windows lie in the image, against every byte of them, and what the shared routines take."""

import numpy as np
import pytest
from samples_of_calls import conv2d, dense, depthwise, linear_call

from pipeline.facts.cores import Executed
from pipeline.planning.variants.armv6m.im2col import Contiguous, Windows, _column, fill, im2col, inputs_of, widen


def test_dense_layers_and_convolutions_of_one_position_have_contiguous_inputs() -> None:
    assert inputs_of(linear_call(dense(np.ones((3, 5)), rows=4))) == Contiguous(4, 5)
    assert inputs_of(linear_call(conv2d(np.ones((3, 1, 1, 5)), 6, 7))) == Contiguous(42, 5)


def test_any_other_convolution_has_windows() -> None:
    found = inputs_of(linear_call(conv2d(np.ones((2, 3, 2, 5)), 8, 9, pad=(1, 1), stride=(2, 3))))
    assert isinstance(found, Windows)
    assert (found.line, found.row, found.rows, found.stride_y, found.stride_x) == (45, 10, 3, 2, 15)
    assert (found.top, found.left, found.padding, found.positions) == (-1, -5, 3, found.out_height * found.out_width)
    assert isinstance(inputs_of(linear_call(conv2d(np.ones((2, 1, 1, 5)), 6, 7, stride=(1, 2)))), Windows)
    assert inputs_of(linear_call(conv2d(np.ones((1, 1, 1, 241)), 3, 3, stride=(2, 2)))) is None, "a row is too long"
    with pytest.raises(AssertionError):
        inputs_of(linear_call(depthwise(np.ones((3, 3, 2)), 5, 5)))


@pytest.mark.parametrize("left", range(-9, 14))
def test_a_window_has_the_bytes_that_lie_in_the_image(left: int) -> None:
    call = linear_call(conv2d(np.ones((1, 2, 3, 2)), 4, 6))
    windows = inputs_of(call)
    assert isinstance(windows, Windows)
    inside = [i for i in range(windows.row) if 0 <= left + i < windows.line]
    _, begin, end = _column(windows, left)
    assert (end - begin) == len(inside) and (not inside or (begin, end - 1) == (inside[0], inside[-1]))


def test_eight_more_bytes_are_one_turn_more_and_one_more_word_too() -> None:
    assert {str(widen(n + 8) - widen(n)) for n in range(8, 200)} == {str(widen(16) - widen(8))}
    assert {str(fill(n + 1) - fill(n)) for n in range(1, 200)} == {str(fill(2) - fill(1))}
    turn = widen(16) - widen(8)
    assert (turn.accesses, turn.registers) == (8, 8), "every byte is loaded once, every word stored once"


def test_positions_of_equal_windows_cost_the_same() -> None:
    small, large = (inputs_of(linear_call(conv2d(np.ones((1, 2, 3, 2)), h, w))) for h, w in ((3, 4), (5, 8)))
    assert isinstance(small, Windows) and isinstance(large, Windows)
    assert (small.positions, large.positions) == (4, 24)

    def inner(windows: Windows) -> Executed:
        """Of windows that touch no edge: the columns between the first and the last."""
        return im2col(windows, 2, 0)

    wide = inputs_of(linear_call(conv2d(np.ones((1, 2, 3, 2)), 5, 9)))
    wider = inputs_of(linear_call(conv2d(np.ones((1, 2, 3, 2)), 5, 10)))
    assert isinstance(wide, Windows) and isinstance(wider, Windows)
    assert inner(wider) - inner(wide) == inner(wide) - inner(large), "each column more is one window more in each row"
