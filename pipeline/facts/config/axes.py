"""Axes of variants: the values of each, what a value sets in the product, and selections of them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from pipeline.facts.config.validation import by_line, known_keys
from pipeline.facts.config.variant_models import Variants, is_scalar, text_of
from pipeline.facts.config.yaml_file import YamlDocument
from pipeline.facts.errors import ChipfitError, ManyErrors, did_you_mean

Choice = Mapping[str, str]
"""The value of each axis, as the user names it."""
Selected = Mapping[str, tuple[str, ...]]
"""Some values of some axes."""
FIXED = {
    "product": "variants.name says what each product is called.",
    "extends": "What all variants extend is written once, at the top.",
    "variants": "Another axis goes beside this one.",
}
"""Keys that are no variant's own, and what to do instead."""
_PATHS = ("model.source", "data.calibration", "data.evaluation", "data.calibration.file", "data.evaluation.file")
MAX_TEXT = 200
"""Characters of a value's name, or of a value in a list."""
MAX_TOLD = 10
"""Mistakes of selections that are told; the rest is told when these are mended."""
_MAX_SEARCH = 100_000
"""Characters of a misspelt value times those of all that may have been meant: the search takes its time."""
_NAME = re.compile(rf"[A-Za-z][A-Za-z0-9_.-]{{0,{MAX_TEXT - 1}}}")


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis: by value, the keys that it sets, and its word in a product's name.

    `key` is the product's key, taken apart, whose values it lists; () where it has names with keys below each.
    """

    name: str
    key: tuple[str, ...] = ()
    parts: dict[str, YamlDocument] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)


def read_axes(variants: Variants, written: YamlDocument) -> list[Axis]:
    """The axes in the order in which they are written. Raises ChipfitError or ManyErrors."""
    if not variants.axes:
        raise ChipfitError(
            "variants: has no axis",
            place=written.places["variants"],
            hint="Write the values of a key, for example chip: [truetouch-m0, rp2040].",
        )
    errors: list[ChipfitError] = []
    axes = []
    for name, values in variants.axes.items():
        read = _listed(name, values, written) if isinstance(values, list) else _named(name, values, written)
        for item in read:
            if isinstance(item, ChipfitError):
                errors.append(item)
            else:
                axes.append(item)
    errors += _set_twice(axes)
    if errors:
        raise ManyErrors(sorted(errors, key=by_line))
    return axes


def matches(selected: Selected, choice: Choice) -> bool:
    """Whether a combination has one of the values of each axis that is named."""
    return all(choice[axis] in values for axis, values in selected.items())


def wrong_selection(selected: Selected, key: str, axes: Sequence[Axis], written: YamlDocument) -> list[ChipfitError]:
    """What a selection, written at the dotted `key`, names that is no axis, or none of its values."""
    known = {a.name: a for a in axes}
    errors: list[ChipfitError] = []
    for name, values in selected.items():
        if len(errors) >= MAX_TOLD:
            break
        place = written.places[f"{key}.{name}"]
        if name not in known:
            hint = _meant(name, list(known))
            errors.append(ChipfitError(f"{key}.{name}: is not an axis", place=place, hint=hint))
            continue
        for index, value in enumerate(values):
            if value not in known[name].parts and len(errors) < MAX_TOLD:
                errors.append(
                    ChipfitError(
                        f"{key}.{name}: {value!r} is not a value of the axis {name}",
                        place=written.places.get(f"{key}.{name}.{index}", place),
                        hint=_meant(value, list(known[name].parts)),
                    )
                )
    return errors


def _meant(word: str, known: Sequence[str]) -> str:
    if len(word) * sum(map(len, known)) > _MAX_SEARCH:
        return f"Known: {', '.join(known)}."
    return did_you_mean(word, known)


def cannot_differ(keys: Mapping[str, Any], key: str, written: YamlDocument) -> list[ChipfitError]:
    """The keys among those written at the dotted `key` that are no variant's own."""
    wrong = [(name, f"{key}.{name}") for name in keys if name in FIXED]
    return [ChipfitError(f"{k}: cannot differ", place=written.places[k], hint=FIXED[n]) for n, k in wrong]


