"""Names of the products that variants declare: from a template or from all axes, valid in C, none of them twice."""

import re
from collections.abc import Sequence

from pipeline.facts.config.axes import Axis, Choice
from pipeline.facts.config.models import MAX_NAME, product_name
from pipeline.facts.config.yaml_file import YamlDocument
from pipeline.facts.errors import ChipfitError, ManyErrors, Place, did_you_mean

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def product_names(
    template: str | None, combinations: Sequence[Choice], axes: Sequence[Axis], written: YamlDocument, shown: str
) -> list[str]:
    """One name for each combination. Raises ChipfitError or ManyErrors."""
    prefix = _prefix(written, shown)
    place = written.places["variants" if template is None else "variants.name"]
    if template is None:
        template = "_".join(["{product}", *(f"{{{a.name}}}" for a in axes)])
    else:
        _check_template(template, axes, place)
    _check_words(template, axes, written)
    names = []
    for choice in combinations:
        words = {"product": prefix, **{a.name: a.words[choice[a.name]] for a in axes}}
        names.append(_PLACEHOLDER.sub(lambda m, words=words: words[m[1]], template))  # type: ignore[misc]
    _check_names(names, place)
    _check_unique(names, template, combinations, axes, place)
    return names


def _prefix(written: YamlDocument, shown: str) -> str:
    if "product" not in written.values:
        raise ChipfitError("product: is missing", place=Place(shown))
    try:
        return product_name(written.values["product"])
    except ValueError as error:
        raise ChipfitError(f"product: {error}", place=written.places["product"]) from error


def _check_template(template: str, axes: Sequence[Axis], place: Place) -> None:
    known = ["product", *(a.name for a in axes)]
    errors = [
        ChipfitError(f"variants.name: {{{name}}} is not an axis", place=place, hint=did_you_mean(name, known))
        for name in dict.fromkeys(_PLACEHOLDER.findall(template))
        if name not in known
    ]
    if set("{}") & set(_PLACEHOLDER.sub("", template)):
        message = f"variants.name: {template!r} has a brace without its other one"
        errors.append(ChipfitError(message, place=place, hint="For example {product}_{chip}."))
    if errors:
        raise ManyErrors(errors)


def _check_words(template: str, axes: Sequence[Axis], written: YamlDocument) -> None:
    used = [a for a in axes if f"{{{a.name}}}" in template]
    errors = []
    for axis in used:
        for value in (v for v, word in axis.words.items() if not word):
            errors.append(
                ChipfitError(
                    f"variants.{axis.name}: {value!r} has no letter or digit for a product's name",
                    place=written.places.get(f"variants.{axis.name}.{value}", written.places[f"variants.{axis.name}"]),
                )
            )
    if errors:
        raise ManyErrors(errors)


def _check_names(names: Sequence[str], place: Place) -> None:
    """Each a name in C; of those that are too long, the longest is told."""
    longest = max(names, key=len)
    if len(longest) > MAX_NAME:
        long = sum(len(n) > MAX_NAME for n in names)
        raise ChipfitError(
            f"variants: {longest!r} has {len(longest)} characters, a product's name at most {MAX_NAME}"
            + (f" ({long} names are too long)" if long > 1 else ""),
            place=place,
            hint="Write variants.name: for example '{product}_{chip}', with some letters only; or give long values "
            "short names: chip: {m0: {chip: truetouch-m0}}.",
        )
    for name in names:
        try:
            product_name(name)
        except ValueError as error:
            raise ChipfitError(f"variants: {error}", place=place) from error


def _check_unique(
    names: Sequence[str], template: str, combinations: Sequence[Choice], axes: Sequence[Axis], place: Place
) -> None:
    first: dict[str, Choice] = {}
    for name, choice in zip(names, combinations, strict=True):
        other = first.setdefault(name, choice)
        if other is choice:
            continue
        apart = [a.name for a in axes if other[a.name] != choice[a.name]]
        hint = "Give the values names, with keys below each, in place of a list."
        for axis in (a for a in apart if f"{{{a}}}" not in template):
            hint = f"Write {{{axis}}} into variants.name."
        shown = " and ".join(f"{{{', '.join(f'{a}: {v}' for a, v in c.items())}}}" for c in (other, choice))
        raise ChipfitError(f"variants: {shown} would both be called {name!r}", place=place, hint=hint)
