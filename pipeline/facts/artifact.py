"""Folders of results on disk: written whole or not at all, and trusted only while every byte is what was written."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Set
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.facts.errors import ChipfitError
from pipeline.facts.files import is_file
from pipeline.facts.text import visible

STAMP = ".stamp.json"
MISSING = "missing"
"""In place of the digest of a file that is not there."""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: Path) -> str:
    """The digest of a file's bytes, "missing" when it cannot be read, or is a device or a pipe."""
    if not is_file(path):
        return MISSING
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return MISSING


def to_json(value: object) -> bytes:
    """`value` as JSON for people and for diffs: keys in their order of insertion, indented, one final newline."""
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()


def json_sha256(value: object) -> str:
    """sha256 of `value` as JSON without indents: for that Python has a fast encoder."""
    return sha256(json.dumps(value, allow_nan=False).encode())


def write_folder(target: Path, files: Mapping[str, bytes], key: Any) -> None:
    """Replace `target` by exactly `files` and a stamp of `key`, which is plain JSON, and their digests.

    Everything is written beside it first; a kill at any moment leaves the old folder, the new one, or none.
    Raises ChipfitError when the disk is full or read-only; the old folder is then still there.
    """
    recorded = {name: sha256(data) for name, data in sorted(files.items())}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            for name, data in (*files.items(), (STAMP, stamp_bytes(key, recorded))):
                (fresh / name).parent.mkdir(parents=True, exist_ok=True)
                (fresh / name).write_bytes(data)
            fresh.chmod(0o755)
            if os.path.lexists(target):
                old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
                target.replace(old / "old")
                try:
                    fresh.replace(target)
                except OSError:
                    (old / "old").replace(target)
                    raise
                finally:
                    if os.path.lexists(target):  # else what was there is only in `old`
                        shutil.rmtree(old, ignore_errors=True)
            else:
                fresh.replace(target)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        raise ChipfitError(
            f"cannot write {target}: {error.strerror or error}",
            hint="Check that the build folder is writable and the disk is not full.",
        ) from error


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary folders that killed builds left in a product's build folder."""
    for leftover in folder.glob(".*.*"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)


def is_intact(target: Path, key: Any) -> bool:
    """Whether `target` was written for `key` and no file of it, nor its stamp, was changed, cut, added or deleted.

    A link or a folder that nobody wrote counts as added, and a link to a folder is none that was written.
    """
    stamp = _read_stamp(target)
    if stamp is None or stamp[0] != key or target.is_symlink():
        return False
    recorded = stamp[1]
    if _files_below(target) != {STAMP, *recorded}:
        return False
    files = {name: target / name for name in recorded}
    return all(not p.is_symlink() and file_sha256(p) == recorded[n] for n, p in files.items())


def alterations(target: Path) -> list[str]:
    """What is not as `write_folder` wrote it, as `name: clause`; empty when every byte is.

    The seal in a stamp shows that it was changed by mistake; it is no signature, for anybody can compute it.
    """
    return stamped_alterations(target, STAMP, _files_below(target))


def stamped_alterations(target: Path, name: str, found: Set[str]) -> list[str]:
    """What of the files `found` in a folder is not as the stamp called `name` says, as `alterations` does."""
    stamp = read_stamp(target / name)
    if stamp is None or (target / name).is_symlink() or (target / name).read_bytes() != stamp_bytes(*stamp):
        return [f"{name}: was changed after it was written, or is missing"]
    recorded = stamp[1]
    changed = [f"{visible(n)}: was not written by the build" for n in sorted(found - {name, *recorded})]
    for name, digest in recorded.items():
        path = target / name
        if name not in found:
            changed.append(f"{visible(name)}: is missing")
        elif path.is_symlink():
            changed.append(f"{visible(name)}: is a link now")
        elif file_sha256(path) != digest:
            changed.append(f"{visible(name)}: was changed after it was written")
    return changed


def digests(target: Path) -> dict[str, str]:
    """File name -> sha256, as the stamp recorded them; empty when there is none, or it was changed."""
    stamp = _read_stamp(target)
    return {} if stamp is None else dict(stamp[1])


def recorded_key(target: Path) -> Any:
    """The key for which a folder was written; None when there is none, or its stamp was changed."""
    stamp = _read_stamp(target)
    return None if stamp is None else stamp[0]


def _read_stamp(target: Path) -> tuple[Any, dict[str, str]] | None:
    return read_stamp(target / STAMP)


def read_stamp(path: Path) -> tuple[Any, dict[str, str]] | None:
    """Key, and digests by file name, of a folder's stamp; None where it is missing or was changed."""
    try:
        return _parsed(path.read_bytes())
    except OSError:
        return None


@lru_cache(128)
def _parsed(stamp: bytes) -> tuple[Any, dict[str, str]] | None:
    """What the bytes of a stamp say: those of one stage are asked for by each stage after it."""
    try:
        found = json.loads(stamp)
        key, recorded = found["key"], found["files"]
        return (key, recorded) if found["seal"] == json_sha256([key, dict(recorded)]) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def stamp_bytes(key: Any, recorded: Mapping[str, str]) -> bytes:
    """A stamp: the key for which files were written, their digests by name, and a seal over both."""
    return to_json({"key": key, "files": dict(recorded), "seal": json_sha256([key, dict(recorded)])})


def _files_below(target: Path) -> set[str]:
    """Relative paths of every file, every link to a folder, and every empty folder below `target`."""
    found: set[str] = set()
    for folder, folders, files in os.walk(target):
        here = Path(folder).relative_to(target)
        links = [n for n in folders if (target / here / n).is_symlink()]
        found |= {(here / n).as_posix() for n in (*files, *links)}
        if not files and not folders:
            found.add(here.as_posix())
    return found
