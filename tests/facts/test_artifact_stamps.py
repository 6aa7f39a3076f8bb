"""Result folders and cached programs are trusted only as they were written: changed, cut or added is noticed."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.facts.artifact import STAMP, digests, is_intact, write_folder
from pipeline.facts.errors import ChipfitError
from pipeline.measuring import native
from pipeline.measuring.toolchain import TOOLCHAINS, compile_library, host_library, process
from stages.base import Job

FILES = {"plan.json": b"{}\n", "src/net.c": b"int x;\n", "include/net.h": b"\n"}


def stamp(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    document = json.loads((folder / STAMP).read_text("utf-8"))
    change(document)
    (folder / STAMP).write_text(json.dumps(document), "utf-8")


CHANGES: dict[str, Callable[[Path], object]] = {
    "changed": lambda f: (f / "src/net.c").write_text("int y;\n", "utf-8"),
    "cut": lambda f: (f / "src/net.c").write_bytes(b""),
    "deleted": lambda f: (f / "src/net.c").unlink(),
    "added source": lambda f: (f / "src/zz.c").write_text("int z;\n", "utf-8"),
    "added beside": lambda f: (f / ".hidden").write_bytes(b""),
    "added folder": lambda f: (f / "empty").mkdir(),
    "added link": lambda f: (f / "link").symlink_to(f.parent),
    "renamed": lambda f: (f / "src/net.c").rename(f / "src/other.c"),
    "link in place of a file": lambda f: (
        (f / "src/net.c").rename(f.parent / "n.c"),
        (f / "src/net.c").symlink_to("../../n.c"),
    ),
    "stamp deleted": lambda f: (f / STAMP).unlink(),
    "stamp cut": lambda f: (f / STAMP).write_bytes((f / STAMP).read_bytes()[:60]),
    "stamp emptied": lambda f: stamp(f, lambda d: d.update(files={})),
    "stamp without a file": lambda f: (stamp(f, lambda d: d["files"].pop("src/net.c")), (f / "src/net.c").unlink()),
    "stamp of another digest": lambda f: stamp(f, lambda d: d["files"].update({"plan.json": "0" * 64})),
    "stamp of another type": lambda f: (f / STAMP).write_text("[1]", "utf-8"),
    "stamp that is deep": lambda f: (f / STAMP).write_text("[" * 100_000, "utf-8"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_folder_that_is_not_as_it_was_written_is_not_intact(change: str, tmp_path: Path) -> None:
    folder = tmp_path / "codegen"
    write_folder(folder, FILES, "key")
    assert is_intact(folder, "key") and not is_intact(folder, "other") and set(digests(folder)) == set(FILES)
    CHANGES[change](folder)
    assert not is_intact(folder, "key")
    write_folder(folder, FILES, "key")
    assert is_intact(folder, "key") and sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == ["codegen"]


def test_where_the_new_folder_cannot_take_its_place_the_old_one_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "codegen"
    write_folder(target, FILES, "key")
    rename, refused = Path.replace, []

    def refuse_once(self: Path, to: Path) -> Path:
        if Path(to) == target and not refused:
            refused.append(self)
            raise OSError(5, "Input/output error")
        return rename(self, to)

    monkeypatch.setattr(Path, "replace", refuse_once)
    with pytest.raises(ChipfitError, match=r"cannot write .*codegen: Input/output error"):
        write_folder(target, {"other": b""}, "other")
    assert refused and is_intact(target, "key") and list(tmp_path.iterdir()) == [target]


def test_what_an_earlier_stage_wrote_is_read_only_as_it_wrote_it(tmp_path: Path) -> None:
    from conftest import ROOT

    from pipeline.facts.config import load_project

    job = Job(load_project(ROOT / "configs" / "products" / "touch.yaml"), tmp_path)
    write_folder(job.folder / "codegen", FILES, "key")
    assert job.read("codegen", "src/net.c") == b"int x;\n"
    CHANGES["changed"](job.folder / "codegen")
    with pytest.raises(ChipfitError, match=r"codegen/src/net\.c was changed after it was made"):
        job.read("codegen", "src/net.c")


def test_only_listed_sources_are_compiled(tmp_path: Path) -> None:
    for name, text in {**FILES, "src/zz.c": b"#error not ours\n"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text)
    objects = compile_library(TOOLCHAINS["ziglang"], "cortex-m0", tmp_path, tmp_path, FILES)
    assert [o.name for o in objects] == ["net.c.o"]
    assert host_library(tmp_path, tmp_path / "net.so", listed=FILES).is_file()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of this test alone that holds what passes for the counter; compiling writes b"compiled"."""
    folder = tmp_path / "cache"
    folder.mkdir()

    def compiled(arguments: list[str], *rest: object) -> str:
        Path(arguments[-1]).write_bytes(b"compiled")
        return ""

    monkeypatch.setattr(native, "cache_folder", lambda: folder)
    monkeypatch.setattr(native, "run", compiled)
    monkeypatch.setattr(native.ctypes, "CDLL", lambda path: Path(path).read_bytes())
    return folder


PLANTED: dict[str, Callable[[Path], object]] = {
    "changed": lambda p: p.write_bytes(b"evil"),
    "cut": lambda p: p.write_bytes(b"comp"),
    "without a note": lambda p: p.with_name(f"{p.name}.sha256").unlink(),
    "of another note": lambda p: p.with_name(f"{p.name}.sha256").write_text("abc", "ascii"),
    "writable by others": lambda p: (p.write_bytes(b"evil"), p.chmod(0o777)),
    "a link": lambda p: (p.rename(p.with_name("other")), p.symlink_to("other")),
    "a folder": lambda p: (p.unlink(), p.with_name(f"{p.name}.sha256").unlink()),
}


@pytest.mark.skipif(os.name != "posix", reason="owners and permissions are POSIX's")
@pytest.mark.parametrize("change", PLANTED)
def test_the_counter_in_the_cache_is_compiled_again_when_in_doubt(change: str, cache: Path) -> None:
    load = native.library.__wrapped__
    assert load() == b"compiled"
    counter = next(p for p in cache.iterdir() if p.suffix in (".so", ".dylib"))
    counter.write_bytes(b"kept")
    note = counter.with_name(f"{counter.name}.sha256")
    note.write_text(native._record(counter, note.read_text("ascii").split()[0]), "ascii")
    assert load() == b"kept", "what is trusted is not compiled again"
    PLANTED[change](counter)
    assert load() == b"compiled" and not counter.is_symlink() and counter.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME is Linux's")
def test_a_cache_folder_that_others_may_write_is_closed_or_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "chipfit").mkdir()
    (tmp_path / "chipfit").chmod(0o777)
    assert process.cache_folder.__wrapped__() == tmp_path / "chipfit"
    assert (tmp_path / "chipfit").stat().st_mode & 0o022 == 0
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert tmp_path not in process.cache_folder.__wrapped__().parents
