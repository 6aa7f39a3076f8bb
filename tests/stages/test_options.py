"""Mistakes in a command's arguments are one sentence; --help is none."""

import pytest

from pipeline.facts.errors import ChipfitError
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
        ended.value.code == 0 and "chipfit explain [PRODUCT] [--json]" in printed and "what the plan chose" in printed
    )
