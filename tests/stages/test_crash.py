"""Exit codes: a fault of chipfit's own is 2 and asks to be reported, whoever runs it; what a user can mend is 1.

Faults are put into the real commands from outside, by a sitecustomize of the tests' own.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from stages.app.crash import ending_crashes, report_crash

DODO = 'from stages.app.schedule import doit_tasks\nglobals().update(doit_tasks("configs/products"))\n'
BOOM = 'def boom(*a, **k):\n    raise ArithmeticError("of the\\x1b[2J test")\n'
CHIPFIT, DOIT = ["-m", "stages.app.cli"], ["-m", "doit"]


def faulty(repository: Path, folder: Path, fault: str, *command: str) -> subprocess.CompletedProcess[str]:
    """A command in `repository`, where Python runs `fault` before everything else."""
    (folder / "sitecustomize.py").write_text(BOOM + fault + "\n", "utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    return subprocess.run(
        [sys.executable, *command], cwd=repository, env=environment, capture_output=True, text=True, check=False
    )


def assert_crashed(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    asking = [line for line in done.stderr.splitlines() if "please report it with the traceback above" in line]
    assert len(asking) >= 1 and "internal error in" in asking[0], done.stderr
    assert "Traceback (most recent call last)" in done.stderr and "\x1b[2J" not in done.stderr


@pytest.mark.parametrize(
    ("fault", "command"),
    [
        ("import stages.app.chips as m; m.chips = boom", [*CHIPFIT, "chips"]),
        ("import sys; sys.modules['stages.app.commands'] = None", [*CHIPFIT, "chips"]),
        ("import stages.codegen as m; m.settings = boom", [*CHIPFIT, "build", "--jobs", "2"]),
        ("import stages.codegen as m; m.settings = boom", [*DOIT, "codegen:touch"]),
        ("import stages.app.schedule as m; m.find_products = boom", DOIT),
        ("import stages.app.publish as m; m.publish = boom", [*DOIT, "report:touch"]),
        ("import doit.cmd_list as m; m.List._execute = boom", [*CHIPFIT, "build", "list"]),
    ],
    ids=["command", "import", "stage of two jobs", "stage of doit", "dodo.py", "page", "doit itself"],
)
def test_a_fault_of_chipfit_is_2_and_asks_to_be_reported(
    workshop: Path, tmp_path: Path, fault: str, command: list[str]
) -> None:
    (workshop / "dodo.py").write_text(DODO, "utf-8")
    assert_crashed(faulty(workshop, tmp_path, fault, *command))


@pytest.mark.parametrize(
    "command",
    [[*CHIPFIT, "build", "nothing:touch"], [*CHIPFIT, "build", "--jobs", "none"], [*CHIPFIT, "compile"]],
    ids=["task", "option", "command"],
)
def test_a_command_line_that_nobody_understands_is_1(workshop: Path, tmp_path: Path, command: list[str]) -> None:
    done = faulty(workshop, tmp_path, "", *command)
    assert done.returncode == 1 and "Traceback" not in done.stderr


def test_a_full_disk_behind_the_output_is_1(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, *CHIPFIT, "schema"], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1 and done.stderr == "nothing more can be written: No space left on device.\n"


def test_the_line_names_the_error_and_what_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    assert report_crash(ValueError("x"), "chipfit chips") == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("internal error in chipfit chips: ValueError: x. This")
    with pytest.raises(SystemExit) as ended, ending_crashes("a test"):
        raise RecursionError
    assert ended.value.code == 2 and "internal error in a test: RecursionError." in capsys.readouterr().err
