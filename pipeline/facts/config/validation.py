"""What pydantic finds wrong, as sentences with the line of each key, all at once."""

from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.facts.config.models import ChipSpec, ProjectConfig
from pipeline.facts.config.variant_models import TAGS
from pipeline.facts.config.yaml_file import YamlDocument
from pipeline.facts.errors import ChipfitError, ManyErrors, Place, did_you_mean

M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], written: YamlDocument, shown: str, section: str = "") -> M:
    """The document, or the section of it at a dotted key, as a `model`; raises ManyErrors, sorted by line.

    `shown` is the file that a mistake without a line of its own is about.
    """
    values: Any = written.values[section] if section else written.values
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ManyErrors(_errors(error, written, shown, section)) from error


def by_line(error: ChipfitError) -> int:
    """The order in which mistakes are told."""
    return (error.place.line or 0) if isinstance(error.place, Place) else 0


def known_keys(*parts: str) -> list[str]:
    """The keys that a product YAML may have below the section `parts`; of a key that is no section: none."""
    model: Any = ProjectConfig
    for index, part in enumerate(parts):
        if part == "chip":
            model = ChipSpec
            continue
        if index == 2 and parts[:2] == ("quantization", "layers"):
            continue  # a layer's name is no key of ours
        field = model.model_fields.get(part)
        options = [field.annotation, *getattr(field.annotation, "__args__", ())] if field else []
        model = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)
        if model is None:
            return []
    extra = ["extends", "variants"] if model is ProjectConfig else []
    return [*model.model_fields, *extra]


def _errors(error: ValidationError, written: YamlDocument, shown: str, section: str) -> list[ChipfitError]:
    found: dict[tuple[str, str], ChipfitError] = {}
    inline = isinstance(written.values.get("chip"), dict)
    for detail in error.errors():
        parts = [section] * bool(section) + [str(p) for p in detail["loc"]]
        if parts[:2] == ["chip", "str"] and inline:
            continue  # an inline chip: only the errors of ChipSpec matter
        if len(parts) > 1 and parts[0] == "chip" and "ChipSpec" in parts[1]:
            if not inline:
                continue
            parts = ["chip", *parts[2:]]
        if section and len(parts) > 2 and parts[2] in TAGS:
            del parts[2]
        key = ".".join(parts)
        message, hint = _message_and_hint(detail, parts)
        parent = key
        while parent and parent not in written.places:
            parent = parent.rpartition(".")[0]
        place = written.places.get(parent, Place(shown))
        found[key, message] = ChipfitError(f"{key}: {message}" if key else message, place=place, hint=hint)
    return sorted(found.values(), key=by_line)


@lru_cache(1000)
def _nearest(*parts: str) -> str:
    """A hint for a key that is not known: every variant of a file has it, and the search takes its time."""
    return did_you_mean(parts[-1], known_keys(*parts[:-1]))


def _message_and_hint(detail: Any, parts: list[str]) -> tuple[str, str]:
    """Message and hint for one of pydantic's findings."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return "is not a known key", _nearest(*parts)
    if kind == "missing":
        return "is missing", "What holds for every variant is written at the top." if parts[-1] == "when" else ""
    if kind == "literal_error":
        return f"is {detail['input']!r}, expected {context['expected']}", ""
    if kind == "value_error":
        return str(context["error"]), ""
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"is {detail['input']!r}, expected keys below it".replace("is None", "is empty"), ""
    if kind == "too_short":
        return "is empty, expected at least one", ""
    if kind in ("tuple_type", "list_type"):
        return f"is {detail['input']!r}, expected a list", ""
    text = detail["msg"].replace("Input should be", "expected")
    return f"is {detail['input']!r}, {text[0].lower()}{text[1:]}", ""
