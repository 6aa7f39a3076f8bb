"""Folders of results on disk: written whole or not at all, and trusted only while every byte is what was written."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ChipfitError
from pipeline.files import is_file

STAMP = ".stamp.json"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: Path) -> str:
    """The digest of a file's bytes, "missing" when it cannot be read, or is a device or a pipe."""
    if not is_file(path):
        return "missing"
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "missing"


def to_json(value: Any) -> bytes:
    """JSON for people and for diffs: sorted by insertion, indented, one final newline."""
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()


def write_folder(target: Path, files: Mapping[str, bytes], key: str) -> None:
    """Replace `target` by exactly `files` and a stamp of `key` and their digests.

    Everything is written beside it first; a kill at any moment leaves the old folder, the new one, or none.
    Raises ChipfitError when the disk is full or read-only.
    """
    stamp = {"key": key, "files": {name: sha256(data) for name, data in sorted(files.items())}}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            for name, data in (*files.items(), (STAMP, to_json(stamp))):
                (fresh / name).parent.mkdir(parents=True, exist_ok=True)
                (fresh / name).write_bytes(data)
            fresh.chmod(0o755)
            if target.exists():
                old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
                target.replace(old / "old")
                fresh.replace(target)
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


def sweep(folder: Path) -> None:
    """Remove what killed builds left behind in a product's build folder."""
    for leftover in folder.glob(".*.*"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)


def intact(target: Path, key: str) -> bool:
    """Whether `target` was written for `key` and no file of it was changed, truncated, added or deleted since."""
    try:
        stamp = json.loads((target / STAMP).read_bytes())
        recorded = stamp["files"]
        if stamp["key"] != key:
            return False
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return all(file_sha256(target / name) == digest for name, digest in recorded.items())


def digests(target: Path) -> dict[str, str]:
    """File name -> sha256, as the stamp recorded them; empty when there is none."""
    try:
        recorded: dict[str, str] = json.loads((target / STAMP).read_bytes())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return recorded
