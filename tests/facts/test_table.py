"""The table of cores: entries that the manuals and the compilers can be asked about."""

import pytest
from conftest import some

from pipeline.facts.cores import APPLICATION, APPLICATION_RATE, CORES, THUMB, with_slow_multiplier


@pytest.mark.parametrize("name", CORES)
def test_an_entry_is_found_by_its_own_name_and_its_numbers_are_possible(name: str) -> None:
    core = CORES[name]
    assert core.name == name and core.isa.kernels[-1] == "portable"
    assert all(0 <= low <= high for low, high in some(vars(core.costs).values()))
    assert 0 < core.least_cycles_per_mac <= core.cycles_per_mac.low < core.cycles_per_mac.high
    assert core.compilers["gcc"] == name and core.compilers["ziglang"] == name.replace("-", "_")


def test_costs_of_armv6m_are_exact_and_it_has_no_instruction_beyond_its_set() -> None:
    for name in ("cortex-m0", "cortex-m0plus"):
        core = CORES[name]
        assert all(low == high for low, high in some(vars(core.costs).values()))
        assert not core.isa.thumb2 and not core.isa.dsp and not core.isa.unaligned_access
        assert core.costs.divide == core.costs.long_multiply == core.costs.table_branch == (0, 0)


def test_only_cortex_m4_has_packed_arithmetic() -> None:
    assert [c.name for c in CORES.values() if c.isa.dsp] == ["cortex-m4"]
    assert [c.name for c in CORES.values() if c.isa.unaligned_access] == ["cortex-m3", "cortex-m4"]


def test_cores_of_the_slow_multiplier_are_named_in_a_sentence() -> None:
    assert with_slow_multiplier() == "cortex-m0 and cortex-m0plus"
    assert APPLICATION not in CORES and APPLICATION_RATE.low < APPLICATION_RATE.high


def test_the_calling_convention_is_that_of_the_arm_architecture() -> None:
    convention = THUMB.convention  # AAPCS32 (IHI 0042), 6.1.1: r0-r3, r12 and lr belong to the callee
    assert convention.arguments == ("r0", "r1", "r2", "r3") and convention.stack_alignment == 8
    registers = {f"r{n}" for n in range(13)} | {"lr"}
    assert {*convention.callee_saved} | {*convention.caller_saved} == registers
    assert not {*convention.callee_saved} & {*convention.caller_saved}
    assert THUMB.branch_to_self == (0xE7FE).to_bytes(2, "little")  # B <imm11> of -4: encoding T2
