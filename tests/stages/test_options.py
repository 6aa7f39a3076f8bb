"""Mistakes in a command's arguments are one sentence; --help is none."""

from pathlib import Path

import pytest
from conftest import chipfit_here

from pipeline.facts.errors import ChipfitError
from stages.app.commands import COMMANDS
from stages.app.options import Options


def test_a_mistake_is_one_sentence_with_the_usage() -> None:
    parser = Options("chips")
    with pytest.raises(
        ChipfitError, match=r"^chipfit chips: unrecognized arguments: --no\. Hint: Usage: chipfit chips$"
    ):
        parser.parse_args(["--no"])


def test_help_prints_what_the_table_says(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        Options("explain").parse_args(["--help"])
    printed = capsys.readouterr().out
    assert (
        ended.value.code == 0
        and "chipfit explain [PRODUCT ...] [--json]" in printed
        and "what the plan chose" in printed
    )


@pytest.mark.parametrize("command", [c.name for c in COMMANDS])
def test_every_command_has_help_and_says_what_each_argument_means(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsers: list[Options] = []
    start = Options.__init__
    monkeypatch.setattr(Options, "__init__", lambda self, name: (start(self, name), parsers.append(self))[0])
    done = chipfit_here(tmp_path, command, "--help")
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith(f"usage: chipfit {command}")
    (parser,) = parsers
    assert [a.dest for a in parser._actions if not a.help] == []
    wrong = chipfit_here(tmp_path, command, "--nonsense")
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (1, "", 1)
    assert wrong.stderr.startswith(f"chipfit {command}: ") and not list(tmp_path.iterdir())
