"""The store: a result comes back as it was saved, or not at all."""

import sys
import threading
from pathlib import Path
from subprocess import run

import pytest

from pipeline.facts.artifact import json_sha256, sha256
from pipeline.facts.errors import ChipfitError
from stages.store import Store, StoreSettings, open_store

KEY = {"stage": "quantize", "code": {"quantize.py": "12"}, "settings": {"quantization.weights": "int8", "n": 0.1}}
DIGEST = json_sha256(KEY)
FILES = {"quantize.json": b"{}\n", "include/touch.h": b"int touch;\n", "weights.bin": bytes(1000), "empty": b""}


def local(folder: Path, size: int = 1 << 24) -> Store:
    return open_store(StoreSettings(folder, size=size))


def saved(folder: Path) -> Store:
    store = local(folder)
    store.save(KEY, "quantize", FILES)
    return store


def test_a_result_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    saved(tmp_path / "store")
    store = local(tmp_path / "store")
    restored = store.restore(DIGEST)
    assert restored is not None
    assert (restored.files, restored.source, restored.key) == (FILES, "local", KEY)
    assert store.has(DIGEST) == "local"
    entry = store.entry(DIGEST)
    assert entry is not None and entry.stage == "quantize" and entry.digest == DIGEST
    assert entry.outputs["weights.bin"].size == 1000


def test_nothing_is_written_before_the_first_result(tmp_path: Path) -> None:
    store = local(tmp_path / "store")
    assert store.restore(DIGEST) is None and store.has(DIGEST) is None and store.entry(DIGEST) is None
    assert not (tmp_path / "store").exists()


def test_without_a_store_nothing_is_stored(tmp_path: Path) -> None:
    store = open_store(StoreSettings(tmp_path / "store", enabled=False))
    store.save(KEY, "quantize", FILES)
    assert store.restore(DIGEST) is None and not (tmp_path / "store").exists()


def test_an_entry_without_one_of_its_blobs_is_a_miss_and_is_saved_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = saved(tmp_path)
    (tmp_path / "cas" / sha256(FILES["weights.bin"])).unlink()
    assert store.has(DIGEST) is None and store.restore(DIGEST) is None
    store.save(KEY, "quantize", FILES)
    assert store.restore(DIGEST) is not None
    assert capsys.readouterr().err == ""


def test_blobs_come_and_go_by_their_digest(tmp_path: Path) -> None:
    store = local(tmp_path)
    name = store.put_blob(b"model")
    assert store.get_blob(name, 5) == b"model"
    assert store.get_blob(name, 4) is None and store.get_blob(sha256(b"other"), 5) is None


def test_builders_of_one_result_take_turns(tmp_path: Path) -> None:
    order: list[str] = []
    first, second = local(tmp_path), local(tmp_path)

    def build() -> None:
        with second.exclusively(DIGEST):
            order.append("restored" if second.restore(DIGEST) else "ran")

    with first.exclusively(DIGEST), second.exclusively("0" * 64):
        other = threading.Thread(target=build)
        other.start()
        other.join(0.2)
        assert other.is_alive()
        first.save(KEY, "quantize", FILES)
    other.join(10)
    assert order == ["restored"]


def test_turns_are_taken_without_a_store_and_on_a_disk_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_store(StoreSettings(tmp_path, enabled=False)).exclusively(DIGEST):
        pass
    (tmp_path / "file").write_text("", "utf-8")
    with local(tmp_path / "file").exclusively(DIGEST):
        pass
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(ZeroDivisionError), local(tmp_path / "store").exclusively(DIGEST):
        _ = 1 / 0
    with local(tmp_path / "store").exclusively(DIGEST):
        pass


def test_a_store_is_opened_without_any_library_of_a_shared_one(tmp_path: Path) -> None:
    code = """if True:
        import sys
        from stages.store.settings import read_settings
        from stages.store import open_store
        open_store(read_settings(url="http://127.0.0.1/x")).put_blob
        heavy = {"fsspec", "aiohttp", "asyncio", "s3fs", "urllib.request", "concurrent.futures"}
        print(sorted(heavy & set(sys.modules)))
    """
    done = run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_missing_library_is_named_with_what_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(ChipfitError) as raised:
        open_store(StoreSettings(tmp_path, "s3://user:secret@bucket"))
    assert str(raised.value) == "s3://bucket: s3fs is not installed. Hint: pip install 'chipfit[s3]'."
