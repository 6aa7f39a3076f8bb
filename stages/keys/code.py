"""The code of a stage: the files that it can run or read, with their digests."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipeline.facts.errors import ChipfitError
from stages.keys.closure import PACKAGES, Closure, closure_of
from stages.keys.facts import Facts, facts_of
from stages.keys.remembered import recall, remember

ROOT = Path(__file__).parent.parent.parent
"""The folder above the packages: of a checkout, or site-packages."""
_NO_CODE = ("pipeline/chip_files",)
"""Where a wheel has its chips: they are configuration, and in a key by their values."""


@dataclass(frozen=True)
class Sources:
    """All files of chipfit: digests by path relative to the folder above the packages, and the Python files' bytes."""

    digests: Mapping[str, str]
    python: Mapping[str, bytes]


def read_sources(root: Path = ROOT) -> Sources:
    """Every file of the packages below `root`; their bytes are read, for only those are the truth."""
    digests, python = {}, {}
    for relative, path in sorted(_files(root)):
        try:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - half the time of a Path, of hundreds of files
                data = file.read()
        except OSError as error:
            raise ChipfitError(f"chipfit's own file {relative} cannot be read: {error.strerror}") from error
        digests[relative] = hashlib.sha256(data).hexdigest()
        if relative.endswith(".py"):
            python[relative] = data
    return Sources(digests, python)


def _files(root: Path) -> Iterator[tuple[str, str]]:
    waiting = list(PACKAGES)
    while waiting:
        folder = waiting.pop()
        with os.scandir(root / folder) as entries:
            for entry in entries:
                relative = f"{folder}/{entry.name}"
                if entry.name.startswith(".") or entry.name == "__pycache__" or relative in _NO_CODE:
                    continue
                if entry.is_dir():
                    waiting.append(relative)
                elif not entry.name.endswith((".pyc", ".pyo")):
                    yield relative, entry.path


@cache
def _sources() -> Sources:
    return read_sources()


def is_unchanged() -> bool:
    """Whether chipfit's files still are as this process first read them: what is imported late may be newer."""
    return read_sources().digests == _sources().digests


@cache
def closure(module: str) -> Closure:
    """The closure of a stage's module; remembered for as long as no Python file changes."""
    return _closures()[module]


@cache
def code_of(module: str) -> Mapping[str, str]:
    """Relative path -> sha256, of exactly the files that the stage of this module depends on."""
    digests = _sources().digests
    return MappingProxyType({f: digests[f] for f in closure(module).files})


def code_below(*paths: str) -> Mapping[str, str]:
    """Relative path -> sha256, of these files and of all files in these folders, whoever depends on them."""
    return {f: d for f, d in _sources().digests.items() if any(f == p or f.startswith(f"{p}/") for p in paths)}


@cache
def _closures() -> Mapping[str, Closure]:
    sources = _sources()
    listed = "\n".join(f"{d} {p}" for p, d in sources.digests.items() if p in sources.python)
    others = "\n".join(p for p in sources.digests if p not in sources.python)
    version = hashlib.sha256(f"{listed}\n\n{others}".encode()).hexdigest()
    found = _checked(recall("closures"), version, sources)
    if found is None:
        found = closures_of(sources, facts_of_all(sources))
        remember("closures", {"version": version, "closures": {m: [c.files, c.outside] for m, c in found.items()}})
    return found


def closures_of(sources: Sources, facts: Mapping[str, Facts]) -> dict[str, Closure]:
    """The closure of each module that lies in the package `stages` itself: by name, such as stages.codegen."""
    names = [p.removesuffix(".py").replace("/", ".") for p in facts if p.startswith("stages/") and p.count("/") == 1]
    return {n: closure_of(n, facts, sources.digests) for n in names if n != "stages.__init__"}


def facts_of_all(sources: Sources) -> dict[str, Facts]:
    """Facts of every Python file, by path."""
    return {p: facts_of(data, p) for p, data in sources.python.items()}


def _checked(record: Any, version: str, sources: Sources) -> dict[str, Closure] | None:
    """The closures of a record; None where it is another version's, or not of the form that was written."""
    try:
        if record["version"] != version:
            return None
        found = {}
        for module, (files, outside) in record["closures"].items():
            own = f"{module.replace('.', '/')}.py"
            if own not in files or not all(f in sources.digests for f in files):
                return None
            if not all(isinstance(n, str) for n in outside):
                return None
            found[module] = Closure(tuple(files), tuple(outside))
        return found
    except (TypeError, KeyError, ValueError, AttributeError):
        return None
