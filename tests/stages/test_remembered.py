"""Records in the cache folder: trusted only as they were written."""

import os
from pathlib import Path

import pytest

from stages.keys.remembered import identity, recall, remember


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import platformdirs

    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    return tmp_path / "chipfit" / "keys"


def test_what_was_written_is_read(cache: Path) -> None:
    assert recall("a") is None
    remember("a", {"x": [1, "ü"]})
    assert recall("a") == {"x": [1, "ü"]}
    remember("a", 2)
    assert recall("a") == 2
    assert [p.name for p in cache.iterdir()] == ["a.json"]


def test_what_was_changed_is_not_read(cache: Path) -> None:
    remember("a", {"x": 1})
    written = (cache / "a.json").read_bytes()
    for other in (b"", b"\n", written[:-1], written.replace(b"1}", b"2}"), b"\xff" * 80, b"[" * 100_000):
        (cache / "a.json").write_bytes(other)
        assert recall("a") is None, other[:80]


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_link_a_pipe_and_what_others_can_write_are_not_read(cache: Path) -> None:
    remember("a", 1)
    path = cache / "a.json"
    path.chmod(0o666)
    assert recall("a") is None
    path.chmod(0o600)
    assert recall("a") == 1
    (cache / "link.json").symlink_to(path)
    assert recall("link") is None
    os.mkfifo(cache / "pipe.json")
    assert recall("pipe") is None


def test_a_folder_that_cannot_be_written_costs_only_time(cache: Path) -> None:
    cache.parent.parent.mkdir(exist_ok=True)
    cache.parent.write_text("a file")
    remember("a", 1)
    assert recall("a") is None


def test_a_files_identity_changes_with_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert identity(path) is None
    path.write_text("a")
    before, times = identity(path), path.stat()
    assert identity(path) == before
    path.write_text("b")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # an installer that sets the times
    assert identity(path) != before or os.name != "posix"
