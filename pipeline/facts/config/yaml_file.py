"""YAML with line numbers: plain values and where each key was written, within bounds, every mistake at once."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.facts.errors import ChipfitError, ManyErrors, Place
from pipeline.facts.files import absence_reason, file_size, is_file

MAX_BYTES = 1 << 20
MAX_NODES = 10_000
MAX_DEPTH = 50
MAX_TEXT = 10_000
MAX_DIGITS = 64
MAX_EXTENDS = 8


@dataclass(frozen=True)
class Bounds:
    """Most bytes of a file, values in it, characters of one text, and line ends and commas.

    The last is counted before the file is parsed, which takes a tenth of a millisecond for each value.
    """

    size: int = MAX_BYTES
    values: int = MAX_NODES
    text: int = MAX_TEXT
    separators: int = MAX_BYTES


_SEPARATORS = (",", "\n", "\r", "\x85", "\u2028", "\u2029")
_TYPED = Bounds()
"""Of what a human types."""


@dataclass(frozen=True)
class YamlDocument:
    """A YAML file as plain values, with the place of every dotted key; an item of a list has its index as key.

    `origins` maps the same keys to the folder of the file in which they stand: paths are relative to it.
    """

    values: Mapping[str, Any]
    places: Mapping[str, Place]
    origins: Mapping[str, Path]

    def over(self, base: "YamlDocument") -> "YamlDocument":
        """This document's keys merged over those of `base`."""
        values = deep_merge(base.values, self.values)
        return YamlDocument(values, {**base.places, **self.places}, {**base.origins, **self.origins})

    def below(self, prefix: str, values: Mapping[str, Any]) -> "YamlDocument":
        """`values`, which stand at the dotted key `prefix`, as a document of their own."""
        keys = list(_dotted_keys(values, ""))
        places = {k: self.places[f"{prefix}.{k}"] for k in keys}
        return YamlDocument(values, places, {k: self.origins[f"{prefix}.{k}"] for k in keys})

    def folder(self, key: str) -> Path | None:
        """The folder that the path at `key`, or at its key `file`, is relative to; None where no path is written."""
        value: Any = self.values
        for name in key.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return self.origins.get(f"{key}.file" if isinstance(value, dict) else key)


def read_yaml(path: Path, shown: str, seen: tuple[Path, ...] = ()) -> YamlDocument:
    """Read one YAML file and everything it `extends`, deep-merged; a key of the child replaces its parent's.

    Raises ManyErrors for an unreadable, oversized or malformed file, duplicate keys, and circular extends.
    """
    if path.resolve() in seen or len(seen) >= MAX_EXTENDS:
        raise ChipfitError("extends goes round in a circle, or deeper than 8 files", place=Place(shown))
    root = _compose(path, shown)
    if not isinstance(root, yaml.MappingNode):
        raise ChipfitError("is not a mapping of keys", place=Place(shown, 1), hint="chipfit init writes a starter.")
    errors: list[ChipfitError] = []
    places: dict[str, Place] = {}
    values = _plain_value(root, "", shown, places, errors, [0])
    if errors:
        raise ManyErrors(errors)
    origins = dict.fromkeys(places, path.parent)
    base = values.pop("extends", None)
    if base is None:
        return YamlDocument(values, places, origins)
    where = places.pop("extends")
    if not isinstance(base, str):
        raise ChipfitError("extends: expected the path of a YAML file", place=where)
    target = path.parent / base
    if not is_file(target):
        raise ChipfitError(f"extends: {base} {absence_reason(target)}", place=where)
    below = read_yaml(target, str(Path(shown).parent / base), (*seen, path.resolve()))
    return YamlDocument(values, places, origins).over(below)


def read_plain(path: Path, shown: str, bounds: Bounds) -> YamlDocument:
    """Read one YAML file that a program wrote, within `bounds`, whatever its keys mean; raises as `read_yaml`."""
    root = _compose(path, shown, bounds, _quickly)
    if not isinstance(root, yaml.MappingNode):
        raise ChipfitError("is not a mapping of keys", place=Place(shown, 1))
    errors: list[ChipfitError] = []
    places: dict[str, Place] = {}
    values = _plain_value(root, "", shown, places, errors, [0], bounds=bounds)
    if errors:
        raise ManyErrors(errors)
    return YamlDocument(values, places, {})


def _by_python(text: str) -> yaml.Node | None:
    return yaml.compose(text, Loader=yaml.SafeLoader)


