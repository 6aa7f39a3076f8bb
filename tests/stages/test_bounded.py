"""A store's size is bounded: what was used least recently goes first, and nothing is searched for each save."""

import os
from pathlib import Path

import pytest

from pipeline.facts.artifact import json_sha256
from stages.store import Store, StoreSettings, open_store
from stages.store.bounded import BoundedFolder

LIMIT = 1 << 20


def key(number: int) -> dict[str, int]:
    return {"number": number}


def digest(number: int) -> str:
    return json_sha256(key(number))


def save(store: Store, number: int, size: int = 100_000) -> None:
    store.save(key(number), "quantize", {"x.bin": number.to_bytes(4, "big") * (size // 4)})


def age(folder: Path, seconds: float) -> None:
    """Everything in the store was used this long before."""
    for path in (*folder.glob("ac/*"), *folder.glob("cas/*")):
        at = path.stat().st_mtime - seconds
        os.utime(path, (at, at))


def test_what_was_used_least_recently_is_evicted_first(tmp_path: Path) -> None:
    store = open_store(StoreSettings(tmp_path, size=LIMIT))
    for number in range(9):
        save(store, number)
        age(tmp_path, 10)
    assert store.restore(digest(0)) is not None
    for number in range(9, 12):
        age(tmp_path, 10)
        save(store, number)
    left = [n for n in range(12) if store.has(digest(n))]
    assert left == [0, *range(12 - len(left) + 1, 12)] and len(left) >= 8
    assert BoundedFolder(tmp_path, LIMIT).total() <= LIMIT


def test_a_saved_result_is_never_evicted_to_make_room_for_itself(tmp_path: Path) -> None:
    store = open_store(StoreSettings(tmp_path, size=LIMIT))
    for number in range(30):
        save(store, number)
        assert store.has(digest(number)) == "local"
    assert BoundedFolder(tmp_path, LIMIT).total() <= LIMIT


def test_a_result_larger_than_the_store_is_not_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(StoreSettings(tmp_path, size=LIMIT))
    save(store, 1)
    save(store, 2, LIMIT + 4)
    assert store.has(digest(1)) and not store.has(digest(2))
    assert "is not stored: it has 1048580 bytes" in capsys.readouterr().err


def test_the_store_is_looked_through_only_when_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searches: list[int] = []
    whole = BoundedFolder._files
    monkeypatch.setattr(BoundedFolder, "_files", lambda self: searches.append(1) or whole(self))
    store = open_store(StoreSettings(tmp_path, size=100 * LIMIT))
    for number in range(50):
        save(store, number, 100)
    assert len(searches) == 1  # the first of a new store, which has no counter yet


@pytest.mark.parametrize("damage", [b"", b"x", b"-5", b"9" * 100])
def test_a_damaged_counter_costs_one_search(tmp_path: Path, damage: bytes) -> None:
    store = open_store(StoreSettings(tmp_path, size=LIMIT))
    save(store, 1)
    (tmp_path / "bytes").write_bytes(damage)
    for number in range(2, 30):
        save(store, number)
    assert BoundedFolder(tmp_path, LIMIT).total() <= LIMIT
    assert int((tmp_path / "bytes").read_bytes()) <= LIMIT


def test_shrinking_tells_what_was_and_what_is_left(tmp_path: Path) -> None:
    store = open_store(StoreSettings(tmp_path, size=LIMIT))
    for number in range(5):
        save(store, number)
        age(tmp_path, 10)
    before, after = BoundedFolder(tmp_path, LIMIT).shrink(250_000)
    assert before > 500_000 and after <= 250_000
    assert [n for n in range(5) if store.has(digest(n))] == [3, 4]


def test_the_folder_is_the_owners_and_says_that_it_is_a_cache(tmp_path: Path) -> None:
    save(open_store(StoreSettings(tmp_path / "store", size=LIMIT)), 1)
    assert (
        (tmp_path / "store" / "CACHEDIR.TAG")
        .read_text("ascii")
        .startswith("Signature: 8a477f597d28d172789f06886806bc55")
    )
    if os.name == "posix":
        assert (tmp_path / "store").stat().st_mode & 0o077 == 0


def test_each_builder_looks_once_for_what_killed_ones_left(tmp_path: Path) -> None:
    def left_over() -> Path:
        path = tmp_path / "tmp" / "1-killed"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
        os.utime(path, (0, 0))
        return path

    path, folder = left_over(), BoundedFolder(tmp_path, LIMIT)
    folder.prepare()
    assert not path.exists()
    left_over()
    folder.prepare()
    assert path.exists()
    BoundedFolder(tmp_path, LIMIT).prepare()
    assert not path.exists()


def test_the_counter_of_a_killed_builder_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(open_store(StoreSettings(tmp_path, size=LIMIT)), 1)
    before = {p.name for p in tmp_path.iterdir()}

    def killed(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "replace", killed)
        BoundedFolder(tmp_path, LIMIT).shrink(LIMIT)
    (left,) = (tmp_path / "tmp").glob("bytes-*")
    assert {p.name for p in tmp_path.iterdir()} == before
    os.utime(left, (0, 0))
    BoundedFolder(tmp_path, LIMIT).prepare()
    assert not left.exists()


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
@pytest.mark.parametrize(
    ("path", "mode", "why"),
    [
        (".", 0o777, "others may write to it (mode 777), which chmod 700 would forbid"),
        (".", 0o1777, "others may write to it (mode 1777), which chmod 700 would forbid"),
        (".", 0o770, "others may write to it (mode 770), which chmod 700 would forbid"),
        ("ac", 0o777, "others may write to its folder ac (mode 777), which chmod 700 would forbid"),
    ],
)
def test_a_folder_to_which_others_may_write_is_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], path: str, mode: int, why: str
) -> None:
    root = tmp_path / "store"
    save(open_store(StoreSettings(root)), 1)
    root.chmod(0o755)
    (root / path).chmod(mode)
    store = open_store(StoreSettings(root))
    before = sorted(p.name for p in root.rglob("*"))
    with store.exclusively(digest(1)):
        assert store.restore(digest(1)) is None and store.has(digest(1)) is None
        save(store, 2)
    assert sorted(p.name for p in root.rglob("*")) == before
    assert capsys.readouterr().err == f"store: {root}: {why}: the build goes on without it\n"
    assert (root / path).stat().st_mode & 0o7777 == mode
    (root / path).chmod(0o700)
    assert open_store(StoreSettings(root)).restore(digest(1)) is not None


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_a_folder_of_another_user_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save(open_store(StoreSettings(tmp_path)), 1)
    tmp_path.chmod(0o755)
    if tmp_path.stat().st_uid == 0:
        os.chown(tmp_path, 4712, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert open_store(StoreSettings(tmp_path)).restore(digest(1)) is None
    assert capsys.readouterr().err == f"store: {tmp_path}: it belongs to another user: the build goes on without it\n"


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_whatever_the_umask_nobody_else_can_write_to_a_store_that_is_made(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        save(open_store(StoreSettings(tmp_path / "store")), 1)
    finally:
        os.umask(umask)
    (tmp_path / "store").chmod(0o755)  # as an archive of it may be unpacked
    assert open_store(StoreSettings(tmp_path / "store")).restore(digest(1)) is not None
