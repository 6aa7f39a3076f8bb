"""Sizes, forbidden symbols, and worst-case stack from machine code."""

from pathlib import Path

import pytest
from assembly import link, run
from conftest import need

from pipeline.facts.errors import ChipfitError
from pipeline.measuring.footprint import Footprint, measure

HEAD = "#include <stdint.h>\nvoid f_run(const int8_t *x, int8_t *y);\n"


def measured(source: str, folder: Path, suffix: str = ".S", toolchain: str = "ziglang") -> Footprint:
    return measure(link(source, folder, toolchain=toolchain, suffix=suffix), "f_run", "f_")


def function(name: str, body: str) -> str:
    return f"function {name}\n {body}\n .pool\n .size {name}, . - {name}\n"


def test_the_deepest_chain_counts(tmp_path: Path) -> None:
    source = (
        function("f_run", "push {r4, lr}\n sub sp, #16\n bl f_a\n bl f_b\n add sp, #16\n pop {r4, pc}")
        + function("f_a", "push {r4-r7, lr}\n pop {r4-r7, pc}")
        + function("f_b", "sub sp, #8\n push {r4, lr}\n bl f_a\n pop {r4}\n pop {r2}\n mov lr, r2\n add sp, #8\n bx lr")
    )
    stack = measured(source, tmp_path).stack
    assert (stack.worst, stack.call_path) == (24 + 16 + 20, ("f_run", "f_b", "f_a"))
    assert run(source, tmp_path / "run").stack <= 60


def test_a_large_frame_through_a_literal_is_read(tmp_path: Path) -> None:
    source = function("f_run", "ldr r2, =-1024\n add sp, r2\n ldr r2, =1024\n add sp, r2\n bx lr")
    assert measured(source, tmp_path).stack.worst == 1024


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("push {r4, lr}\n bl f_run\n pop {r4, pc}", "recursive"),
        ("push {r4, lr}\n blx r0\n pop {r4, pc}", "calls through a register"),
        ("mov sp, r0\n bx lr", "computes its stack pointer"),
        ("cmp r0, #0\n beq 1f\n push {r4}\n 1: pop {r4}\n bx lr", "two stack depths"),
    ],
)
def test_what_cannot_be_bounded_is_said_and_not_guessed(body: str, why: str, tmp_path: Path) -> None:
    stack = measured(function("f_run", body), tmp_path).stack
    assert stack.worst is None and why in stack.unknown


@pytest.mark.parametrize("toolchain", ["ziglang", "gcc"])
def test_soft_float_and_long_multiplies_are_found(toolchain: str, tmp_path: Path) -> None:
    if toolchain == "gcc":
        need("arm-none-eabi-gcc")
    source = HEAD + (
        "void f_run(const int8_t *x, int8_t *y)\n{\n"
        "    double d = x[0];\n    y[0] = (int8_t)(d * 1.5);\n"
        "    y[1] = (int8_t)(((int64_t)x[1] << 30) * ((int64_t)x[2] << 29) >> 60);\n}\n"
    )
    found = measured(source, tmp_path, ".c", toolchain)
    assert any("dmul" in s or "muldf" in s for s in found.float_symbols)
    assert any("lmul" in s.name or "muldi" in s.name for s in found.library_calls)


@pytest.mark.parametrize("toolchain", ["ziglang", "gcc"])
def test_sections_add_up(toolchain: str, tmp_path: Path) -> None:
    if toolchain == "gcc":
        need("arm-none-eabi-gcc")
    source = HEAD + (
        "static const int8_t f_table[100] = {1, 2, 3};\nstatic int8_t f_state[40];\n"
        "void f_run(const int8_t *x, int8_t *y)\n{\n"
        "    f_state[x[0] & 31] = f_table[x[1] & 63];\n    y[0] = f_state[x[2] & 31];\n}\n"
    )
    found = measured(source, tmp_path, ".c", toolchain)
    assert found.float_symbols == found.heap_symbols == found.library_calls == ()
    assert found.constants >= 100 and found.ram >= 32 and 0 < found.code < 200
    assert found.flash == found.code + found.constants + found.data
    assert found.stack.worst is not None and found.stack.worst <= 32


def test_an_undefined_function_is_named(tmp_path: Path) -> None:
    source = (
        HEAD
        + "void f_missing(void);\nvoid f_run(const int8_t *x, int8_t *y)\n{\n    y[0] = x[0];\n    f_missing();\n}\n"
    )
    with pytest.raises(ChipfitError, match="f_missing"):
        measured(source, tmp_path, ".c")
