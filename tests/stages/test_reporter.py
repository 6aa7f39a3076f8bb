"""The end of a run of doit: exit codes, what is counted, and what goes where, of tasks that end in every way."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from doit.cmd_base import ModuleTaskLoader
from doit.doit_cmd import DoitMain
from doit.exceptions import TaskFailed

from stages.app.failures import RulesMissed
from stages.app.publish import Result
from stages.app.reporter import reporter


def works() -> None:
    pass


def fails() -> TaskFailed:
    return TaskFailed("a.yaml:1: wrong.")


def misses() -> TaskFailed:
    return RulesMissed("a.yaml:2: too slow.")


def crashes() -> None:
    raise ArithmeticError("of the test")


def run(build: Path, action: Callable[[], Any], results: list[Result], *arguments: str) -> int:
    """The exit code of the stages import and codegen of the products a and b, of which b's import is `action`."""

    def task_import() -> Any:
        yield {"name": "a", "actions": [works]}
        yield {"name": "b", "actions": [action]}

    def task_codegen() -> Any:
        for name in ("a", "b"):
            yield {"name": name, "actions": [works], "task_dep": [f"import:{name}"]}

    config = {"dep_file": ":memory:", "backend": "sqlite3", "continue": True, "verbosity": 2}
    tasks = {"task_import": task_import, "task_codegen": task_codegen}
    tasks["DOIT_CONFIG"] = {**config, "reporter": reporter(build, ["a", "b"], (), results)}  # type: ignore[assignment]
    try:
        return int(DoitMain(ModuleTaskLoader(tasks)).run(["run", *arguments]))
    except SystemExit as ended:
        return int(ended.code or 0)


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["one", "two at a time"])
@pytest.mark.parametrize(
    ("action", "code", "stages"),
    [(works, 0, {"ran": 4}), (fails, 1, {"failed": 1, "not run": 1, "ran": 2}),
     (crashes, 2, {"failed": 1, "not run": 1, "ran": 2})],
)  # fmt: skip
def test_a_run_ends_with_the_code_of_its_worst_task(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], action: Callable[[], Any], code: int,
    stages: dict[str, int], arguments: Sequence[str],
) -> None:  # fmt: skip
    results: list[Result] = []
    assert run(tmp_path, action, results, *arguments) == code
    ((result,), told) = results, capfd.readouterr().err
    assert result.stages == stages
    assert [u.product for u in result.comparison.unfinished] == (["b"] if code else [])
    assert ("Traceback" in told, "please report it" in told) == (code == 2, code == 2)
    assert ("a.yaml:1: wrong.\n" in told) == (code == 1)


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["one", "two at a time"])
def test_a_missed_rule_is_said_and_is_a_result(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: Sequence[str]
) -> None:
    results: list[Result] = []
    assert run(tmp_path, misses, results, *arguments) == 1
    assert results[0].comparison.unfinished == () and "a.yaml:2: too slow.\n" in capfd.readouterr().err
