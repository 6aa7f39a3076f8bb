"""Instructions counted by kind, and the cycles that each core's manual gives them."""

from dataclasses import replace

import pytest

from pipeline.facts.cores import CORES, KINDS, Executed

ONE = {k: Executed(**{k: 1}) for k in KINDS}
MANUAL = {
    # Technical Reference Manuals, table 3-1: DDI 0432C for Cortex-M0, DDI 0484C for Cortex-M0+.
    "cortex-m0": {"alu": 1, "multiplies": 1, "accesses": 2, "literals": 2, "blocks": 1, "registers": 1, "pops_pc": 4,
                  "branches": 3, "untaken": 1, "links": 4, "exchanges": 3},
    "cortex-m0plus": {"alu": 1, "multiplies": 1, "accesses": 2, "literals": 2, "blocks": 1, "registers": 1,
                      "pops_pc": 3, "branches": 2, "untaken": 1, "links": 3, "exchanges": 2},
}  # fmt: skip


@pytest.mark.parametrize("core", MANUAL)
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_costs_what_the_manual_says(core: str, kind: str) -> None:
    assert ONE[kind].cycles(CORES[core]) == MANUAL[core][kind]
    assert (ONE[kind] * 7).cycles(CORES[core]) == 7 * MANUAL[core][kind]


def test_a_slow_multiplier_is_the_chips_and_no_other_core_has_one() -> None:
    assert ONE["multiplies"].cycles(CORES["cortex-m0"], 32) == 32
    assert ONE["multiplies"].cycles(CORES["cortex-m4"], 32) == 1


def test_where_costs_are_ranges_the_upper_ends_count() -> None:
    m3 = CORES["cortex-m3"]
    assert ONE["accesses"].cycles(m3) == 2 + 1 and ONE["blocks"].cycles(m3) == 1 + 1
    cheap = replace(m3, costs=replace(m3.costs, load=(1, 1), address_stall=(0, 0)))
    assert ONE["accesses"].cycles(cheap) == 2, "a store may cost more than a load"


def test_counts_add_up_and_registers_are_no_instructions() -> None:
    run = Executed(alu=4, accesses=2, blocks=1, registers=5, pops_pc=1, branches=2, untaken=3, links=1, exchanges=1)
    assert run.instructions == 4 + 2 + 1 + 1 + 2 + 3 + 1 + 1 and run.leaves == 1 + 2 + 1 + 1
    assert run - run == Executed() and run + run == run * 2 and (run * 3 - run).counts == (run * 2).counts
