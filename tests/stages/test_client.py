"""What a build says of a cluster that it cannot use."""

import sys
from pathlib import Path

import pytest
from conftest import ROOT, chipfit_here

from pipeline.facts.errors import ChipfitError
from stages.cluster.client import _differs, checked_address, require_meeting_point
from stages.cluster.parcel import Answer
from stages.execution import Key
from stages.store import StoreSettings

KEY = Key("import", {"a.py": "1"}, {"numpy": "2.1 sha256:aa", "onnx": "1.18 sha256:bb"}, {"n": 1}, {}, {})


@pytest.mark.parametrize("text", ["host:8786", "tcp://host", "http://host:1", "tcp://host:99999", "tcp://u:p@h:1", ""])
def test_an_address_is_checked_before_anything_is_done(text: str) -> None:
    with pytest.raises(ChipfitError, match="is no address of a scheduler"):
        checked_address(text)


@pytest.mark.parametrize("text", ["tcp://host:8786", "tls://10.0.0.1:8786", "tcp://[::1]:8786"])
def test_an_address_is_that_of_dask(text: str) -> None:
    assert checked_address(text) == text


def test_without_a_shared_store_nothing_can_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_meeting_point(StoreSettings(tmp_path, "file:///srv"))
    for settings in (StoreSettings(tmp_path), StoreSettings(tmp_path, "file:///srv", enabled=False)):
        with pytest.raises(ChipfitError, match="there is no shared store"):
            require_meeting_point(settings)
    (tmp_path / "net.yaml").write_text("product: net\n", "utf-8")
    done = chipfit_here(tmp_path, "build", "--scheduler", "tcp://127.0.0.1:1")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "there is no shared store" in done.stderr


@pytest.mark.parametrize(
    ("theirs", "sentence"),
    [
        ({"tools": {"numpy": "2.0 sha256:cc", "onnx": "1.18 sha256:bb"}, "code": {}},
         "its numpy is 2.0, here it is 2.1"),
        ({"tools": {"numpy": "2.1 sha256:cc", "onnx": "1.18 sha256:bb"}},
         "its numpy is 2.1 sha256:cc, here it is 2.1 sha256:aa"),
        ({"tools": {"numpy": "2.1 sha256:aa"}}, "its onnx is none, here it is 1.18"),
        ({"code": {"a.py": "2"}}, "its chipfit 9 has another a.py than chipfit"),
        ({"settings": {"n": 2}}, "its n is 2, here it is 1"),
    ],
)  # fmt: skip
def test_the_first_tool_that_differs_is_named(theirs: dict[str, object], sentence: str) -> None:
    error = _differs(Answer("tcp://w:1", "9"), {**KEY.document, **theirs}, KEY)
    assert str(error).startswith(f"worker tcp://w:1: {sentence}") and "Install the same versions" in str(error)


def test_without_dask_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setenv("CHIPFIT_STORE", (tmp_path / "shared").as_uri())
    monkeypatch.setenv("CHIPFIT_STORE_MODE", "read-write")
    monkeypatch.setenv("CHIPFIT_STORE_FOLDER", str(tmp_path / "own"))
    product = ROOT / "configs" / "products" / "touch.yaml"
    done = chipfit_here(tmp_path, "build", str(product), "--scheduler", "tcp://127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr == "tcp://127.0.0.1:1: distributed is not installed. Hint: pip install 'chipfit[cluster]'.\n"