def _named(name: str, values: Mapping[str, Any], written: YamlDocument) -> Iterator[Axis | ChipfitError]:
    """An axis of names with keys below each, or what is wrong with it."""
    key = f"variants.{name}"
    if not _NAME.fullmatch(name):
        message = f"{key}: cannot be the name of an axis, expected letters, digits, _, - and ."
        yield ChipfitError(message, place=written.places[key])
    axis = Axis(name)
    for value, given in values.items():
        keys, where = {} if given is None else given, f"{key}.{value}"
        if len(value) > MAX_TEXT:
            yield ChipfitError(f"{key}: {value!r} is longer than {MAX_TEXT} characters", place=written.places[where])
        if not isinstance(keys, dict):
            yield ChipfitError(
                f"{where}: is {keys!r}, expected the product's keys that this name stands for",
                place=written.places[where],
                hint="A list of values belongs to the full name of their key: quantization.weights: [int8, int5].",
            )
            continue
        yield from cannot_differ(keys, where, written)
        axis.parts[value] = written.below(where, keys)
        axis.words[value] = _word(value)
    yield axis


def _listed(name: str, values: Sequence[Any], written: YamlDocument) -> Iterator[Axis | ChipfitError]:
    """An axis that lists the values of the key of its name, or what is wrong with it."""
    key = f"variants.{name}"
    names = tuple(name.split("."))
    hint = _unknown(names)
    if hint:
        yield ChipfitError(f"{key}: is not a key whose values can be listed", place=written.places[key], hint=hint)
        return
    axis = Axis(name, names)
    above = [".".join(names[:i]) for i in range(1, len(names))]
    for index, value in enumerate(values):
        text, where = text_of(value), f"{key}.{index}"
        if not is_scalar(value):
            yield ChipfitError(
                f"{where}: is {value!r}, expected text or a number".replace("is None", "is empty"),
                place=written.places[where],
                hint=f"Values that set several keys have names: {names[-1]}: {{NAME: {{...}}, ...}}.",
            )
            continue
        if len(text) > MAX_TEXT:
            message = f"{where}: {text!r} is longer than {MAX_TEXT} characters"
            yield ChipfitError(message, place=written.places[where], hint="Give it a name, with keys below it.")
        if text in axis.parts:
            hint = "Delete one of the two."
            yield ChipfitError(f"{key}: {text!r} is given twice", place=written.places[where], hint=hint)
        keys = value
        for part in reversed(names):
            keys = {part: keys}
        places = dict.fromkeys((*above, name), written.places[where])
        axis.parts[text] = YamlDocument(keys, places, dict.fromkeys(places, written.origins[where]))
        axis.words[text] = _word(PurePosixPath(text).stem if name in _PATHS else text)
    yield axis


def _unknown(names: tuple[str, ...]) -> str:
    """A hint, where no key of a product has this dotted name that lists could give values to; else nothing."""
    if names[0] in FIXED:
        return FIXED[names[0]]
    if names == ("include",):
        return "One product more is a YAML of its own that extends this one; keys of some variants go to overrides."
    if names[:2] == ("quantization", "layers"):
        return "Give the values names: narrow: {quantization: {layers: {NAME: {weights: int4}}}}."
    for index, part in enumerate(names):
        known = known_keys(*names[:index])
        if part not in known:
            options = [k for k in known if k not in FIXED] + ["name", "exclude", "overrides"] * (index == 0)
            return did_you_mean(part, options) if options else f"{'.'.join(names[:index])} has no keys below it."
    return ""


def _word(text: str) -> str:
    """A value as part of a name in C: lower case, anything but letters and digits as one _."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def _set_twice(axes: Sequence[Axis]) -> Iterator[ChipfitError]:
    """Keys that two axes set, so that one of them would be without effect in some combinations."""
    leaves: dict[tuple[str, ...], str] = {}
    sections: dict[tuple[str, ...], set[str]] = {}
    for axis in axes:
        told = set()
        for part in axis.parts.values():
            for path in _leaves(part.values, ()):
                above = [path[:i] for i in range(1, len(path))]
                others = {leaves[p] for p in (*above, path) if p in leaves} | sections.get(path, set())
                leaves.setdefault(path, axis.name)
                for section in above:
                    sections.setdefault(section, set()).add(axis.name)
                others -= {axis.name}
                if others and path not in told:
                    told.add(path)
                    dotted = ".".join(path)
                    yield ChipfitError(
                        f"variants.{axis.name}: sets {dotted}, which the axis {min(others)} sets, too",
                        place=part.places[dotted],
                        hint="What depends on two axes goes to variants.overrides.",
                    )


def _leaves(values: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, name))
        else:
            yield (*above, name)
