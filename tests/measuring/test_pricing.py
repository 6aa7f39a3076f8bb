"""The cycle model against the manuals' tables: hand-written code whose cost is worked out by hand.

Sources: Cortex-M0 TRM (DDI 0432C) table 3-1, Cortex-M0+ TRM (DDI 0484C) table 3-1, Cortex-M3 TRM (DDI 0337I) and
Cortex-M4 TRM (DDI 0439D) table 3-1 and load/store timings. Expected totals are literal numbers; every function ends
in `bx lr` (3 cycles on M0, 2 on M0+, 1 + P = 2 to 4 on M3 and M4) unless it pops the PC.
"""

from dataclasses import astuple
from pathlib import Path

import pytest
import unicorn
from assembly import FLASH, RAM, link, run
from conftest import need
from unicorn import arm_const

from pipeline.facts.cores import CORES, THUMB, Core, Executed
from pipeline.facts.errors import ChipfitError
from pipeline.measuring.machine_code.decoder import decoder
from pipeline.measuring.machine_code.loaded import LoadedImage
from pipeline.measuring.simulator import FlashTiming
from pipeline.measuring.thumb.pricing import price, price_block

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
    "interrupt mask": ("cpsid i\n cpsie i", 2, 2),
    "move to the program counter": ("adr r2, 1f\n mov pc, r2\n .balign 4\n 1:", 1 + 3, 1 + 2),
    "addition to the program counter": ("movs r2, #0\n add pc, r2\n nop\n 1:", 1 + 3, 1 + 2),
    "branch and exchange": ("adr r2, 1f\n adds r2, #1\n bx r2\n .balign 4\n 1:", 2 + 3, 2 + 2),
    "branch with link and exchange": (
        "mov r3, lr\n adr r2, 1f\n adds r2, #1\n blx r2\n .balign 4\n 1: mov lr, r3",
        1 + 2 + 3 + 1,
        1 + 2 + 2 + 1,
    ),
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


