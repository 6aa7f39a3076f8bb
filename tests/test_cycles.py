"""The cycle model against the manuals' tables: hand-written code whose cost is worked out by hand.

Sources: Cortex-M0 TRM (DDI 0432C) table 3-1, Cortex-M0+ TRM (DDI 0484C) table 3-1. Expected totals are literal
numbers; every function ends in `bx lr` (3 cycles on M0, 2 on M0+) unless it pops the PC.
"""

from pathlib import Path

import pytest
import unicorn
from assembly import FLASH, RAM, link, run
from conftest import need
from unicorn import arm_const

from pipeline.errors import ChipfitError
from pipeline.simulator.cores import CORES
from pipeline.simulator.emulator import Image
from pipeline.simulator.pricing import decoder, price, price_block

# (body, cycles on M0, cycles on M0+), without the final bx lr.
STRAIGHT = {
    "nothing": ("", 0, 0),
    "moves and arithmetic": ("movs r2, #1\n adds r2, #3\n subs r2, r2, r2\n cmp r2, #0\n mov r8, r8", 5, 5),
    "logic and shifts": ("ands r2, r3\n orrs r2, r3\n eors r2, r3\n bics r2, r3\n mvns r2, r3\n lsls r2, r2, #3", 6, 6),
    "extends and reversals": ("sxtb r2, r2\n uxth r2, r2\n rev r2, r2\n revsh r2, r2", 4, 4),
    "carries": ("adcs r2, r3\n sbcs r2, r3\n rsbs r2, r2, #0\n tst r2, r3\n cmn r2, r3", 5, 5),
    "multiply": ("muls r2, r3, r2\n muls r2, r3, r2", 2, 2),
    "word loads": ("ldr r2, [r0]\n ldr r2, [r0, #4]", 4, 4),
    "narrow loads": ("movs r3, #1\n ldrb r2, [r0]\n ldrh r2, [r0]\n ldrsb r2, [r0, r3]", 7, 7),
    "literal load": ("ldr r2, =0x12345678", 2, 2),
    "stores": ("str r2, [r1]\n strb r2, [r1, #1]\n strh r2, [r1, #2]", 6, 6),
    "load and store of 1": ("mov r3, r0\n ldm r3!, {r2}\n mov r3, r1\n stm r3!, {r2}", 2 + 2 + 2, 2 + 2 + 2),
    "load of 3": ("push {r4, r5}\n mov r3, r0\n ldm r3!, {r2, r4, r5}\n pop {r4, r5}", 3 + 1 + 4 + 3, 3 + 1 + 4 + 3),
    "push and pop of 5": ("push {r4-r7, lr}\n pop {r4-r7}\n pop {r2}\n mov lr, r2", 6 + 5 + 2 + 1, 6 + 5 + 2 + 1),
    "address and stack": ("sub sp, #8\n add r2, sp, #4\n adr r2, 1f\n add sp, #8\n 1:", 4, 4),
    "barriers": ("dmb\n dsb\n isb", 12, 9),
    "special registers": ("mrs r2, primask\n msr primask, r2", 8, 6),
    "untaken branch": ("movs r2, #1\n beq 1f\n nop\n 1:", 1 + 1 + 1, 1 + 1 + 1),
    "taken branch": ("movs r2, #0\n beq 1f\n nop\n 1:", 1 + 3, 1 + 2),
    "branch always": ("b 1f\n nop\n 1:", 3, 2),
    # movs, then 7 turns of subs + bne: 6 taken, the last not.
    "counted loop": ("movs r2, #7\n 1: subs r2, #1\n bne 1b", 1 + 7 + 6 * 3 + 1, 1 + 7 + 6 * 2 + 1),
}


