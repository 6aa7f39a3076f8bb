"""Files beside the products: what they show of a build folder, and that they are whole, current and the same again."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from test_terminal import VERDICT

from pipeline.facts.artifact import write_folder
from pipeline.facts.errors import ChipfitError
from pipeline.facts.records import json_bytes
from stages.app import publish as module
from stages.app.publish import Finished, comparison_of, finished, publish, read_verdict


def built(build: Path, *products: str, passed: bool = True) -> None:
    for name in products:
        verdict = json_bytes(replace(VERDICT, product=name, passed=passed))
        write_folder(build / name / "report", {"verdict.json": verdict}, "key")


def run(build: Path, products: Sequence[str], **failures: str) -> Finished:
    asked = [p for p in products if p not in failures]
    return finished(build, products, asked, {f"codegen:{p}": (e,) for p, e in failures.items()})


def names(build: Path) -> tuple[list[str], list[str], list[str]]:
    index = json.loads((build / "index.json").read_bytes())
    return [p["product"] for p in index["products"]], index["unfinished"], index["left_out"]


def test_all_products_of_the_repository_are_shown_whichever_were_built_now(tmp_path: Path) -> None:
    built(tmp_path, "b", "a", "gone")
    publish(finished(tmp_path, ["b", "a", "never"], ["a"], {}))
    assert names(tmp_path) == (["a", "b"], [], ["gone"])
    assert "<code>gone</code>" in (tmp_path / "index.html").read_text("utf-8")


def test_a_product_that_failed_is_not_shown_as_it_was_before_until_it_is_built(tmp_path: Path) -> None:
    built(tmp_path, "a", "b")
    publish(run(tmp_path, ["a", "b"], b="b.yaml:1: wrong."))
    assert names(tmp_path) == (["a"], ["b"], [])
    publish(finished(tmp_path, ["a", "b"], ["a"], {}))
    assert names(tmp_path) == (["a"], ["b"], [])
    publish(run(tmp_path, ["a", "b"]))
    assert names(tmp_path) == (["a", "b"], [], [])


def test_a_report_that_cannot_be_made_leaves_no_verdict_whatever_lies_there(tmp_path: Path) -> None:
    built(tmp_path, "missed", passed=False)
    built(tmp_path, "fitted")
    failures = {f"report:{p}": ("line",) for p in ("missed", "fitted", "absent")}
    publish(finished(tmp_path, ["missed", "fitted", "absent"], ["missed"], failures))
    assert names(tmp_path) == ([], ["absent", "fitted", "missed"], [])
    assert finished(tmp_path, ["missed"], [], {"bench": ("line",)}).errors == {}


def test_a_verdict_that_was_changed_or_cut_or_is_of_another_product_is_none(tmp_path: Path) -> None:
    built(tmp_path, "a", "b", "c")
    assert read_verdict(tmp_path, "a") == replace(VERDICT, product="a") and read_verdict(tmp_path, "d") is None
    file = tmp_path / "a" / "report" / "verdict.json"
    file.write_bytes(file.read_bytes().replace(b"12345", b"1"))
    (tmp_path / "b" / "report" / "verdict.json").write_bytes(b"{")
    (tmp_path / "c").rename(tmp_path / "e")
    assert comparison_of(Finished(tmp_path, ("a", "b", "e"))).verdicts == ()


def test_nothing_is_written_twice_and_what_was_changed_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built(tmp_path, "a")
    publish(run(tmp_path, ["a"]))
    files = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    with monkeypatch.context() as patch:
        patch.setattr(module, "_renderers", lambda: pytest.fail("there was nothing to do"))
        publish(run(tmp_path, ["a"]))
    (tmp_path / "index.html").write_bytes(b"mine")
    (tmp_path / ".index.new").write_bytes(b"left over")
    publish(run(tmp_path, ["a"]))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == files
    assert str(tmp_path) not in b"".join(files.values()).decode()


def test_without_anything_to_show_nothing_is_written(tmp_path: Path) -> None:
    publish(run(tmp_path / "build", ["a"]))
    assert not (tmp_path / "build").exists()


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    built(tmp_path, "a")
    (tmp_path / "index.html").mkdir()
    with pytest.raises(ChipfitError, match="cannot write the comparison page"):
        publish(run(tmp_path, ["a"]))


def test_an_index_of_another_form_is_made_anew(tmp_path: Path) -> None:
    built(tmp_path, "a")
    for data in (b"[", b"[]", b'{"unfinished": 3}', b'{"unfinished": [1]}', b"[" * 5000):
        (tmp_path / "index.json").write_bytes(data)
        publish(run(tmp_path, ["a"]))
        assert names(tmp_path) == (["a"], [], [])
