"""Arguments of `chipfit estimate`."""

from pathlib import Path

import pytest
from conftest import ROOT, chipfit_here

MODEL = str(ROOT / "configs" / "models" / "digits_mlp.onnx")


def test_options_stand_anywhere(tmp_path: Path) -> None:
    first = chipfit_here(tmp_path, "estimate", "--chip", "truetouch-m0", MODEL, "--json")
    assert first.returncode == 0
    assert first.stdout == chipfit_here(tmp_path, "estimate", "--json", MODEL, "--chip", "truetouch-m0").stdout


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "required: MODEL"),
        (["a", "b"], "unrecognized arguments: b"),
        (["--all"], "required: MODEL"),
        (["a", "--chip"], "--chip: expected one argument"),
    ],
)
def test_anything_else_is_one_sentence(arguments: list[str], why: str, tmp_path: Path) -> None:
    done = chipfit_here(tmp_path, "estimate", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1) and why in done.stderr
