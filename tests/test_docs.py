"""The pages in docs/ that lead from a framework to a library: their blocks are run as they stand."""

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

PAGES = {"pytorch.md": ("torch", "onnxscript"), "keras.md": ("keras", "torch", "onnxscript")}


def blocks(page: Path) -> list[tuple[str, str]]:
    """(language, text) of every fenced block."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.exhaustive
@pytest.mark.parametrize("page", PAGES)
def test_the_page_leads_to_a_library(page: str, tmp_path: Path) -> None:
    missing = [m for m in PAGES[page] if importlib.util.find_spec(m) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    commands = []
    for language, text in blocks(ROOT / "docs" / page):
        if language == "sh":
            commands += text.splitlines()
            continue
        name = text.splitlines()[0].removeprefix("# ")
        (tmp_path / name).write_text(text, "utf-8")
    assert commands
    for command in commands:
        words = command.split()
        tool = [sys.executable] if words[0] == "python" else [sys.executable, "-m", "stages.app.cli"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [*tool, *words[1:]], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "build" / "net" / "codegen" / "include" / "net.h").is_file()
    assert "fits" in done.stdout


def test_the_page_of_limits_repeats_those_of_the_code() -> None:
    page = (ROOT / "docs" / "limits.md").read_text("utf-8")
    rows = re.findall(r"^\| [^|]+ \| ([^|]+) \| `([\w.]+)\.(\w+)` \|$", page, re.MULTILINE)
    assert len(rows) > 15
    units = {"": 1, "MiB": 1 << 20, "GiB": 1 << 30}
    for shown, module, name in rows:
        number, _, unit = shown.replace(",", "").partition(" ")
        base, _, power = number.partition("^")
        value = int(base) ** int(power or 1) * units[unit]
        assert value == getattr(importlib.import_module(module), name), f"{name}: {shown}"
