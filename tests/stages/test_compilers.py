"""The digest of GCC: of the programs that do the work."""

import shutil
from pathlib import Path

import pytest
from conftest import need

from stages.keys import compilers
from stages.keys.compilers import _ask, _checked, gcc
from stages.keys.remembered import identity

CORE = "cortex-m0"


def test_the_compiler_assembler_linker_and_support_library_count() -> None:
    need("arm-none-eabi-gcc")
    found = gcc(CORE)["arm-none-eabi-gcc"]
    _, parts = _ask(CORE, _driver())
    assert len(parts) == 8 and {n for n, p in parts.items() if not p.is_file()} <= {"stdint-gcc.h"}, parts
    assert " sha256:" in found
    assert gcc("cortex-m4")["arm-none-eabi-gcc"] != found, "another support library"
    assert compilers._digest(parts | {"as": parts["ld"]}) != compilers._digest(parts)


def _driver() -> str:
    driver = shutil.which("arm-none-eabi-gcc")
    assert driver
    return driver


def test_a_compiler_that_is_not_there_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gcc.__wrapped__(CORE) == {"arm-none-eabi-gcc": "missing"}


def test_a_compiler_that_does_not_run_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program = tmp_path / "arm-none-eabi-gcc"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    assert gcc.__wrapped__(CORE) == {"arm-none-eabi-gcc": "missing"}


def test_a_remembered_digest_holds_while_no_part_is_replaced(tmp_path: Path) -> None:
    driver, linker = tmp_path / "gcc", tmp_path / "ld"
    for path in (driver, linker):
        path.write_text("a")
    record = {"tool": "12 sha256:0", "parts": {str(p): identity(p) for p in (driver, linker)}}
    assert _checked(record, str(driver)) == "12 sha256:0"
    assert _checked(record, str(tmp_path / "other")) is None
    linker.write_text("bb")
    assert _checked(record, str(driver)) is None
    linker.unlink()
    assert _checked(record, str(driver)) is None
    for hostile in (None, [], {}, {"tool": 1, "parts": {str(driver): identity(driver)}}, {"tool": "", "parts": [1]}):
        assert _checked(hostile, str(driver)) is None, hostile
