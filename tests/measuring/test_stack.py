"""Worst-case stack against what hand-written code is known to use, what GCC says, and what the emulator sees."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from assembly import link, run
from conftest import need

from pipeline.measuring.footprint import StackUse, measure
from pipeline.measuring.toolchain import TOOLCHAINS, Region, compile_library, link_image

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


def test_jumps_to_other_functions_and_known_registers_count_as_calls(tmp_path: Path) -> None:
    leaf = function("f_leaf", "push {r4-r7}\n pop {r4-r7}\n bx lr")
    tail = function("f_run", "push {r4, lr}\n sub sp, #40\n add sp, #40\n pop {r4}\n pop {r1}\n mov lr, r1\n b f_leaf")
    found = stack(tail + leaf, tmp_path / "tail")
    assert (found.worst, found.call_path) == (48, ("f_run",))
    known = function("f_run", "push {r4, lr}\n ldr r4, =f_leaf\n bl f_other\n blx r4\n pop {r4, pc}")
    found = stack(known + leaf + function("f_other", "bx lr"), tmp_path / "known")
    assert (found.worst, found.call_path) == (24, ("f_run", "f_leaf"))


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


FRAMES = """
#include <stdint.h>
void f_run(const int8_t *x, int8_t *y);
#define WORK(name, words, mask) \\
    static __attribute__((noinline)) int32_t name(int32_t v) \\
    { volatile int32_t b[words]; b[v & mask] = v; return b[(v + 1) & mask]; }
WORK(f_small, 16, 15)
WORK(f_large, 256, 255)
WORK(f_middle, 32, 31)
void f_run(const int8_t *x, int8_t *y)
{
    int32_t r = 0;
    switch (x[0]) {
    case 0: r = f_small(x[1]) * 3; break;
    case 1: r = f_small(x[2]) + x[3]; break;
    case 2: r = f_large(x[1]) ^ 5; break;
    case 3: r = f_middle(x[1]) - x[4]; break;
    case 4: r = f_small(3) + f_middle(x[5]); break;
    case 5: r = x[9] * x[10]; break;
    case 6: r = f_middle(f_small(x[7])); break;
    case 7: r = x[8] / 7; break;
    default: r = 1;
    }
    y[0] = (int8_t)r;
}
"""


@pytest.mark.parametrize("level", ["-O0", "-O2", "-Os"])
@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m3"])
@pytest.mark.parametrize("toolchain", ["ziglang", "gcc"])
def test_a_switch_is_followed_into_its_deepest_case(toolchain: str, core: str, level: str, tmp_path: Path) -> None:
    if toolchain == "gcc":
        need("arm-none-eabi-gcc")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "f.c").write_text(FRAMES, "utf-8")
    tools = replace(TOOLCHAINS[toolchain], code=(*TOOLCHAINS[toolchain].code, level))
    objects = compile_library(tools, core, tmp_path, tmp_path)
    elf = link_image(tools, core, objects, "f_run", Region(0, 1 << 16), Region(0x20000000, 1 << 14), tmp_path / "f.elf")
    found = measure(elf, "f_run", "f_").stack
    assert found.unknown == "" and found.worst is not None
    assert found.call_path == ("f_run", "f_large") and 1024 < found.worst < 1024 + 100


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4"])
def test_frames_are_what_gcc_says_with_fstack_usage(core: str, tmp_path: Path) -> None:
    need("arm-none-eabi-gcc")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "f.c").write_text(FRAMES, "utf-8")
    tools = TOOLCHAINS["gcc"]
    source = tmp_path / "src" / "f.c"
    gcc = shutil.which("arm-none-eabi-gcc") or ""
    arguments = [gcc, f"-mcpu={core}", "-mthumb", *tools.code, "-fstack-usage", "-c", str(source), "-o", "f.o"]
    subprocess.run(arguments, cwd=tmp_path, check=True, timeout=60)
    gcc_frames = dict(re.findall(r":(\w+)\t(\d+)", (tmp_path / "f.su").read_text("utf-8")))
    found = stack(FRAMES, tmp_path / "own", core, ".c", "gcc")
    assert found.worst == int(gcc_frames["f_run"]) + int(gcc_frames["f_large"])


@pytest.mark.parametrize("toolchain", ["ziglang", "gcc"])
@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m3"])
def test_support_routines_of_the_compiler_are_bounded(toolchain: str, core: str, tmp_path: Path) -> None:
    if toolchain == "gcc":
        need("arm-none-eabi-gcc")
    source = (
        "#include <stdint.h>\nvoid f_run(const int8_t *x, int8_t *y);\nvoid f_run(const int8_t *x, int8_t *y)\n{\n"
        "    int64_t a = (int64_t)x[0] << 33, b = x[1] + 5;\n    uint32_t u = (uint32_t)x[2];\n"
        "    y[0] = (int8_t)(a * b >> 32);\n    y[1] = (int8_t)(a / b);\n"
        "    y[2] = (int8_t)(x[3] / (x[4] | 1) + x[3] % (x[5] | 1));\n"
        "    y[3] = (int8_t)(u / (uint32_t)(x[6] | 1));\n}\n"
    )
    found = stack(source, tmp_path, core, ".c", toolchain)
    assert found.worst is not None, found.unknown
    ran = run(source, tmp_path / "run", core, suffix=".c", toolchain=toolchain).stack
    assert 0 < ran <= found.worst