@pytest.mark.parametrize("name", STRAIGHT)
@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m0plus"])
def test_each_kind_of_instruction_costs_what_the_manual_says(name: str, core: str, tmp_path: Path) -> None:
    body, m0, m0plus = STRAIGHT[name]
    done = run(f"function f_run\n {body}\n bx lr\n .pool\n .size f_run, . - f_run\n", tmp_path, core)
    expected = m0 + 3 if core == "cortex-m0" else m0plus + 2
    assert done.total.zero_wait == (expected, expected)
    assert (done.total.low, done.total.high) == (expected, expected)


@pytest.mark.parametrize(("core", "expected"), [("cortex-m0", 64 + 3), ("cortex-m0plus", 64 + 2)])
def test_the_slow_multiplier_takes_32_cycles(core: str, expected: int, tmp_path: Path) -> None:
    source = "function f_run\n muls r2, r3, r2\n muls r2, r3, r2\n bx lr\n .size f_run, . - f_run\n"
    assert run(source, tmp_path, core, multiplier=32).total.zero_wait == (expected, expected)


@pytest.mark.parametrize(
    # push {r4, lr}: 3; bl: 4 or 3; callee nop + bx lr: 1 + 3 or 1 + 2; pop {r4, pc}, N = 2: 4 + 2 or 3 + 2.
    ("core", "expected"),
    [("cortex-m0", 3 + 4 + 4 + 6), ("cortex-m0plus", 3 + 3 + 3 + 5)],
)
def test_calls_and_pops_of_the_program_counter(core: str, expected: int, tmp_path: Path) -> None:
    source = """function f_run
 push {r4, lr}
 bl f_leaf
 pop {r4, pc}
 .size f_run, . - f_run
function f_leaf
 nop
 bx lr
 .size f_leaf, . - f_leaf
"""
    done = run(source, tmp_path, core)
    assert done.total.zero_wait == (expected, expected)
    assert done.stack == 8


def test_layers_are_told_apart_without_instrumentation(tmp_path: Path) -> None:
    calls = "".join(f" bl f_{i}\n" for i in "abc")
    leaves = "".join(
        f"function f_{name}\n{' nop' + chr(10) if n else ''}"
        + " nop\n" * (n - 1 if n else 0)
        + f" bx lr\n .size f_{name}, . - f_{name}\n"
        for name, n in (("a", 1), ("b", 5), ("c", 2))
    )
    source = f"function f_run\n push {{r4, lr}}\n{calls} pop {{r4, pc}}\n .size f_run, . - f_run\n{leaves}"
    done = run(source, tmp_path, layers=3)
    assert [x.zero_wait[0] for x in done.layers] == [1 + 3, 5 + 3, 2 + 3]
    assert done.overhead.zero_wait == (3 + 3 * 4 + 6, 3 + 3 * 4 + 6)
    assert done.total.zero_wait[0] == done.overhead.zero_wait[0] + 4 + 8 + 5


def test_wait_states_bound_the_time_from_both_sides(tmp_path: Path) -> None:
    # ldr literal (2), adds, adds, bx lr: 2 + 1 + 1 + 3 = 7. Four half-words from an aligned start are two words of
    # instructions, and the literal is one data read from flash: 3 accesses at 2 wait states.
    source = (
        "function f_run\n ldr r2, =0x12345678\n adds r2, #1\n adds r2, #1\n bx lr\n .pool\n .size f_run, . - f_run\n"
    )
    done = run(source, tmp_path, wait_states=2)
    assert done.total.zero_wait == (7, 7)
    assert (done.total.low, done.total.high) == (7, 7 + 3 * 2)


def test_costs_on_cortex_m3_and_m4_are_ranges() -> None:
    def cost(assembled: bytes, core: str) -> tuple[int, int]:
        return price_block(assembled, 0, CORES[core], 1).stay

    smull, udiv, mla = bytes.fromhex("80fb0201"), bytes.fromhex("b0fbf1f0"), bytes.fromhex("00fb0120")
    assert cost(smull, "cortex-m3") == (3, 5) and cost(smull, "cortex-m4") == (1, 1)
    assert cost(udiv, "cortex-m3") == cost(udiv, "cortex-m4") == (2, 12)
    assert cost(mla, "cortex-m3") == (2, 2) and cost(mla, "cortex-m4") == (1, 1)


