"""One emulated run: faults of the chip, memory as after startup, arguments, watermark, what the caller would suffer."""

import sys
from pathlib import Path

import pytest
from assembly import FLASH, RAM, link, run
from bounded import bounded

from pipeline.facts.errors import ChipfitError
from pipeline.measuring.simulator import Target, simulate

M0 = Target("cortex-m0", FLASH, RAM)


def function(body: str, name: str = "f_run") -> str:
    return f"function {name}\n {body}\n bx lr\n .pool\n .size {name}, . - {name}\n"


FAULTS = {
    "a write to flash": ("ldr r2, =0x08000400\n str r2, [r2]", "str r2, .r2., address 0x8000400: .*WRITE_PROT"),
    "an unmapped read": (
        "nop\n ldr r2, =0x50000000\n ldr r3, [r2, #4]",
        "faulted at 0x80002[0-9a-f]+ in f_run, ldr r3, .r2, #4., address 0x50000004: .*READ_UNMAPPED",
    ),
    "an unaligned load": ("ldr r2, =0x20000001\n ldr r2, [r2]", "ldr r2, .r2. .* unaligned access to 0x20000001"),
    "an unaligned half-word": ("ldr r2, =0x20000001\n strh r2, [r2]", "unaligned access to 0x20000001"),
    "unaligned registers": ("ldr r2, =0x20000002\n ldm r2!, {r3}", "unaligned access to 0x20000002"),
    "a jump to Arm state": ("movs r2, #0\n bx r2", "faulted"),
    "a breakpoint": ("bkpt #0", "faulted at .* in f_run, bkpt #0"),
    "a lost register": ("movs r4, #1", "register r4 was not preserved"),
    "a moved stack pointer": ("sub sp, #8", "the stack pointer was not restored"),
    "a byte past the output": ("movs r2, #0\n strb r2, [r1, #16]", "a byte beside a buffer was overwritten"),
    "a changed input": ("movs r2, #99\n strb r2, [r0]", "an input buffer was overwritten"),
    "a stray write far off": ("ldr r2, =0x20010000\n str r2, [r2]", "overwritten, at 0x20010000"),
    "a write into the caller's frame": ("mov r2, sp\n str r0, [r2]", "a byte beside a buffer was overwritten"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_misbehaviour_is_said(name: str, tmp_path: Path) -> None:
    body, message = FAULTS[name]
    with pytest.raises(ChipfitError, match=message):
        run(function(body), tmp_path)


@pytest.mark.parametrize("body", ["adds r2, r0, #2\n ldm r2, {r2, r3}", "adds r2, r0, #1\n ldrd r2, r3, [r2]"])
def test_only_single_loads_may_be_unaligned_on_armv7m(body: str, tmp_path: Path) -> None:
    with pytest.raises(ChipfitError, match=r"ld(m|rd).* in f_run makes an unaligned access"):
        run(function(body), tmp_path, "cortex-m4")


def test_an_access_that_only_a_later_input_makes_unaligned_is_noticed(tmp_path: Path) -> None:
    elf = link(function("ldrb r2, [r0]\n adds r2, r0, r2\n ldr r2, [r2]"), tmp_path)
    with pytest.raises(ChipfitError, match="unaligned access"):
        simulate(elf, M0, "f_run", 0, [[bytes([4] * 16)], [bytes([3] * 16)]], [16])


def test_a_runaway_is_stopped_and_told_where(tmp_path: Path) -> None:
    elf = link(function("b ."), tmp_path)
    with pytest.raises(ChipfitError, match=r"did not return within 0.2 s: it is at 0x8000\w+ in f_run"):
        simulate(elf, M0, "f_run", 0, [[bytes(16)]], [16], time_limit=0.2)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's")
@pytest.mark.parametrize("mebibytes", [300, 1024])
def test_too_little_memory_is_said_and_does_not_end_the_process(mebibytes: int, tmp_path: Path) -> None:
    elf = link(function("nop"), tmp_path)
    simulate(elf, M0, "f_run", 0, [[bytes(16)]], [16])
    message = bounded(lambda: simulate(elf, M0, "f_run", 0, [[bytes(16)]], [16]), memory=mebibytes << 20).message
    assert message.startswith("simulate: this process may not have the 1 GiB of address space"), message


def test_arguments_beyond_four_are_on_an_aligned_stack(tmp_path: Path) -> None:
    # The fifth buffer is the output: its first byte becomes the low bits of sp, its second what the fourth begins with.
    body = "ldr r2, [sp]\n mov r0, sp\n movs r1, #7\n ands r0, r1\n strb r0, [r2]\n ldrb r3, [r3]\n strb r3, [r2, #1]"
    done = simulate(link(function(body), tmp_path), M0, "f_run", 0, [[b"a", b"b", b"c", b"d"]], [2])[0]
    assert done.outputs == (b"\x00d",)


def test_memory_is_as_after_startup_for_every_vector(tmp_path: Path) -> None:
    source = """
#include <stdint.h>
void f_run(const int8_t *x, int8_t *y);
static volatile int8_t set = 5, clear;
void f_run(const int8_t *x, int8_t *y)
{
    y[0] = set++;
    y[1] = clear++;
    y[2] = x[0];
}
"""
    elf = link(source, tmp_path, suffix=".c")
    runs = simulate(elf, M0, "f_run", 0, [[b"\x01"], [b"\x02"]], [3])
    assert [r.outputs for r in runs] == [(b"\x05\x00\x01",), (b"\x05\x00\x02",)]


def test_an_output_that_is_not_written_is_not_zero(tmp_path: Path) -> None:
    assert set(run(function("nop"), tmp_path).outputs[0]) != {0}


def test_the_watermark_counts_whole_words(tmp_path: Path) -> None:
    # The word on the stack begins with the byte that memory is painted with.
    assert run(function("movs r2, #0xa5\n push {r2}\n pop {r2}"), tmp_path).stack == 4
