"""A product as plain data and back: what a machine needs that has none of its files."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from pipeline.facts.config import Project
from pipeline.facts.config.lock import Lock, LockFile
from pipeline.facts.config.models import Section
from pipeline.facts.errors import Place
from pipeline.facts.records import to_plain


def plain_project(project: Project) -> dict[str, Any]:
    """The product in JSON's types; of the files that it names only the names."""
    lock = project.lock
    return {
        "config": _plain(project.config),
        "chip": _plain(project.chip),
        "path": str(project.path),
        "places": _plain_places(project.places),
        "variant": dict(project.variant),
        "lock": lock and {
            "lock": to_plain(lock.lock), "path": str(lock.path), "places": _plain_places(lock.places),
        },
    }  # fmt: skip


def project_of(document: Mapping[str, Any], files: Mapping[str, Path]) -> Project:
    """The product of a `plain_project`, with the files that it names, by their keys, at these paths.

    Raises KeyError, TypeError or ValueError for a document of another form, as other versions of chipfit write it.
    """
    lock = document["lock"]
    project = Project(
        config=_value(document["config"]),
        chip=_value(document["chip"]),
        path=Path(document["path"]),
        places=_places(document["places"]),
        folders={},
        variant=document["variant"],
        files=dict(files),
    )
    if lock is None:
        return project
    read = TypeAdapter(Lock).validate_python(lock["lock"])
    return replace(project, lock=LockFile(read, Path(lock["path"]), _places(lock["places"])))


def plain_place(place: Place | str | None) -> Any:
    """A place in the user's files in JSON's types."""
    return [place.file, place.line] if isinstance(place, Place) else place


def place_of(document: Any) -> Place | str | None:
    """The place of a `plain_place`."""
    return Place(*document) if isinstance(document, list) else document


def _plain_places(places: Mapping[str, Place]) -> dict[str, Any]:
    return {key: plain_place(p) for key, p in places.items()}


def _places(document: Mapping[str, Any]) -> dict[str, Place]:
    return {key: Place(*p) for key, p in document.items()}


def _plain(value: Any) -> Any:
    """A checked value: what is none of JSON's types says what it is."""
    match value:
        case Section():
            return {"section": type(value).__name__, "of": {k: _plain(v) for k, v in value.__dict__.items()}}
        case Fraction():
            return {"fraction": [value.numerator, value.denominator]}
        case tuple():
            return {"tuple": [_plain(v) for v in value]}
        case Mapping():
            return {"mapping": {k: _plain(v) for k, v in value.items()}}
        case None | bool() | int() | float() | str():
            return value
    raise TypeError(f"{value!r} is no setting")


def _value(document: Any) -> Any:
    match document:
        case {"section": str(name), "of": dict(values)}:
            # They were checked where they were typed, with their units, which these numbers no longer have.
            return _SECTIONS[name].model_construct(**{k: _value(v) for k, v in values.items()})
        case {"fraction": [numerator, denominator]}:
            return Fraction(numerator, denominator)
        case {"tuple": list(values)}:
            return tuple(_value(v) for v in values)
        case {"mapping": dict(values)}:
            return {k: _value(v) for k, v in values.items()}
        case None | bool() | int() | float() | str():
            return document
    raise TypeError(f"{document!r} is no setting")


_SECTIONS = {kind.__name__: kind for kind in Section.__subclasses__()}
