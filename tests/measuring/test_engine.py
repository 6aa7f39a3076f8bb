"""An engine is a core's own CPU model: it has the instructions of its set, and no others."""

import pytest
import unicorn
from thumb_code import half_words

from pipeline.facts.cores import CORES, THUMB
from pipeline.measuring.machine_code.engine import new_engine, register

AT = 0x1000


def result(core: str, *code: int) -> int | None:
    """r0 behind `code`, None where the engine refuses it."""
    engine = new_engine(CORES[core])
    engine.mem_map(AT, 0x1000)
    engine.mem_write(AT, half_words(*code))
    for name, value in (("r1", 100), ("r2", 7)):
        engine.reg_write(register(THUMB, name), value)
    try:
        engine.emu_start(AT | 1, AT + 2 * len(code))
    except unicorn.UcError:
        return None
    return int(engine.reg_read(register(THUMB, "r0")))


@pytest.mark.parametrize("core", CORES)
def test_each_core_has_the_instructions_of_its_set(core: str) -> None:
    isa = CORES[core].isa
    assert result(core, 0x1888) == 107  # adds r0, r1, r2
    assert result(core, 0xFB91, 0xF0F2) == (14 if isa.thumb2 else None)  # sdiv r0, r1, r2
    assert result(core, 0xFA81, 0xF082) == (107 if isa.dsp else None)  # qadd r0, r2, r1


def test_registers_have_numbers_of_their_own() -> None:
    names = [*(f"r{n}" for n in range(13)), "sp", "lr", "pc"]
    assert len({register(THUMB, n) for n in names}) == 16
