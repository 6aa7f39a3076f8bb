"""A product's lock: what a build rests on, what calibration decided, and what came out, as YAML beside the product."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from pipeline.facts.artifact import sha256, to_json
from pipeline.facts.config.yaml_file import Bounds, read_plain
from pipeline.facts.decisions import ActivationDecision, Decisions, LayerDecision
from pipeline.facts.errors import ChipfitError, ManyErrors, Place
from pipeline.facts.records import to_plain
from pipeline.facts.text import visible
from pipeline.facts.totals import Totals

SUFFIX = ".lock.yaml"
FORMAT: Final = "chipfit.lock.v1"
RELOCK = "chipfit lock writes a new one."
_BOUNDS = Bounds(size=1 << 21, values=50_000, text=1 << 21, separators=50_000)
"""Room for two thousand layers, and for a bit of each of ten million weights."""
_LONGEST_VALUE, _MOST_ERRORS = 80, 20
_CHANGED = "Nothing that it rests on has drifted: the lock was edited, or is that of another state of chipfit."
_HEADER = "# Written by `chipfit lock`; commit it. `chipfit build --locked` builds from it without calibrating.\n"
_CHECKED = ConfigDict(extra="forbid")

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Plain = str | int | float | bool | None
Facts = dict[str, Any]
"""Plain values by name, nested as in a product YAML."""


@dataclass(frozen=True)
class DataDigest:
    """sha256 of a data file and, by their names, of the arrays in it that are read."""

    __pydantic_config__ = _CHECKED

    file: Digest
    arrays: dict[str, Digest]


@dataclass(frozen=True)
class Basis:
    """What a build rests on: versions, sha256 of the model's files and of the data, facts of the chip, settings."""

    __pydantic_config__ = _CHECKED

    chipfit: str
    tools: dict[str, str]
    model: dict[str, Digest]
    data: dict[Literal["calibration", "evaluation"], DataDigest]
    chip: Facts
    settings: Facts


@dataclass(frozen=True)
class Lock(Basis):
    """`arithmetic` names what the integers mean; `network` and `library` are sha256 of the files of two stages."""

    __pydantic_config__ = _CHECKED

    lock: Literal["chipfit.lock.v1"]
    arithmetic: tuple[str, ...]
    activations: dict[str, ActivationDecision]
    layers: dict[str, LayerDecision]
    network: dict[str, Digest]
    library: dict[str, Digest]
    figures: Totals

    @property
    def decisions(self) -> Decisions:
        return Decisions(self.activations, self.layers)


@dataclass(frozen=True, eq=False)
class LockFile:
    """A lock as read: its path, and the place of every dotted key."""

    lock: Lock
    path: Path
    places: Mapping[str, Place]

    def place(self, key: str) -> Place:
        """Place of a dotted key; the file where it is not written."""
        return self.places.get(key, Place(str(self.path)))


def lock_path(product: Path, name: str) -> Path:
    """Where the lock of the product `name` lies, whose YAML is at `product`."""
    return product.parent / f"{name}{SUFFIX}"


def read_lock(path: Path) -> LockFile:
    """The lock at `path`. Raises ChipfitError or ManyErrors where there is none, or it has another form."""
    written = read_plain(path, str(path), _BOUNDS)
    if written.values.get("lock") != FORMAT:
        place = written.places.get("lock", Place(str(path), 1))
        raise ChipfitError(f"lock: expected {FORMAT}", place=place, hint=f"It is no lock of this chipfit: {RELOCK}")
    facts = (dotted(written.values.get(section), section) for section in ("chip", "settings"))
    foreign = [key for found in facts for key, value in found.items() if not isinstance(value, Plain)]
    if foreign:
        wrong = "is neither text nor a number nor true or false"
        hint = f"Dates in quotes are texts. If in doubt: {RELOCK}"
        raise ManyErrors([ChipfitError(f"{k}: {wrong}", place=written.places[k], hint=hint) for k in foreign])
    try:
        lock = _form().validate_python(written.values)
    except ValidationError as error:
        raise ManyErrors([_mistake(d, written.places, path) for d in error.errors()[:_MOST_ERRORS]]) from error
    return LockFile(lock, path, written.places)


@cache
def _form() -> TypeAdapter[Lock]:
    return TypeAdapter(Lock)


def _mistake(detail: Any, places: Mapping[str, Place], path: Path) -> ChipfitError:
    """One of pydantic's findings as a sentence, at the line of the nearest key."""
    parts = [str(p) for p in detail["loc"] if p != "[key]"]
    key = parent = ".".join(parts)
    while parent and parent not in places:
        parent = parent.rpartition(".")[0]
    wrong = {"missing": "is missing", "unexpected_keyword_argument": "is not a known key"}.get(detail["type"])
    if wrong is None:
        value = visible(repr(detail["input"]), _LONGEST_VALUE)
        wrong = f"is {value}, {detail['msg'].replace('Input should', 'which should')}"
    return ChipfitError(f"{key}: {wrong}", place=places.get(parent, Place(str(path))), hint=f"If in doubt: {RELOCK}")