# The example of docs/cycles.md, where its counts are derived: 107 cycles without wait states.
EXAMPLE = """function f_run
 movs r2, #2
 ldr r3, =table
 ldr r3, [r3]
 nop
1:
 .rept 46
 nop
 .endr
 subs r2, #1
 bne 1b
 bx lr
 .pool
 .size f_run, . - f_run
.section .rodata, "a", %progbits
.balign 64
table: .word 0
"""
BOUNDS = {
    "no wait states": (FlashTiming(0, 8), 107, 107),
    "words": (FlashTiming(1, 4), 107 + 2, 107 + 51 + 2 + 2),
    "lines of 8 bytes": (FlashTiming(1, 8), 107 + 2, 107 + 28 + 2 + 2),
    "prefetch": (FlashTiming(1, 8, prefetch=True), 107 + 2, 107 + 28 + 2 + 2 * 3),
    "two wait states": (FlashTiming(2, 8, prefetch=True), 107 + 4, 107 + 2 * 36),
    "cache of instructions": (FlashTiming(1, 8, cache="instructions"), 107 + 1, 107 + 26 + 2 + 2),
    "cache": (FlashTiming(1, 8, cache="all"), 107, 107 + 28 + 2 + 2),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_wait_states_bound_the_time_from_both_sides(name: str, tmp_path: Path) -> None:
    timing, low, high = BOUNDS[name]
    total = run(EXAMPLE, tmp_path, timing=timing).total
    assert total.zero_wait == (107, 107)
    assert (total.low, total.high) == (low, high)


def test_a_flash_makes_one_read_at_a_time(tmp_path: Path) -> None:
    # b 3, 200 nops, bx 3. The block behind b lies in 101 words, each of which is read once, for 16 cycles.
    body = " b 1f\n nop\n 1:\n .rept 200\n nop\n .endr\n bx lr\n"
    total = run(f"function f_run\n{body} .size f_run, . - f_run\n", tmp_path, timing=FlashTiming(15)).total
    assert (total.zero_wait, total.low) == ((206, 206), 101 * 16)


def test_a_short_loop_proves_no_wait_where_buffers_may_hold_it(tmp_path: Path) -> None:
    # movs 1, three turns of nop and subs, bne taken twice: 1 + 3 * 2 + 2 * 3 + 1 + 3.
    source = "function f_run\n movs r2, #3\n 1: nop\n subs r2, #1\n bne 1b\n bx lr\n .size f_run, . - f_run\n"
    total = run(source, tmp_path, timing=FlashTiming(5, 8)).total
    assert (total.zero_wait[0], total.low) == (17, 17)


def test_on_cortex_m3_a_jump_proves_no_wait_and_any_block_may_read_a_target_in_vain(tmp_path: Path) -> None:
    total = run(EXAMPLE, tmp_path, "cortex-m3", timing=FlashTiming(1, 8)).total
    assert total.low == total.zero_wait[0] + 1
    # Three blocks end, with up to three lines read in vain each.
    assert total.high == total.zero_wait[1] + 28 + 2 + 3 * 3


@pytest.mark.parametrize("count", [1, 4, 8])
@pytest.mark.parametrize(("core", "leave"), [("cortex-m0", 3), ("cortex-m0plus", 2)])
def test_several_registers_cost_one_cycle_each(count: int, core: str, leave: int, tmp_path: Path) -> None:
    these = f"r0-r{count - 1}" if count > 1 else "r0"
    source = f"function f_run\n push {{{these}}}\n pop {{{these}}}\n bx lr\n .size f_run, . - f_run\n"
    expected = (1 + count) + (1 + count) + leave
    assert run(source, tmp_path, core).total.zero_wait == (expected, expected)


@pytest.mark.parametrize(
    # push of N: 1 + N; pop of N with PC among them: 4 + N, or 3 + N.
    ("core", "registers", "expected"),
    [
        ("cortex-m0", "", 2 + 5),
        ("cortex-m0", "r4-r7, ", 6 + 9),
        ("cortex-m0plus", "", 2 + 4),
        ("cortex-m0plus", "r4-r7, ", 6 + 8),
    ],
)
def test_a_pop_of_the_program_counter_counts_it(core: str, registers: str, expected: int, tmp_path: Path) -> None:
    source = f"function f_run\n push {{{registers}lr}}\n pop {{{registers}pc}}\n .size f_run, . - f_run\n"
    assert run(source, tmp_path, core).total.zero_wait == (expected, expected)


def test_a_branch_to_its_own_next_instruction_is_a_range(tmp_path: Path) -> None:
    source = "function f_run\n movs r2, #0\n beq 1f\n 1: bx lr\n .size f_run, . - f_run\n"
    assert run(source, tmp_path).total.zero_wait == (1 + 1 + 3, 1 + 3 + 3)


# (body, M3 low, M3 high, M4 low, M4 high), without the final bx lr of 2 to 4. A load or store that begins a block, or
# whose address the instruction before computed, may wait 1 more; a literal may meet the fetch unit.
RANGES = {
    "arithmetic": ("movs r2, #1\n add.w r2, r2, #300\n ubfx r2, r2, #1, #3\n clz r2, r2\n ssat r2, #8, r2", 5, 5, 5, 5),
    "multiply": ("mul r2, r3, r2", 1, 1, 1, 1),
    "multiply and add": ("mla r2, r3, r2, r3\n mls r2, r3, r2, r3", 4, 4, 2, 2),
    "long multiply": ("smull r2, r3, r2, r3\n umlal r2, r3, r2, r3", 3 + 4, 5 + 7, 2, 2),
    "divide": ("movs r3, #3\n udiv r2, r3, r3", 1 + 2, 1 + 12, 1 + 2, 1 + 12),
    "first load": ("ldr r2, [r0]", 1, 2 + 1, 1, 2 + 1),
    "loads in a row": ("ldr r2, [r0]\n ldr r3, [r0, #4]", 1 + 1, 3 + 2, 1 + 1, 3 + 2),
    "load from a new address": ("movs r3, #4\n ldr r2, [r0, r3]", 1 + 1, 1 + 3, 1 + 1, 1 + 3),
    "load from an old address": ("movs r3, #4\n nop\n ldr r2, [r0, r3]", 2 + 1, 2 + 2, 2 + 1, 2 + 2),
    "store": ("nop\n strb r2, [r1]", 1 + 1, 1 + 2, 1 + 1, 1 + 2),
    "literal": ("nop\n ldr r2, =0x12345678", 1 + 1, 1 + 3, 1 + 1, 1 + 3),
    "two registers": ("nop\n ldrd r2, r3, [r0]", 1 + 3, 1 + 3, 1 + 3, 1 + 3),
    "several registers": ("mov r3, r0\n ldm r3!, {r2, r12}", 1 + 3, 1 + 4, 1 + 3, 1 + 4),
    "table branch": ("movs r2, #0\n tbb [pc, r2]\n 1: .byte (2f - 1b) / 2, 0\n 2:", 1 + 3, 1 + 6, 1 + 3, 1 + 6),
    "untaken branch": ("movs r2, #1\n beq 1f\n nop\n 1:", 3, 3, 3, 3),
    "taken branch": ("movs r2, #0\n beq 1f\n nop\n 1:", 1 + 2, 1 + 4, 1 + 2, 1 + 4),
    "compare and branch": ("movs r2, #0\n cbz r2, 1f\n nop\n 1:", 1 + 2, 1 + 4, 1 + 2, 1 + 4),
    "if then else": ("movs r2, #0\n ite eq\n addeq r2, #1\n addne r2, #1", 1 + 2, 1 + 1 + 2, 1 + 2, 1 + 1 + 2),
    "skipped load": ("movs r2, #0\n it ne\n ldrne r3, [r0]", 1 + 1, 1 + 1 + 2, 1 + 1, 1 + 1 + 2),
    "skipped return": ("movs r2, #0\n it ne\n bxne lr", 1 + 1, 1 + 1 + 1, 1 + 1, 1 + 1 + 1),
    "word at an odd byte": ("ldr r2, [r0, #1]", 1, 3 + 2, 1, 3 + 2),
    "word at an odd half-word": ("ldr r2, [r0, #2]", 1, 3 + 1, 1, 3 + 1),
    "half-word at an odd byte": ("ldrh r2, [r0, #1]", 1, 3 + 1, 1, 3 + 1),
}


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4"])
def test_costs_on_cortex_m3_and_m4_are_ranges(name: str, core: str, tmp_path: Path) -> None:
    body, *ranges = RANGES[name]
    low, high = ranges[:2] if core == "cortex-m3" else ranges[2:]
    done = run(f"function f_run\n {body}\n bx lr\n .pool\n .size f_run, . - f_run\n", tmp_path, core)
    assert done.total.zero_wait == (low + 2, high + 4)


@pytest.mark.parametrize("core", CORES.values(), ids=lambda c: c.name)
def test_instructions_counted_by_kind_cost_the_upper_bound(core: Core, tmp_path: Path) -> None:
    """Exactly that here: every load, store and block of these may wait for its address, and the literal for the bus."""
    body = """
        ldr r3, =0x12345678\n adds r0, #0\n ldr r2, [r0]\n adds r1, #0\n str r2, [r1]\n muls r2, r3\n cmp r2, r2
        bne 1f\n mov sp, sp\n push {r4, lr}\n mov sp, sp\n pop {r4, pc}\n 1: bkpt\n .ltorg
    """
    counted = Executed(alu=5, multiplies=1, accesses=2, literals=1, blocks=1, registers=4, pops_pc=1, untaken=1)
    total = run(f"function f_run\n{body}\n .size f_run, . - f_run\n", tmp_path, core.name).total
    assert total.zero_wait[1] == counted.cycles(core)


def test_a_return_inside_an_it_block_is_taken_when_nothing_follows(tmp_path: Path) -> None:
    source = "function f_run\n movs r2, #0\n it eq\n bxeq lr\n b .\n .size f_run, . - f_run\n"
    assert run(source, tmp_path, "cortex-m3").total.zero_wait == (1 + 0 + 2, 1 + 1 + 4)


def test_an_it_block_that_a_page_cuts_stays_conditional(tmp_path: Path) -> None:
    # b.w 2 to 4, movs 1, it 0 to 1 at the page's end, bxne (not executed) 1 in the next page, bx lr 2 to 4.
    source = (
        "function f_run\n b.w 1f\n .balign 4096\n .space 4092\n 1: movs r2, #0\n it ne\n bxne lr\n bx lr\n"
        " .size f_run, . - f_run\n"
    )
    assert run(source, tmp_path, "cortex-m3").total.zero_wait == (2 + 1 + 0 + 1 + 2, 4 + 1 + 1 + 1 + 4)


def test_straight_code_longer_than_a_page_is_counted_whole(tmp_path: Path) -> None:
    source = "function f_run\n .rept 5000\n adds r2, #1\n .endr\n bx lr\n .size f_run, . - f_run\n"
    done = run(source, tmp_path)
    assert (done.total.zero_wait, done.total.instructions) == ((5003, 5003), 5001)


def test_an_instruction_without_a_price_is_an_error() -> None:
    bkpt = bytes.fromhex("00be")
    with pytest.raises(ChipfitError, match="bkpt #0 at 0x0 has no known cost on cortex-m0"):
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


@pytest.mark.parametrize(
    # ziglang compiles at -Os, gcc at -O2.
    ("toolchain", "core", "model"),
    [
        ("ziglang", "cortex-m0", arm_const.UC_CPU_ARM_CORTEX_M0),
        ("gcc", "cortex-m0", arm_const.UC_CPU_ARM_CORTEX_M0),
        ("ziglang", "cortex-m0plus", arm_const.UC_CPU_ARM_CORTEX_M0),
        ("ziglang", "cortex-m3", arm_const.UC_CPU_ARM_CORTEX_M3),
        ("ziglang", "cortex-m4", arm_const.UC_CPU_ARM_CORTEX_M4),
    ],
)
def test_blocks_add_up_to_what_single_steps_say(toolchain: str, core: str, model: int, tmp_path: Path) -> None:
    """The same code stepped instruction by instruction, each priced alone, branches by where the next one stands.

    On M3 and M4 the low bounds are compared: the high ones depend on neighbours, which a single step does not see.
    """
    if toolchain == "gcc":
        need("arm-none-eabi-gcc")
    total = run(KERNEL, tmp_path, core, suffix=".c", toolchain=toolchain).total
    image = LoadedImage.read(
        link(KERNEL, tmp_path / "again", core, toolchain=toolchain, suffix=".c"), "f_run", CORES[core].isa.code
    )
    engine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB, model)
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
    cycles = steps = conditional = 0
    for here, following in zip(trace, [*trace[1:], end], strict=True):
        instruction = next(decoder(THUMB).disasm(bytes(engine.mem_read(here, 4)), here))
        stay, taken = price(instruction, CORES[core], 1)
        at, cycles, steps = here + instruction.size, cycles + stay[0], steps + 1
        conditional = (
            len(instruction.mnemonic) - 1 if instruction.mnemonic.startswith("it") else max(0, conditional - 1)
        )
        while conditional and at != following:  # skipped by IT: no step, one cycle
            at += next(decoder(THUMB).disasm(bytes(engine.mem_read(at, 4)), at)).size
            cycles, steps, conditional = cycles + 1, steps + 1, conditional - 1
        cycles += taken[0] if at != following else 0
    assert total.zero_wait[0] == cycles
    assert total.zero_wait[1] == cycles or any(low < high for low, high in astuple(CORES[core].costs))
    assert total.instructions == steps
