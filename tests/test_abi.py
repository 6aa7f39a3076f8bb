"""The calling standard, with interrupts at any moment: offenders are caught, and no generated library is one."""

import json
from pathlib import Path

import numpy as np
import pytest
from abi import in_a_storm
from assembly import FLASH, RAM, link
from building import build, on_chip, write_library

from pipeline.facts.errors import ChipfitError
from pipeline.measuring.simulator import Target, simulate
from pipeline.ops import samples

INPUT = bytes(range(7, 23))
# Writes input[0] + 1 to output[0], by way of the stack and of registers that it must save.
HEAD = " push {r4-r7, lr}\n mov r4, r8\n mov r5, r9\n push {r4, r5}\n sub sp, #12\n"
BODY = " ldrb r2, [r0]\n str r2, [sp]\n mov r8, r2\n mov r9, r2\n nop\n ldr r3, [sp]\n adds r3, #1\n strb r3, [r1]\n"
TAIL = " add sp, #12\n pop {r4, r5}\n mov r8, r4\n mov r9, r5\n pop {r4-r7, pc}\n"
LEAF = " .size f_run, . - f_run\nfunction f_leaf\n bx lr\n .size f_leaf, . - f_leaf\n"


def outputs(source: str, folder: Path, every: int = 1) -> bytes:
    elf = link(f"function f_run\n{source}{LEAF}", folder)
    (run,) = in_a_storm(elf, "f_run", [INPUT], [16], FLASH, RAM, every=every)
    return run


@pytest.mark.parametrize("every", [1, 3])
def test_one_that_keeps_the_rules_passes(every: int, tmp_path: Path) -> None:
    assert outputs(HEAD + BODY + " bl f_leaf\n" + TAIL, tmp_path, every)[0] == INPUT[0] + 1


LEFT = " pop {r4-r7, pc}\n"
REFUSED = {
    "r4 is lost": (HEAD + BODY + TAIL.replace(LEFT, " pop {r4-r7}\n movs r4, #1\n pop {pc}\n"), "r4 was not"),
    "r8 is not restored": (HEAD + BODY + TAIL.replace(" mov r8, r4\n", ""), "r8 was not"),
    "r9 is used without being saved": (" movs r2, #1\n mov r9, r2\n bx lr\n", "r9 was not"),
    "the stack pointer is off": (" sub sp, #8\n bx lr\n", "stack pointer was not restored"),
    "a byte past the output": (HEAD + BODY + " strb r3, [r1, #16]\n" + TAIL, "beside a buffer"),
    "a byte before the output": (HEAD + BODY + " subs r1, #1\n strb r3, [r1]\n" + TAIL, "beside a buffer"),
    "a byte past the input": (HEAD + BODY + " strb r3, [r0, #16]\n" + TAIL, "beside a buffer"),
    "the input is changed": (HEAD + BODY + " strb r3, [r0, #2]\n" + TAIL, "input buffer was overwritten"),
    "a misaligned call": (HEAD + BODY + " sub sp, #4\n bl f_leaf\n add sp, #4\n" + TAIL, "f_leaf was called"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_offenders_are_refused(name: str, tmp_path: Path) -> None:
    source, message = REFUSED[name]
    with pytest.raises(ChipfitError, match=message):
        outputs(source, tmp_path)


KEEP = " mov r3, sp\n subs r3, #{}\n ldrb r2, [r0]\n str r2, [r3]\n nop\n nop\n nop\n nop\n"
BACK = " ldr r2, [r3]\n adds r2, #1\n strb r2, [r1]\n bx lr\n"
DROWNED = {
    "a red zone": KEEP.format(8) + BACK,
    "a buffer 200 bytes below": KEEP.format(200) + BACK,
    "the stack is released before its last read": (
        HEAD + BODY.replace(" nop\n ldr r3, [sp]\n", " add sp, #12\n nop\n sub sp, #12\n ldr r3, [sp]\n") + TAIL
    ),
}


@pytest.mark.parametrize("name", DROWNED)
def test_what_lies_below_the_stack_pointer_is_lost(name: str, tmp_path: Path) -> None:
    calm = simulate(
        link(f"function f_run\n{DROWNED[name]}{LEAF}", tmp_path / "calm"),
        Target("cortex-m0", FLASH, RAM),
        "f_run",
        8,
        [[INPUT]],
        [16],
    )
    assert calm[0].outputs[0][0] == INPUT[0] + 1
    assert outputs(DROWNED[name], tmp_path)[0] != INPUT[0] + 1


SAMPLES = {s.name: s for s in samples()}
SOME = {next(n for n in SAMPLES if n.startswith(p)) for p in ("Conv_", "Gemm", "MaxPool", "Add", "Softmax", "Resize")
        if any(n.startswith(p) for n in SAMPLES)}  # fmt: skip


@pytest.mark.parametrize("requantizer", ["shift", "multiplier"])
@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in SOME else pytest.mark.exhaustive) for n in SAMPLES])
def test_a_library_of_each_operator_survives(name: str, requantizer: str, tmp_path: Path) -> None:
    drawn = tuple(SAMPLES[name].inputs(4).values())
    built = build(SAMPLES[name].model, drawn, drawn, requantizer)
    library = write_library(built, tmp_path, "cortex-m0")
    on_chip(built, library, "cortex-m0", count=1)
    got = in_a_storm(
        library / "ziglang-cortex-m0" / "net.elf",
        "net_run",
        [a[0].tobytes() for a in built.inputs],
        [o[0].nbytes for o in built.expected],
        (0, 1 << 20),
        (0x20000000, 1 << 16),
        layers=len(built.program.calls),
        port_offsets=built.program.port_offsets,
    )
    assert got == tuple(o[0].tobytes() for o in built.expected)


@pytest.mark.parametrize(("product", "outputs"), [("touch", 4), ("digits", 10)])
def test_shipped_products_survive(product: str, outputs: int, workshop: Path) -> None:
    folder = workshop / "build" / product
    plan = json.loads((folder / "codegen" / "plan.json").read_text("utf-8"))
    elf, entry, layers = folder / "size-check" / "library.elf", f"{product}_run", len(plan["calls"])
    flash = (0x08000000 if product == "digits" else 0, 1 << 18)
    size = {"touch": 30, "digits": 64}[product]
    data = np.random.default_rng(5).integers(-128, 128, size).astype(np.int8).tobytes()
    calm = simulate(
        elf, Target("cortex-m0", flash, RAM), entry, layers, [[data]], [outputs], port_offsets=plan["places"]
    )
    got = in_a_storm(elf, entry, [data], [outputs], flash, RAM, layers=layers, port_offsets=plan["places"])
    assert got == calm[0].outputs
