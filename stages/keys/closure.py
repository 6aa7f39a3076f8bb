"""Everything of chipfit's own that a module can reach: modules that it imports, and files that those read."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from stages.keys.facts import Facts, texts_of

PACKAGES = ("pipeline", "stages")
_RUNS = "it decides when a stage runs and where its files go, never what is in them"
_SETS = "it reads what a person wrote, and the values are in the key"
WITHOUT_EFFECT: Mapping[str, str] = {
    "stages.app": _RUNS,
    "stages.execution": _RUNS,
    "stages.keys": _RUNS,
    "stages.store": _RUNS,
    **{
        f"pipeline.facts.config.{name}": _SETS
        for name in "axes chips schema validation variant_models variant_names variants yaml_file".split()
    },
}
"""Modules and packages that are in no key, each with the reason."""


@dataclass(frozen=True)
class Closure:
    """`files`: relative paths, in order. `outside`: names of modules and distributions that are not chipfit's."""

    files: tuple[str, ...]
    outside: tuple[str, ...]


def closure_of(start: str, facts: Mapping[str, Facts], files: Iterable[str]) -> Closure:
    """The closure of the module `start`.

    `facts`: of each Python file, by its path relative to the folder above the packages; `files`: the paths of all
    files, data too. A package that is only the parent of what is imported adds what its __init__.py imports at once,
    and not what its functions import later: nobody holds those functions. Raises KeyError for an unknown module.
    """
    return _Search(facts, frozenset(files)).run(start)


def module_name(path: str) -> str:
    """`pipeline.graph.ir` of pipeline/graph/ir.py; that of a package for its __init__.py."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def is_too_wide(path: str) -> bool:
    """Whether a folder is no room's own, such as that of all chips: what is read there is no part of the code."""
    return len(PurePosixPath(path).parts) < 2


class _Search:
    def __init__(self, facts: Mapping[str, Facts], files: frozenset[str]) -> None:
        self._facts, self._files = facts, files
        self._modules = {module_name(p): p for p in facts}
        self._found: dict[str, bool] = {}
        """Path -> whether what its functions import counts, too."""
        self._data: set[str] = set()
        self._outside: set[str] = set()

    def run(self, start: str) -> Closure:
        waiting = [(self._modules[start], True)]
        while waiting:
            path, whole = waiting.pop()
            if path in self._found and (self._found[path] or not whole):
                continue
            self._found[path] = whole
            waiting += [(p, w) for p, w in self._reached(path, whole) if not has_no_effect(module_name(p))]
        return Closure(tuple(sorted({*self._found, *self._data})), tuple(sorted(self._outside)))

    def _reached(self, path: str, whole: bool) -> Iterator[tuple[str, bool]]:
        """Python files that the one at `path` needs at once, each with whether it is needed whole."""
        facts = self._facts[path]
        yield from ((p, False) for p in self._parents(path))
        for imported in facts.imports:
            if whole or not imported.lazy:
                yield from self._import(imported.module, imported.name)
        if not whole:
            return
        for name in facts.names:
            yield from self._named(name)
        for text in texts_of(facts):
            yield from self._import(text, None) if text in self._modules else ()
        for prefix in facts.prefixes:
            inside = [(p, True) for m, p in self._modules.items() if m.startswith(f"{prefix}.")]
            yield from inside or self._import(prefix, None)
        for named in facts.paths:
            yield from self._read(named)

    def _parents(self, path: str) -> list[str]:
        folders = [f"{f}/__init__.py" for f in PurePosixPath(path).parents]
        return [p for p in folders if p in self._facts and p != path]

    def _import(self, module: str, name: str | None) -> Iterator[tuple[str, bool]]:
        if module.partition(".")[0] not in PACKAGES:
            self._outside.add(module.partition(".")[0])
            return
        full = f"{module}.{name}"
        if name == "*":  # __all__ may name modules
            yield from ((p, True) for m, p in self._modules.items() if m.rpartition(".")[0] == module)
        if name is not None and full in self._modules:
            yield self._modules[full], True
        elif module in self._modules:
            yield self._modules[module], True

    def _named(self, name: str) -> Iterator[tuple[str, bool]]:
        if name in self._modules:
            yield self._modules[name], True
        else:
            self._outside.add(name.partition(".")[0])

    def _read(self, path: str) -> Iterator[tuple[str, bool]]:
        """Of a file: that file; of a folder: all data below it."""
        if path in self._facts:
            yield path, True
        elif path in self._files:
            self._data.add(path)
        elif not is_too_wide(path):
            self._data |= {f for f in self._files if f.startswith(f"{path}/") and f not in self._facts}


def has_no_effect(module: str) -> bool:
    """Whether a module is, or lies in, one that is in no key."""
    return any(module == m or module.startswith(f"{m}.") for m in WITHOUT_EFFECT)


def outside_names(closure: Closure) -> tuple[str, ...]:
    """Those of `closure.outside` that Python does not bring along."""
    return tuple(n for n in closure.outside if n not in sys.stdlib_module_names)
