"""Everything that can be wrong with a build that was written right, each noticed and said in one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import chipfit_here, some

from pipeline.facts.artifact import STAMP, recorded_key, to_json, write_folder
from pipeline.facts.errors import ChipfitError
from stages.app.verification import beside_differences, built_products, differences, named_products


@pytest.fixture
def touch(products: Path, tmp_path: Path) -> Path:
    """A copy of a product's build that a test may spoil."""
    return Path(shutil.copytree(products / "build" / "touch", tmp_path / "build" / "touch"))


def change(path: Path, to: Callable[[Any], Any]) -> None:
    path.write_bytes(to_json(to(json.loads(path.read_bytes()))))


def reseal(stage: Path) -> None:
    """Write a stage's stamp anew for whatever its files are now, as somebody would who wants to hide a change."""
    key = recorded_key(stage)
    files = {
        p.relative_to(stage).as_posix(): p.read_bytes() for p in stage.rglob("*") if p.is_file() and p.name != STAMP
    }
    write_folder(stage, files, key)


def test_a_build_as_it_was_written_has_no_differences(products: Path) -> None:
    folders = built_products(products / "build")
    assert [f.name for f in folders] == ["digits", "digits_mlp", "digits_rp2040", "touch"]
    assert {f.name: differences(f) for f in folders} == {f.name: [] for f in folders}


