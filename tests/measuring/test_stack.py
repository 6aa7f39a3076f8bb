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


def function(name: str, body: str) -> str:
    return f"function {name}\n {body}\n .pool\n .size {name}, . - {name}\n"


def stack(
    source: str, folder: Path, core: str = "cortex-m0", suffix: str = ".S", toolchain: str = "ziglang"
) -> StackUse:
    return measure(link(source, folder, core, toolchain, suffix), "f_run", "f_").stack


def test_jumps_to_other_functions_and_known_registers_count_as_calls(tmp_path: Path) -> None:
    leaf = function("f_leaf", "push {r4-r7}\n pop {r4-r7}\n bx lr")
    tail = function("f_run", "push {r4, lr}\n sub sp, #40\n add sp, #40\n pop {r4}\n pop {r1}\n mov lr, r1\n b f_leaf")
    found = stack(tail + leaf, tmp_path / "tail")
    assert (found.worst, found.call_path) == (48, ("f_run",))
    known = function("f_run", "push {r4, lr}\n ldr r4, =f_leaf\n bl f_other\n blx r4\n pop {r4, pc}")
    found = stack(known + leaf + function("f_other", "bx lr"), tmp_path / "known")
    assert (found.worst, found.call_path) == (24, ("f_run", "f_leaf"))


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
