"""Digests of what chipfit did not write and a result depends on: packages, compilers, Python."""

import csv
import hashlib
import importlib.metadata
import importlib.util
import platform
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from stages.keys.distributions import DISTRIBUTIONS, NO_EFFECT, distribution_of
from stages.keys.remembered import identity, recall, remember

MISSING = "missing"
_OWN = "chipfit"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def tools_of(names: Iterable[str]) -> dict[str, str]:
    """Distribution -> version and digest, in order of name, of the named packages and of all that those require.

    `python` stands for Python's whole version; the minor version is always there. Of chipfit itself it is only the
    version, for its code is taken apart elsewhere.
    """
    names = set(names)
    found = {"python": python_version(whole="python" in names)}
    waiting = sorted(distribution_of(n) for n in names - {"python"})
    while waiting:
        name = waiting.pop()
        if name in found or name in NO_EFFECT:
            continue
        found[name], required = _tool(name)
        waiting += required
    return dict(sorted(found.items()))


def python_version(*, whole: bool) -> str:
    """`cpython 3.12`: sums and texts of floats have changed between minor versions, and not between patches."""
    version = platform.python_version() if whole else ".".join(platform.python_version_tuple()[:2])
    return f"{platform.python_implementation().lower()} {version}"


@cache
def _tool(name: str) -> tuple[str, tuple[str, ...]]:
    """Version and digest of a distribution, and the names of those that it requires and that are installed."""
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return MISSING, ()
    if name == _OWN:
        return distribution.version, ()
    folder = Path(str(getattr(distribution, "_path", "")))
    record = folder / "RECORD"
    known = _remembered()
    stamps = [identity(record), identity(folder / "METADATA")]
    found = _checked(known.get(str(folder)), stamps)
    if found is None:
        digest = record_digest(record) or _files_digest(name)
        required = tuple(sorted(_required(distribution)))
        found = f"{distribution.version} sha256:{digest}", required
        if None not in stamps:
            _remember(str(folder), [stamps, *found])
    return found[0], tuple(n for n in found[1] if n in NO_EFFECT or _is_installed(n))


def record_digest(record: Path) -> str | None:
    """The digest of the files that a wheel brought, as its RECORD lists them: the same whoever installed it, and where.

    Left out are scripts (they name this machine's Python), bytecode, and what an installer writes about itself. None
    where it lists no file: of a package that an editable install or another package manager put there.

    Source: packaging.python.org, "Recording installed projects".
    """
    try:
        with record.open(encoding="utf-8", newline="") as file:
            rows = sorted((r[0], r[1]) for r in csv.reader(file) if len(r) == 3 and r[1] and _is_of_wheel(r[0]))
    except (OSError, ValueError, csv.Error):
        return None
    if not rows:
        return None
    return hashlib.sha256("".join(f"{path}\0{digest}\n" for path, digest in rows).encode()).hexdigest()


def _is_of_wheel(path: str) -> bool:
    if path.startswith(("..", "/", "__editable__", "_editable")) or path.endswith((".pyc", ".pth")):
        return False
    return not path.partition("/")[0].endswith(".dist-info")


def _files_digest(name: str) -> str:
    """The digest of the files themselves, where no RECORD lists them."""
    import_names = [i for i, d in DISTRIBUTIONS.items() if d == name] or [name.replace("-", "_")]
    total = hashlib.sha256()
    for import_name in import_names:
        for relative, path in _package_files(import_name):
            with path.open("rb") as file:
                total.update(f"{relative}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def _package_files(name: str) -> Iterator[tuple[str, Path]]:
    spec = importlib.util.find_spec(name)
    folders = [] if spec is None else [Path(f) for f in spec.submodule_search_locations or ()]
    if spec is not None and not folders and spec.origin is not None:
        yield Path(spec.origin).name, Path(spec.origin)
    for folder in folders:
        files = (p for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc")
        yield from sorted((p.relative_to(folder).as_posix(), p) for p in files)


def _required(distribution: importlib.metadata.Distribution) -> Iterator[str]:
    """Names that its metadata require, but for extras."""
    for line in distribution.requires or ():
        name = _NAME.match(line)
        if name is not None and not re.search(r"\bextra\s*[=!]=", line):
            yield distribution_of(name.group())


@cache
def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


@cache
def _remembered() -> dict[str, Any]:
    record = recall("tools")
    return record if isinstance(record, dict) else {}


def _remember(folder: str, entry: object) -> None:
    _remembered()[folder] = entry
    remember("tools", _remembered())


def _checked(entry: Any, stamps: list[list[int] | None]) -> tuple[str, tuple[str, ...]] | None:
    """An entry's tool and what that requires; None where its files were changed, or it is not as it was written."""
    try:
        written, tool, required = entry
        if written != stamps or None in stamps or not re.fullmatch(r"\S+ sha256:[0-9a-f]{64}", tool):
            return None
        return tool, tuple(n for n in required if _NAME.fullmatch(n))
    except (TypeError, ValueError):
        return None
