"""A function's stack over all of its paths: to the byte, or refused with the reason."""

from pathlib import Path

import pytest
from assembly import link, run

from pipeline.measuring.footprint import StackUse, measure

V7 = ("cortex-m3", "cortex-m4")


def function(name: str, body: str) -> str:
    return f"function {name}\n {body}\n .pool\n .size {name}, . - {name}\n"


def stack(
    source: str, folder: Path, core: str = "cortex-m0", suffix: str = ".S", toolchain: str = "ziglang"
) -> StackUse:
    return measure(link(source, folder, core, toolchain, suffix), "f_run", "f_").stack


@pytest.mark.parametrize(
    ("core", "body", "bytes_used"),
    [
        ("cortex-m0", "bx lr", 0),
        ("cortex-m0", "push {r4-r7, lr}\n sub sp, #508\n str r0, [sp]\n add sp, #508\n pop {r4-r7, pc}", 528),
        ("cortex-m0", "push {r7, lr}\n mov r7, sp\n sub sp, #64\n str r0, [sp]\n mov sp, r7\n pop {r7, pc}", 72),
        ("cortex-m0", "push {r7, lr}\n add r7, sp, #0\n sub sp, #24\n str r0, [sp]\n adds r7, #0\n"
         " mov sp, r7\n pop {r7, pc}", 32),
        ("cortex-m0", "movs r2, #3\n lsls r2, r2, #8\n negs r3, r2\n add sp, r3\n str r0, [sp]\n"
         " add sp, r2\n bx lr", 768),
        ("cortex-m0", "push {r4, lr}\n pop {r2, r3}\n bx r3", 8),
        ("cortex-m0", "push {lr}\n movs r0, #3\n 1: push {r0}\n add sp, #4\n subs r0, #1\n bpl 1b\n pop {pc}", 8),
        ("cortex-m3", "str lr, [sp, #-4]!\n sub.w sp, sp, #1000\n str r0, [sp]\n"
         " add.w sp, sp, #1000\n ldr pc, [sp], #4", 1004),
        ("cortex-m3", "stmdb sp!, {r4-r9, lr}\n ldmia sp!, {r4-r9, pc}", 28),
        ("cortex-m3", "strd r4, r5, [sp, #-16]!\n ldrd r4, r5, [sp], #16\n bx lr", 16),
        ("cortex-m3", "movw r2, #4096\n sub sp, r2\n str r0, [sp]\n movt r2, #0\n add sp, r2\n bx lr", 4096),
        ("cortex-m4", "push {r7, lr}\n add r7, sp, #0\n subw sp, sp, #800\n str r0, [sp]\n"
         " sub.w r3, r7, #4\n mov sp, r3\n"
         " adds r3, #4\n mov sp, r3\n pop {r7, pc}", 808),
    ],
)  # fmt: skip
def test_known_frames_are_counted_to_the_byte(core: str, body: str, bytes_used: int, tmp_path: Path) -> None:
    source = function("f_run", body)
    assert stack(source, tmp_path, core).worst == bytes_used
    assert run(source, tmp_path / "run", core).stack == bytes_used


@pytest.mark.parametrize("core", V7)
def test_both_ways_through_an_it_block_are_followed(core: str, tmp_path: Path) -> None:
    leaf = function("f_leaf", "push {r4-r7}\n pop {r4-r7}\n bx lr")
    early = "cmp r0, #3\n it lt\n bxlt lr\n push {r4, lr}\n sub sp, #64\n bl f_leaf\n add sp, #64\n pop {r4, pc}"
    assert stack(function("f_run", early) + leaf, tmp_path / "early", core).worst == 72 + 16
    late = "push {r4, lr}\n sub sp, #64\n cmp r0, #9\n itt gt\n addgt sp, #64\n popgt {r4, pc}\n"
    late += " add sp, #64\n push {r0-r3}\n add sp, #16\n pop {r4, pc}"
    assert stack(function("f_run", late), tmp_path / "late", core).worst == 72
    call = "push {r4, lr}\n cmp r0, #9\n it lt\n bllt f_leaf\n pop {r4, pc}"
    assert stack(function("f_run", call) + leaf, tmp_path / "call", core).worst == 8 + 16


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (function("f_run", "push {r4, lr}\n bl f_b\n pop {r4, pc}")
         + function("f_b", "push {r4, lr}\n bl f_run\n pop {r4, pc}"), "f_run is recursive: f_run -> f_b -> f_run"),
        (function("f_run", "push {r4, lr}\n ldr r4, =f_run\n bl f_b\n blx r0\n pop {r4, pc}")
         + function("f_b", "bx lr"), "f_run calls through a register: blx r0"),
        (function("f_run", "mov r2, sp\n subs r2, r2, r0\n mov sp, r2\n bx lr"), "computes its stack pointer"),
        (function("f_run", "push {r4, lr}\n pop {r4}\n bx lr"), "returns with its stack pointer 4 bytes off"),
        (function("f_run", "push {r4}\n pop {r4, r5}\n bx lr"), "takes more from the stack than it put there"),
        (function("f_run", "push {r0}\n pop {pc}"), "does not return to where it was called"),
        (function("f_run", "1: push {r0}\n subs r0, #1\n bne 1b\n bx lr"), "two stack depths"),
        (function("f_run", "bx r0"), "jumps through a register"),
        (function("f_run", "msr msp, r0\n bx lr"), "computes its stack pointer"),
        (function("f_run", "nop"), "f_run runs on past its end"),
    ],
)  # fmt: skip
def test_an_answer_that_would_be_a_guess_is_refused_with_its_reason(source: str, why: str, tmp_path: Path) -> None:
    found = stack(source, tmp_path)
    assert found.worst is None and found.call_path == () and why in found.unknown


def test_a_jump_table_that_hides_code_is_refused(tmp_path: Path) -> None:
    body = (
        "cmp r0, #1\n bhi 9f\n tbb [pc, r0]\n 1: .byte (2f - 1b) / 2, (3f - 1b) / 2, (4f - 1b) / 2, 0\n"
        " 2: bx lr\n 3: bx lr\n 4: push {r0-r3}\n add sp, #16\n 9: bx lr"
    )
    found = stack(function("f_run", body), tmp_path, "cortex-m3")
    assert found.worst is None and "jump tables do not reach" in found.unknown
