"""Arrays as C: every number is there, rows begin on lines of their own, no line is too long."""

import re

import numpy as np
import pytest

from pipeline.generating.tables import WIDTH, lines, table


@pytest.mark.parametrize("shape", [(3,), (1, 64), (64, 1), (2, 3), (16, 3, 3, 8), (1, 5, 200), (400,)])
def test_rows_of_a_matrix_begin_on_new_lines_and_hold_all_numbers(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(-(2**31), 2**31, shape)
    written = lines(array)
    assert [int(n) for n in re.findall(r"-?\d+", ",".join(written))] == array.reshape(-1).tolist()
    assert max(len(line) for line in written) <= WIDTH - 4
    axes = [d for d in shape if d > 1]
    assert sum(not line.startswith(" ") for line in written) == (axes[0] if len(axes) > 1 else len(written))


def test_the_least_integer_is_written_so_that_its_constant_is_no_wider() -> None:
    assert lines(np.array([-(2**31), 2**31 - 1], np.int32)) == ("(-2147483647 - 1), 2147483647",)


def test_a_table_says_what_it_is() -> None:
    constants = table("0_weights", "conv: weights", np.zeros((2, 3), np.int16), "portable")
    assert (constants.name, constants.ctype, constants.title) == ("TABLE(0_weights)", "int16_t", "conv: weights, 2x3")
    assert (constants.size, constants.bytes, constants.rows) == (6, 12, ("0, 0, 0", "0, 0, 0"))
