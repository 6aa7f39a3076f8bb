"""Arguments of `chipfit estimate`."""

import pytest

from pipeline.facts.errors import ChipfitError
from stages.app.estimate import _options


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["m.onnx"], ("m.onnx", None)),
        (["--json", "m.onnx"], ("m.onnx", None)),
        (["--chip", "c", "m.onnx", "--json"], ("m.onnx", "c")),
    ],
)
def test_options_stand_anywhere(arguments: list[str], options: tuple[str, str | None]) -> None:
    assert _options(arguments) == options


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "one model file"),
        (["a", "b"], "one model file"),
        (["--all"], "one model file"),
        (["a", "--chip"], "needs the name"),
    ],
)
def test_anything_else_is_one_sentence(arguments: list[str], why: str) -> None:
    with pytest.raises(ChipfitError, match=why):
        _options(arguments)
