"""`chipfit cache`: numbers, damage and room of the user's store, each said as it is."""

import json
from pathlib import Path

import pytest
from conftest import chipfit_here

from pipeline.facts.artifact import json_sha256, sha256
from stages.store import StoreSettings, open_store
from stages.store.entry import FORMAT
from stages.store.settings import DEFAULT_SIZE


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of three results, two of one stage with one file in common."""
    monkeypatch.setenv("CHIPFIT_STORE", "https://user:secret@host.example/x")
    monkeypatch.setenv("CHIPFIT_STORE_FOLDER", str(tmp_path / "store"))
    store = open_store(StoreSettings(tmp_path / "store"))
    store.save({"n": 1}, "quantize", {"a.json": b"a" * 1000, "same": b"same", "empty": b""})
    store.save({"n": 2}, "quantize", {"a.json": b"b" * 2000, "same": b"same"})
    store.save({"n": 3}, "report", {"index.html": b"c" * 500_000})
    return tmp_path / "store"


def blob(data: bytes) -> str:
    return f"cas/{sha256(data)}"


def test_where_is_the_folder_alone(folder: Path, tmp_path: Path) -> None:
    assert chipfit_here(tmp_path, "cache", "where").stdout == f"{folder}\n"


def test_stats_count_results_by_stage(folder: Path, tmp_path: Path) -> None:
    (folder / blob(b"b" * 2000)).unlink()
    done = chipfit_here(tmp_path, "cache", "stats", "--json")
    found = json.loads(done.stdout)
    assert found.pop("bytes") > 501_000
    assert found == {
        "folder": str(folder),
        "limit": DEFAULT_SIZE,
        "results": 3,
        "incomplete": 1,
        "files": 3,
        "unused": 0,
        "others": 0,
        "stages": [
            {"stage": "quantize", "results": 2, "bytes": 3008},
            {"stage": "report", "results": 1, "bytes": 500_000},
        ],
        "enabled": True,
        "shared": {"url": "https://host.example/x", "mode": "read-only"},
    }
    lines = chipfit_here(tmp_path, "cache", "stats").stdout.splitlines()
    assert lines[1:] == [
        "shared: https://host.example/x (read-only)",
        "3 results, 1 of them incomplete; 3 files",
        " quantize           2 results      2.9 KiB",
        " report             1 results    488.3 KiB",
    ]


def test_a_store_that_is_not_there_yet_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHIPFIT_STORE_FOLDER", str(tmp_path / "none"))
    for action in ("stats", "verify", "prune", "where"):
        assert chipfit_here(tmp_path, "cache", action).returncode == 0
    assert not (tmp_path / "none").exists()


def test_verify_reads_everything_and_removes_what_is_damaged(folder: Path, tmp_path: Path) -> None:
    done = chipfit_here(tmp_path, "cache", "verify")
    assert (done.returncode, done.stdout) == (0, f"{folder}: 3 results and 4 files read, 0 of them damaged\n")
    bad = folder / blob(b"same")
    bad.unlink()
    bad.write_bytes(b"sane")
    (folder / blob(b"a" * 1000)).unlink()
    (folder / blob(b"a" * 1000)).symlink_to("/etc/passwd")
    (folder / "ac" / ("0" * 64)).write_bytes(b"{}")
    done = chipfit_here(tmp_path, "cache", "verify", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 1 and len(found["damaged"]) == 3 and found["results"] == 3, found
    assert "ac/000000000000 is no record of a stage result" in found["damaged"]
    assert chipfit_here(tmp_path, "cache", "verify").returncode == 0
    assert not bad.exists() and Path("/etc/passwd").is_file()


def test_results_of_another_version_are_left_alone_and_counted_apart(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = json_sha256({"n": 2})
    record = folder / "ac" / digest
    other = record.read_bytes().replace(FORMAT.encode(), b"chipfit-store-1")
    record.unlink()
    record.write_bytes(other)
    done = chipfit_here(tmp_path, "cache", "verify")
    read = f"{folder}: 2 results (and 1 of other versions of chipfit) and 4 files read, 0 of them damaged\n"
    assert (done.returncode, done.stdout) == (0, read) and record.read_bytes() == other
    found = json.loads(chipfit_here(tmp_path, "cache", "verify", "--json").stdout)
    assert (found["results"], found["others"], found["damaged"]) == (2, 1, [])
    line = chipfit_here(tmp_path, "cache", "stats").stdout.splitlines()[2]
    assert line == "2 results (and 1 of other versions of chipfit); 4 files"
    store = open_store(StoreSettings(folder))
    assert store.has(digest) is None and store.restore(digest) is None and record.read_bytes() == other
    store.save({"n": 2}, "quantize", {"a.json": b"new"})
    restored = store.restore(digest)
    assert restored is not None and restored.files == {"a.json": b"new"} and not capsys.readouterr().err


def test_prune_makes_room(folder: Path, tmp_path: Path) -> None:
    done = chipfit_here(tmp_path, "cache", "prune", "--size", "10 KiB")
    assert done.returncode == 0 and "before" in done.stdout
    assert sum(p.stat().st_size for k in ("ac", "cas") for p in (folder / k).iterdir()) <= 10 << 10
    chipfit_here(tmp_path, "cache", "prune", "--size", "0 B")
    assert not any((folder / "ac").iterdir()) and not any((folder / "cas").iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "the following arguments are required: action"),
        (("clear",), "invalid choice: 'clear'"),
        (("stats", "--size", "1 MiB"), "--size belongs to prune"),
        (("where", "--json"), "--json belongs to stats and verify"),
        (("prune", "--size", "5"), "--size: '5' is not a number with a unit, expected for example 2 GiB"),
    ],
)
def test_a_wrong_argument_is_one_sentence(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    done = chipfit_here(tmp_path, "cache", *arguments)
    assert done.returncode == 1 and message in done.stderr and done.stderr.count("\n") == 1


def test_a_folder_that_is_none_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / ".lock").mkdir()
    monkeypatch.setenv("CHIPFIT_STORE_FOLDER", str(tmp_path / "store"))
    done = chipfit_here(tmp_path, "cache", "prune")
    assert done.returncode == 1 and done.stderr == f"{tmp_path / 'store'}: cannot be used: Is a directory.\n"