def _quickly(text: str) -> yaml.Node | None:
    """As `_by_python`, by libyaml where it is there, in a thirtieth of the time; what that refuses, Python explains.

    Before 0.2.5 libyaml had no limit for nesting.
    """
    loader = getattr(yaml, "CSafeLoader", None)
    # Of tabs, other line ends and question marks the two think differently.
    plain = text.isascii() and text.replace("\n", "").isprintable() and "?" not in text
    if loader is None or not plain or yaml._yaml.get_version() < (0, 2, 5):
        return _by_python(text)
    try:
        return yaml.compose(text, Loader=loader)
    except yaml.YAMLError:
        return _by_python(text)


def _compose(
    path: Path, shown: str, bounds: Bounds = _TYPED, parse: Callable[[str], yaml.Node | None] = _by_python
) -> yaml.Node | None:
    if not is_file(path):
        raise ChipfitError(absence_reason(path), place=Place(shown))
    if file_size(path) > bounds.size:
        raise ChipfitError(f"has {file_size(path)} bytes, the limit is {bounds.size}", place=Place(shown))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ChipfitError(f"cannot be read: {error.strerror}", place=Place(shown)) from error
    try:
        text = data.decode("utf-8")
        if sum(map(text.count, _SEPARATORS)) > bounds.separators:
            message = f"has more than {bounds.separators} line ends and commas"
            raise ChipfitError(message, place=Place(shown))
        return parse(text)
    except UnicodeDecodeError as error:
        raise ChipfitError("is not UTF-8 text", place=Place(shown)) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        hint = "Indent with spaces, not tabs." if "\\t" in str(error.problem) else ""
        raise ChipfitError(f"is not valid YAML: {error.problem}", place=Place(shown, line), hint=hint) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ChipfitError("is not valid YAML", place=Place(shown)) from error


def _plain_value(
    node: yaml.Node,
    key: str,
    shown: str,
    places: dict[str, Place],
    errors: list[ChipfitError],
    count: list[int],
    depth: int = 0,
    bounds: Bounds = _TYPED,
) -> Any:
    """The value of a YAML node as plain Python.

    Aliases are counted as often as they are used, so that none can explode or go in a circle.
    """
    count[0] += 1
    if count[0] > bounds.values:
        raise ChipfitError(f"expands to more than {bounds.values} values", place=Place(shown))
    if depth > MAX_DEPTH:
        where = Place(shown, node.start_mark.line + 1)
        raise ChipfitError(f"is nested deeper than {MAX_DEPTH} levels, or holds itself", place=where)
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for name, value in node.value:
            at = Place(shown, name.start_mark.line + 1)
            if not isinstance(name, yaml.ScalarNode) or len(name.value) > MAX_TEXT:
                errors.append(ChipfitError(f"{key or 'a key'}: a key is plain text of one line", place=at))
                continue
            dotted = f"{key}.{name.value}" if key else str(name.value)
            if name.value in mapping:
                errors.append(ChipfitError(f"{dotted}: is given twice", place=at, hint="Delete one of the two."))
            places[dotted] = at
            mapping[str(name.value)] = _plain_value(value, dotted, shown, places, errors, count, depth + 1, bounds)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, item in enumerate(node.value):
            places[f"{key}.{index}"] = Place(shown, item.start_mark.line + 1)
            items.append(_plain_value(item, f"{key}.{index}", shown, places, errors, count, depth + 1, bounds))
        return items
    number = node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
    longest = MAX_DIGITS if number else bounds.text
    if len(node.value) > longest:
        message = f"{key}: has {len(node.value)} characters, the limit is {longest}"
        errors.append(ChipfitError(message, place=Place(shown, node.start_mark.line + 1)))
        return None
    try:
        return yaml.SafeLoader("").construct_object(node)
    except Exception as error:  # PyYAML raises whatever a tag makes of a value that is not its own
        message = (str(error).splitlines() or ["cannot be read"])[0]
        errors.append(ChipfitError(f"{key}: {message}", place=Place(shown, node.start_mark.line + 1)))
        return None


def deep_merge(base: Mapping[str, Any], child: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings key by key; anything else of `child`, a list too, replaces what `base` has."""
    merged = dict(base)
    for key, value in child.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = deep_merge(merged[key], value) if both else value
    return merged


def _dotted_keys(value: Any, key: str) -> Iterator[str]:
    named = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, below in named:
        dotted = f"{key}.{name}" if key else str(name)
        yield dotted
        yield from _dotted_keys(below, dotted)