def test_an_instruction_without_a_price_is_an_error() -> None:
    bkpt = bytes.fromhex("00be")
    with pytest.raises(ChipfitError, match="no cost is known for bkpt"):
        price_block(bkpt, 0, CORES["cortex-m0"], 1)


KERNEL = """
#include <stdint.h>
void f_run(const int8_t *x, int8_t *y);
void f_run(const int8_t *x, int8_t *y)
{
    for (int32_t i = 0; i < 16; ++i) {
        int32_t acc = 3;
        for (int32_t k = 0; k <= i; ++k) {
            acc += x[k] * x[i - k];
        }
        y[i] = (int8_t)((acc & 1) ? acc >> 3 : acc);
    }
}
"""


@pytest.mark.parametrize("toolchain", ["ziglang", "gcc"])
def test_blocks_add_up_to_what_single_steps_say(toolchain: str, tmp_path: Path) -> None:
    """The same code stepped instruction by instruction, each priced alone, branches by where the next one stands."""
    if toolchain == "gcc":
        need("arm-none-eabi-gcc")
    total = run(KERNEL, tmp_path, suffix=".c", toolchain=toolchain).total
    image = Image.read(link(KERNEL, tmp_path / "again", toolchain=toolchain, suffix=".c"), "f_run")
    engine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    engine.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_M0)
    engine.mem_map(FLASH[0], FLASH[1])
    engine.mem_map(RAM[0], RAM[1])
    for address, data in image.segments:
        engine.mem_write(address, data)
    engine.mem_write(RAM[0], bytes(range(16)))
    trace: list[int] = []
    engine.hook_add(unicorn.UC_HOOK_CODE, lambda uc, address, size, data: trace.append(address))
    engine.reg_write(arm_const.UC_ARM_REG_R0, RAM[0])
    engine.reg_write(arm_const.UC_ARM_REG_R1, RAM[0] + 64)
    engine.reg_write(arm_const.UC_ARM_REG_SP, RAM[0] + RAM[1] - 64)
    end = FLASH[0] + 0x100
    engine.reg_write(arm_const.UC_ARM_REG_LR, end | 1)
    engine.emu_start(image.entry | 1, end)
    cycles = 0
    for here, following in zip(trace, [*trace[1:], end], strict=True):
        instruction = next(decoder().disasm(bytes(engine.mem_read(here, 4)), here))
        stay, taken = price(instruction, CORES["cortex-m0"], 1)
        cycles += stay[0] + (taken[0] if following != here + instruction.size else 0)
    assert total.zero_wait == (cycles, cycles)
    assert total.instructions == len(trace)


FAULTS = {
    "a write to flash": ("ldr r2, =0x08000400\n str r2, [r2]", "faulted"),
    "an unmapped read": ("ldr r2, =0x50000000\n ldr r2, [r2]", "faulted"),
    "an unaligned load": ("ldr r2, =0x20000001\n ldr r2, [r2]", "unaligned access to 0x20000001"),
    "a lost register": ("movs r4, #1", "register r4 was not preserved"),
    "a moved stack pointer": ("sub sp, #8", "the stack pointer was not restored"),
    "a byte past the output": ("movs r2, #0\n strb r2, [r1, #16]", "a byte beside a buffer was overwritten"),
    "a changed input": ("movs r2, #99\n strb r2, [r0]", "an input buffer was overwritten"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_misbehaviour_is_said(name: str, tmp_path: Path) -> None:
    body, said = FAULTS[name]
    with pytest.raises(ChipfitError, match=said):
        run(f"function f_run\n {body}\n bx lr\n .pool\n .size f_run, . - f_run\n", tmp_path)
