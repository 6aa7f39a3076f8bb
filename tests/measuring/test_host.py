"""The library compiled for this machine: its answers, its ports, and what it does wrong."""

import os
from pathlib import Path

import numpy as np
import pytest
from conftest import need
from libraries import DOT, write

from pipeline.facts.errors import ChipfitError
from pipeline.measuring.toolchain import (
    host_compilers,
    host_library,
)
from pipeline.measuring.toolchain.host import HostLibrary


@pytest.mark.parametrize(
    "flags", [("-O0",), ("-O3", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")], ids=str
)
@pytest.mark.parametrize("compiler", ["ziglang", "gcc", "clang"])
def test_the_library_for_this_machine_computes(compiler: str, flags: tuple[str, ...], tmp_path: Path) -> None:
    if compiler != "ziglang":
        need(compiler)
    assert compiler in host_compilers()
    shared_library = host_library(write(tmp_path, f_dot_c=DOT), tmp_path / "f.so", compiler, flags)
    given = np.zeros((2, 16), np.int8)
    given[0, :3], given[1, :3] = (100, -100, 100), (7, 0, 0)
    got = HostLibrary(shared_library, "f")([given], [np.zeros((2, 2), np.int8)])
    assert got[0].tolist() == [[(100 + 200 + 300) >> 8, 100], [0, 7]]


def test_ports_of_every_kind_come_through_the_process_that_runs_the_library(tmp_path: Path) -> None:
    text = (
        '#include "f.h"\nstatic int16_t own[2];\nstatic int32_t last[1];\n'
        "int16_t *f_input_1(void);\nint16_t *f_input_1(void) { return own; }\n"
        "int32_t *f_output_1(void);\nint32_t *f_output_1(void) { return last; }\n"
        "void f_run(const int8_t *x, int8_t *y)\n{\n    y[0] = (int8_t)(x[0] + 1);\n"
        "    last[0] += own[0] * own[1];\n}\n"
    )
    shared_library = host_library(write(tmp_path, f_dot_c=text), tmp_path / "f.so")
    inputs = [np.array([[5], [-5]], np.int8), np.array([[300, 300], [-300, 1]], np.int16)]
    library = HostLibrary(shared_library, "f", [None, 0, None, 8])
    got = library(inputs, [np.zeros((2, 1), np.int8), np.zeros((2, 1, 1), np.int32)])
    assert got[0].tolist() == [[6], [-4]] and got[1].tolist() == [[[90_000]], [[89_700]]]


@pytest.mark.skipif(os.name != "posix", reason="limits of a process are POSIX's")
@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("y = 0; *y = x[0];", r"ended in a crash \(SIG(SEGV|ILL|TRAP)\)"),
        (
            "for (volatile int32_t i = 0; i < 1;) { }; y[0] = x[0];",
            r"(took more than \d+ s|ended in a crash \(SIG(XCPU|KILL)\))",
        ),
        (
            "static int8_t large[2000000000]; large[y[0]] = x[0]; y[0] = large[x[0]];",
            "failed: .*(failed to map|allocate memory)",
        ),
        ("y[0] = 0; exit(x[0] + 3);", "failed: exit code 3"),
        ("y[0] = 0; exit(x[0]);", "gave 0 of 2 output bytes"),
    ],
    ids=["crash", "hang", "memory", "exit", "end"],
)
def test_a_library_that_misbehaves_is_said_and_does_no_harm(
    statement: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.measuring.toolchain.host._SECONDS", 1)
    text = f'#include "f.h"\nvoid exit(int);\nvoid f_run(const int8_t *x, int8_t *y)\n{{\n    {statement}\n}}\n'
    shared_library = host_library(write(tmp_path, f_dot_c=text), tmp_path / "f.so")
    with pytest.raises(ChipfitError, match=rf"^toolchain: running f on this machine {says}") as error:
        HostLibrary(shared_library, "f")([np.zeros((1, 16), np.int8)], [np.zeros((1, 2), np.int8)])
    assert "\n" not in str(error.value)