SPOILED: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "a changed file": (
        lambda f: (f / "import" / "weights.bin").write_bytes(b"x"),
        ["import/weights.bin: was changed after it was written"],
    ),
    "a missing file": (
        lambda f: (f / "simulate" / "simulate.json").unlink(),
        ["simulate/simulate.json: is missing"],
    ),
    "a file more": (
        lambda f: (f / "feasibility" / "more.txt").write_text("x"),
        ["feasibility/more.txt: was not written by the build"],
    ),
    "a folder more": (lambda f: (f / "more").mkdir(), ["more: was not written by the build"]),
    "a file behind a link": (
        lambda f: (
            (f / "import" / "weights.bin").rename(f.parent / "elsewhere"),
            (f / "import" / "weights.bin").symlink_to(f.parent / "elsewhere"),
        ),
        ["import/weights.bin: is a link now"],
    ),
    "a stage behind a link": (
        lambda f: ((f / "import").rename(f.parent / "elsewhere"), (f / "import").symlink_to(f.parent / "elsewhere")),
        ["import: is a link now"],
    ),
    "a stranger among signatures": (
        lambda f: ((f / "attestations").mkdir(), (f / "attestations" / "more.txt").write_text("x")),
        ["attestations/more.txt: was not written by the build"],
    ),
    "signatures behind a link": (
        lambda f: ((f.parent / "elsewhere").mkdir(), (f / "attestations").symlink_to(f.parent / "elsewhere")),
        ["attestations: was not written by the build"],
    ),
    "a stamp with another digest": (
        lambda f: change(f / "import" / STAMP, lambda s: s | {"files": s["files"] | {"weights.bin": "0" * 64}}),
        [f"import/{STAMP}: was changed after it was written, or is missing"],
    ),
    "a stamp with a space more": (
        lambda f: (f / "import" / STAMP).write_bytes((f / "import" / STAMP).read_bytes() + b" "),
        [f"import/{STAMP}: was changed after it was written, or is missing"],
    ),
    "no stamp": (
        lambda f: (f / "simulate" / STAMP).unlink(),
        [f"simulate/{STAMP}: was changed after it was written, or is missing"],
    ),
    "another provenance": (
        lambda f: change(f / "report" / "provenance.json", lambda d: d | {"predicateType": "other"}),
        [
            "report/provenance.json: was changed after it was written",
            "report/provenance.json: is no provenance of SLSA",
        ],
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_what_was_spoiled_is_noticed(touch: Path, name: str) -> None:
    spoil, wanted = SPOILED[name]
    spoil(touch)
    found = differences(touch)
    assert [line for line in wanted if line not in found] == []
    assert all(line.split("/")[0] in wanted[0] or line.startswith("report/") for line in some(found)), found


def test_a_file_that_was_changed_and_sealed_again_is_not_that_of_the_documents(touch: Path) -> None:
    source = touch / "codegen" / "src" / "touch.c"
    source.write_bytes(source.read_bytes() + b"\n")
    reseal(touch / "codegen")
    assert differences(touch) == [
        f"size-check/{STAMP}: the results were made from another codegen/src/touch.c",
        f"simulate/{STAMP}: the results were made from another codegen/src/touch.c",
        f"report/{STAMP}: the results were made from another codegen/src/touch.c",
        "report/manifest.json: is of another codegen/src/touch.c",
        "report/provenance.json: is of another codegen/src/touch.c",
        "report/test-result.json: is of another codegen/src/touch.c",
        "report/mlbom.cdx.json: is of another codegen/src/touch.c",
    ]


def other_model(document: Any) -> Any:
    """A statement of provenance with another model."""
    next(d for d in document["predicate"]["buildDefinition"]["resolvedDependencies"] if d["name"] == "model")[
        "digest"
    ] = {"sha256": "0" * 64}
    return document


LIES: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "a file left out": (
        "provenance.json", lambda d: d | {"subject": d["subject"][1:]}, "says nothing of codegen/CMakeLists.txt",
    ),
    "another input": (
        "provenance.json",
        other_model,
        "does not agree with manifest.json about the input model",
    ),
    "a verdict that was not": (
        "test-result.json",
        lambda d: d | {"predicate": d["predicate"] | {"result": "FAILED"}},
        "is not the verdict of verdict.json",
    ),
    "another chip": (
        "provenance.json",
        lambda d: json.loads(json.dumps(d).replace('"clock": 48000000', '"clock": 64000000')),
        "does not agree with manifest.json about the input chip",
    ),
    "a licence in the bill": (
        "mlbom.cdx.json", lambda d: json.loads(json.dumps(d).replace('"MIT"', '"ISC"')),
        "has the serial number of another bill",
    ),
    "no statement": ("provenance.json", lambda d: [d], "has not the form that a build writes"),
    "no bill": ("mlbom.cdx.json", lambda d: {"serialNumber": 7}, "has not the form that a build writes"),
    "no manifest": ("manifest.json", lambda d: 7, "is no manifest"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_a_document_that_was_sealed_again_is_held_against_the_others(touch: Path, name: str) -> None:
    file, lie, wanted = LIES[name]
    change(touch / "report" / file, lie)
    reseal(touch / "report")
    assert f"report/{file}: {wanted}" in differences(touch)


def test_a_build_without_a_report_says_nothing_of_itself(touch: Path) -> None:
    shutil.rmtree(touch / "report")
    assert differences(touch) == ["report: is missing, so that nothing says what the build made"]


def test_the_command_says_each_difference_in_one_line_and_fails(touch: Path) -> None:
    done = chipfit_here(touch.parents[1], "verify")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("touch: every file is as it was written")
    (touch / "quantize" / "\u202eevil\x1b[2J").write_text("x", "utf-8")
    done = chipfit_here(touch.parents[1], "verify", "build", "touch")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("build/touch/quantize/\\u202eevil\\x1b") and line.isprintable()
    done = chipfit_here(touch.parents[1], "verify", "build", "--json")
    assert done.returncode == 1 and len(json.loads(done.stdout)["products"]["touch"]["differences"]) == 1


BESIDE: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "nothing": (lambda b: (b / "graph.svg").write_text("<svg/>"), []),
    "a product whose import failed": (lambda b: ((b / "new").mkdir(), (b / "new" / ".lock").touch()), []),
    "a product behind a link": (
        lambda b: ((b / "touch").rename(b.parent / "elsewhere"), (b / "touch").symlink_to(b.parent / "elsewhere")),
        ["touch: is a link, and what lies behind it is not in the build folder"],
    ),
    "a line more": (
        lambda b: (b / "junit.xml").write_bytes((b / "junit.xml").read_bytes() + b"\n"),
        ["junit.xml: was changed after it was written"],
    ),
    "a page less": (lambda b: (b / "index.html").unlink(), ["index.html: is missing"]),
    "a link": (
        lambda b: (
            (b / "summary.md").rename(b.parent / "elsewhere"),
            (b / "summary.md").symlink_to(b.parent / "elsewhere"),
        ),
        ["summary.md: is a link now"],
    ),
    "a picture behind a link": (
        lambda b: (b / "graph.svg").symlink_to(b / "junit.xml"), ["graph.svg: was not written by the build"],
    ),
    "strangers": (
        lambda b: ((b / "stranger.txt").write_text("x"), (b / "other" / "folder").mkdir(parents=True)),
        ["other: was not written by the build", "stranger.txt: was not written by the build"],
    ),
    "another stamp": (
        lambda b: change(b / ".index.stamp.json", lambda s: s | {"files": {}}),
        [".index.stamp.json: was changed after it was written, or is missing"],
    ),
    "no stamp": (
        lambda b: (b / ".index.stamp.json").unlink(),
        [".index.stamp.json: was changed after it was written, or is missing"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BESIDE)
def test_what_was_spoiled_beside_the_products_is_noticed(products: Path, tmp_path: Path, name: str) -> None:
    build = tmp_path / "build"
    build.mkdir()
    shutil.copytree(products / "build" / "touch", build / "touch")
    for path in (products / "build").iterdir():
        if path.is_file():
            shutil.copy(path, build)
    spoil, wanted = BESIDE[name]
    assert beside_differences(build) == []
    spoil(build)
    done = chipfit_here(tmp_path, "verify")
    assert (done.returncode, done.stderr.splitlines()) == (
        int(bool(wanted)), [f"build/{line}." for line in wanted],
    )  # fmt: skip


def test_what_was_not_built_is_one_sentence(touch: Path) -> None:
    with pytest.raises(ChipfitError, match="'other' was not built here"):
        named_products(built_products(touch.parent), ["other"])
    with pytest.raises(ChipfitError, match="no product was built here"):
        built_products(touch / "import")
    assert built_products(touch) == [touch]
