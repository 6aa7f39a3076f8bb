"""Wait states: both bounds worked out by hand for one stretch of code, on every kind of flash."""

from itertools import product

import pytest
from conftest import some

from pipeline.facts.cores import CORES
from pipeline.facts.flash_wait_states import (
    FlashTiming,
    ReadCounts,
    flash_cycles,
    max_wait_states,
    min_wait_states,
    units_touched,
)

READS = ReadCounts(lines=10, words=25, ends=3, data=7, jumps=2, new_lines=4, new_data=1)
M0, M4 = CORES["cortex-m0"], CORES["cortex-m4"]


@pytest.mark.parametrize(
    ("flash", "core", "most", "least", "alone"),
    [
        (FlashTiming(2, 8), "cortex-m0", 2 * (17 + 7 + 3), 2 * (2 + 1), 3 * (4 + 1)),
        (FlashTiming(2, 8, prefetch=True), "cortex-m0", 2 * (17 + 7 + 9), 2 * (2 + 1), 3 * (4 + 1)),
        (FlashTiming(2, 8), "cortex-m4", 2 * (17 + 7 + 9), 2 * 1, 3 * (4 + 1)),
        (FlashTiming(2, 8, cache="instructions"), "cortex-m0", 2 * (10 + 7 + 3), 2 * 1, 3 * 1),
        (FlashTiming(2, 8, cache="all"), "cortex-m0", 2 * (17 + 7 + 3), 0, 0),
        (FlashTiming(0, 8), "cortex-m0", 0, 0, 4 + 1),
    ],
)
def test_bounds_are_those_of_the_reads(flash: FlashTiming, core: str, most: int, least: int, alone: int) -> None:
    assert max_wait_states(flash, READS, CORES[core]) == most
    assert min_wait_states(flash, READS, CORES[core]) == least
    assert flash_cycles(flash, READS) == alone


def test_a_line_is_never_read_again_more_often_than_the_core_asks_for_words() -> None:
    many = ReadCounts(lines=10, words=12, ends=0, data=100, jumps=0, new_lines=0, new_data=0)
    assert max_wait_states(FlashTiming(1, 16), many, M0) == 12 + 100


def test_the_lower_bound_is_below_the_upper_one_for_every_flash_and_core() -> None:
    for waits, prefetch, core in product((1, 2, 5), (False, True), (M0, M4)):
        for cache in ("none", "instructions", "all"):
            flash = FlashTiming(waits, 8, prefetch, cache)
            assert min_wait_states(flash, READS, core) <= max_wait_states(flash, READS, core)


@pytest.mark.parametrize("unit", [4, 16])
def test_units_touched_are_those_that_hold_a_byte(unit: int) -> None:
    for address, size in some(product(range(2 * unit), range(1, 2 * unit))):
        assert units_touched(address, size, unit) == len({b // unit for b in range(address, address + size)})
