"""`variants`: one file declares many products, the combinations of its axes, by the rules of docs/variants.md."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from math import prod
from typing import Any

from pipeline.facts.config.axes import (
    MAX_TOLD,
    Axis,
    Choice,
    Selected,
    cannot_differ,
    matches,
    read_axes,
    wrong_selection,
)
from pipeline.facts.config.validation import validate
from pipeline.facts.config.variant_models import Override, Variants
from pipeline.facts.config.variant_names import product_names
from pipeline.facts.config.yaml_file import YamlDocument
from pipeline.facts.errors import ChipfitError, ManyErrors

MAX_VARIANTS = 1_000
"""Combinations of one file, those that are excluded too."""
MAX_VALUES = 500_000
"""Values of all products together."""
NONE = "none"


@dataclass(frozen=True, eq=False)
class Variant:
    """One combination: its values by axis as the user names them (none without variants), and the product's YAML."""

    choice: Choice
    document: YamlDocument


def has_variants(written: YamlDocument) -> bool:
    """Whether a file declares many products."""
    return written.values.get("variants", NONE) != NONE


def expand(written: YamlDocument, shown: str) -> list[Variant]:
    """The products that a file declares, in the order of its axes, the first one slowest.

    Raises ManyErrors for whatever is wrong below `variants`, before any product is looked at.
    """
    base = YamlDocument({k: v for k, v in written.values.items() if k != "variants"}, written.places, written.origins)
    if not has_variants(written):
        return [Variant({}, base)]
    variants = validate(Variants, written, shown, "variants")
    axes = read_axes(variants, written)
    _check_size(axes, base, written)
    combinations = [dict(zip((a.name for a in axes), c, strict=True)) for c in product(*(a.parts for a in axes))]
    left = _without_excluded(combinations, variants.exclude, axes, written)
    overrides = _overrides(variants.overrides, left, axes, written)
    names = product_names(variants.name, left, axes, written, shown)
    where = written.places["variants.name" if variants.name else "variants"]
    expanded = []
    for choice, name in zip(left, names, strict=True):
        parts = [a.parts[choice[a.name]] for a in axes]
        parts += [part for when, part in overrides if matches(when, choice)]
        parts.append(YamlDocument({"product": name}, {"product": where}, {}))
        expanded.append(Variant(choice, reduce(lambda below, part: part.over(below), parts, base)))
    return expanded


def _check_size(axes: Sequence[Axis], base: YamlDocument, written: YamlDocument) -> None:
    combinations = prod(len(a.parts) for a in axes)
    parts = sum(max(_count(p.values) for p in a.parts.values()) for a in axes)
    rules = sum(_count(written.values["variants"].get(k)) for k in ("exclude", "overrides"))
    values = combinations * (_count(base.values) + parts + rules)
    for number, limit, what in ((combinations, MAX_VARIANTS, "combinations"), (values, MAX_VALUES, "values")):
        if number > limit:
            raise ChipfitError(
                f"variants: makes {number:,} {what}, the limit is {limit:,}",
                place=written.places["variants"],
                hint="Share the variants out among several files, with extends for what they have in common.",
            )


def _count(value: Any) -> int:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(_count(v) for v in below)


def _without_excluded(
    combinations: list[dict[str, str]],
    exclude: Sequence[Selected],
    axes: Sequence[Axis],
    written: YamlDocument,
) -> list[dict[str, str]]:
    errors: list[ChipfitError] = []
    for index, selection in enumerate(exclude):
        errors += wrong_selection(selection, f"variants.exclude.{index}", axes, written)
        if len(errors) >= MAX_TOLD:
            break
    if errors:
        raise ManyErrors(errors)
    left = combinations
    for index, selection in enumerate(exclude):
        fewer = [c for c in left if not matches(selection, c)]
        if len(fewer) == len(left):
            key = f"variants.exclude.{index}"
            message = f"{key}: excludes nothing that is not excluded before"
            errors.append(ChipfitError(message, place=written.places[key], hint="Delete it."))
        left = fewer
    if errors:
        raise ManyErrors(errors)
    if not left:
        raise ChipfitError(
            "variants.exclude: leaves no combination, so that there is no product",
            place=written.places["variants.exclude"],
        )
    return left


def _overrides(
    overrides: Sequence[Override], left: Sequence[Choice], axes: Sequence[Axis], written: YamlDocument
) -> list[tuple[Selected, YamlDocument]]:
    """The selection and the keys of each override."""
    errors: list[ChipfitError] = []
    found: list[tuple[Selected, YamlDocument]] = []
    for index, override in enumerate(overrides):
        key, keys = f"variants.overrides.{index}", override.keys
        wrong = wrong_selection(override.when, f"{key}.when", axes, written)
        if not wrong and not any(matches(override.when, c) for c in left):
            message = f"{key}.when: selects only combinations that are excluded"
            wrong = [ChipfitError(message, place=written.places[f"{key}.when"], hint="Delete the override.")]
        if not keys:
            hint = "Write keys of a product beside when, for example budget: {flash: 64 KiB}."
            wrong.append(ChipfitError(f"{key}: changes nothing", place=written.places[key], hint=hint))
        errors += [*wrong, *cannot_differ(keys, key, written), *_contradicted(keys, key, axes, written)]
        if len(errors) >= MAX_TOLD:
            break
        found.append((override.when, written.below(key, keys)))
    if errors:
        raise ManyErrors(errors)
    return found


def _contradicted(
    keys: Mapping[str, Any], key: str, axes: Sequence[Axis], written: YamlDocument
) -> Iterator[ChipfitError]:
    """Keys of an override whose values an axis lists: each product's name tells them, and must be true."""
    for axis in axes:
        value: Any = keys
        dotted = key
        for name in axis.key:
            if not isinstance(value, dict) or name not in value:
                break
            value, dotted = value[name], f"{dotted}.{name}"
        if dotted == f"{key}.{axis.name}" or not isinstance(value, dict):
            yield ChipfitError(
                f"{dotted}: is what the axis {axis.name} says",
                place=written.places[dotted],
                hint="Exclude the combination, or give the values of the axis names with keys below each.",
            )
