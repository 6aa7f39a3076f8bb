"""The sentence of a fault: instruction, function and address, worked out from the registers of a stopped engine."""

import pytest
import unicorn
from thumb_code import half_words

from pipeline.facts.cores import CORES, THUMB
from pipeline.measuring.machine_code.engine import new_engine, register
from pipeline.measuring.machine_code.loaded import LoadedImage
from pipeline.measuring.thumb.fault import fault

AT = 0x1000
IMAGE = LoadedImage((), (), AT, AT + 8, ((AT, 8, "f_run"),), ((AT, AT + 8),), None)


def said(code: bytes, core: str = "cortex-m0", at: int = AT, **registers: int) -> str:
    engine = new_engine(CORES[core])
    engine.mem_map(AT, 0x1000, unicorn.UC_PROT_ALL)
    engine.mem_write(AT, code)
    for name, value in {"pc": at, **registers}.items():
        engine.reg_write(register(THUMB, name), value)
    return str(fault(engine, CORES[core], IMAGE, "why"))


@pytest.mark.parametrize(
    ("code", "registers", "text"),
    [
        ((0x684A,), {"r1": 0x20000000}, "ldr r2, [r1, #4], address 0x20000004: why."),
        ((0x588A,), {"r1": 0x20000000, "r2": 8}, "ldr r2, [r1, r2], address 0x20000008: why."),
        ((0x4A02,), {}, "ldr r2, [pc, #8], address 0x100c: why."),
        ((0xC10C,), {"r1": 0x30000000}, "stm r1!, {r2, r3}, address 0x30000000: why."),
        ((0xBE00,), {}, "bkpt #0: why."),
    ],
)
def test_the_address_is_the_one_of_the_access_that_failed(
    code: tuple[int, ...], registers: dict[str, int], text: str
) -> None:
    assert said(half_words(*code), **registers) == f"simulate: the emulated chip faulted at 0x1000 in f_run, {text}"


def test_an_unaligned_access_is_named_where_the_core_has_none() -> None:
    load = half_words(0x680A)  # ldr r2, [r1]
    assert said(load, r1=0x20000002).endswith("makes an unaligned access to 0x20000002: cortex-m0 faults on it.")
    assert said(load, "cortex-m4", r1=0x20000002).endswith("address 0x20000002: why.")
    half, byte = half_words(0x880A), half_words(0x780A)  # ldrh, ldrb
    assert "unaligned" not in said(half, r1=0x20000002) and "unaligned" in said(half, r1=0x20000001)
    assert "unaligned" not in said(byte, r1=0x20000001)


def test_where_there_is_no_instruction_the_place_is_said() -> None:
    assert said(b"", at=0x5000) == "simulate: the emulated chip faulted at 0x5000 in no function: why."