def lock_text(lock: Lock) -> str:
    """The file of a lock: a section for each field, in an order for people."""
    plain: dict[str, Any] = to_plain(lock)
    plain["model"], plain["network"], plain["library"] = (dict(plain[k]) for k in ("model", "network", "library"))
    plain["activations"] = {n: _InOneLine(a) for n, a in plain["activations"].items()}
    plain["chip"] = {n: _InOneLine(v) if isinstance(v, dict) else v for n, v in plain["chip"].items()}
    sections = [_dumped({name: plain[name]}) for name in _ORDER]
    return _HEADER + "".join(f"{comment}{s}" for comment, s in zip(_ORDER.values(), sections, strict=True))


_ORDER = {
    "lock": "",
    "chipfit": "",
    "arithmetic": "",
    "figures": "\n",
    "model": "\n# What it rests on: sha256 of files and arrays, settings with their defaults, versions\n",
    "data": "",
    "chip": "",
    "settings": "",
    "tools": "",
    "activations": "\n# What calibration decided: real = scale * (integer - zero_point)\n",
    "layers": "",
    "network": "\n# What came out: sha256 of the integer network and of the library\n",
    "library": "",
}
"""Sections of the file, each with what stands before it."""


class _InOneLine(dict[str, Any]):
    """A mapping that is written in one line."""


class _Dumper(yaml.SafeDumper):
    """Strings in double quotes where they are more than printable ASCII of one line; texts of several lines as such."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.Node:
    lines = text.splitlines()
    if len(lines) > 1 and all(x.isascii() and x.isprintable() for x in lines):
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")
    style = None if text.isascii() and text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(
    _InOneLine, lambda dumper, values: dumper.represent_mapping("tag:yaml.org,2002:map", values, flow_style=True)
)


def _dumped(section: Mapping[str, Any]) -> str:
    return yaml.dump(dict(section), Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=110)


@dataclass(frozen=True)
class Drift:
    """A dotted key whose value is another one now than the lock has; None where there is none."""

    key: str
    locked: Plain
    now: Plain


def drifts(lock: Lock, now: Basis) -> list[Drift]:
    """Everything that a build rests on and that is not as it was locked, in the lock's order.

    Of a data file only the arrays count; those for calibration may be missing where there are others to evaluate.
    """
    found, evaluated = [], "evaluation" in lock.data
    before, after = ({k: dotted(to_plain(getattr(x, k)), k) for k in _BASIS} for x in (lock, now))
    for section in _BASIS:
        one, other = before[section], after[section]
        for key in dict.fromkeys([*one, *other]):
            if one.get(key) != other.get(key) and not _is_unread(key, other, evaluated):
                found.append(Drift(key, one.get(key), other.get(key)))
    return found


_BASIS = ("chipfit", "model", "data", "chip", "settings", "tools")


def _is_unread(key: str, now: Mapping[str, Plain], evaluated: bool) -> bool:
    """Whether a locked rebuild does without it: data files as a whole, and what is missing for calibration alone."""
    if key in ("data.calibration.file", "data.evaluation.file"):
        return True
    return evaluated and key.startswith(("data.calibration.", "settings.data.calibration")) and key not in now


def dotted(value: Any, key: str) -> dict[str, Plain]:
    """The plain values in nested mappings by their dotted keys, which begin with `key`."""
    return dict(_leaves(value, key))


def _leaves(value: Any, key: str) -> Iterator[tuple[str, Plain]]:
    if isinstance(value, dict):
        for name, inside in value.items():
            yield from _leaves(inside, f"{key}.{name}")
    else:
        yield key, str(value) if isinstance(value, list) else value


def decided_digests(lock: Lock) -> dict[str, str]:
    """What a locked quantization reads of its lock: digests of the decisions and of what they must lead to."""
    return {"decisions": sha256(to_json(to_plain(lock.decisions))), "network": sha256(to_json(lock.network))}


def check_network(file: LockFile, decisions: Decisions, network: Mapping[str, bytes]) -> None:
    """Raise ManyErrors unless a locked quantization came to the lock's `decisions` and to the files of its network."""
    came_out = {"activations": to_plain(decisions.activations), "layers": to_plain(decisions.layers)}
    _check(file, came_out | {"network": _digests(network)})


def check_library(file: LockFile, library: Mapping[str, bytes]) -> None:
    """Raise ManyErrors unless a library has exactly the files that the lock names, with these bytes."""
    _check(file, {"library": _digests(library)})


def _check(file: LockFile, came_out: Mapping[str, Any]) -> None:
    locked = to_plain(file.lock)
    wanted = {k: v for name in came_out for k, v in _leaves(locked[name], name)}
    got = {k: v for name, value in came_out.items() for k, v in _leaves(value, name)}
    errors = [
        ChipfitError(
            f"{key}: {_briefly(wanted.get(key))} is locked, {_briefly(got.get(key))} came out",
            place=file.place(key),
            hint=f"{_CHANGED} {RELOCK}",
        )
        for key in dict.fromkeys([*wanted, *got])
        if wanted.get(key) != got.get(key)
    ]
    if errors:
        raise ManyErrors(errors[:_MOST_ERRORS])


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: sha256(data) for name, data in sorted(files.items())}


def _briefly(value: Plain) -> str:
    return "none" if value is None else visible(str(value), _LONGEST_VALUE)
