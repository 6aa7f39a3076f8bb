"""Frozen dataclasses as JSON and back, so that later stages read files of earlier ones with typed fields."""

import dataclasses
import json
from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from pipeline.facts.artifact import to_json
from pipeline.facts.errors import ChipfitError

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Key:
    """The JSON key of a field, where it is not its name: `memory: Annotated[str, Key("place")]`."""

    name: str


@dataclasses.dataclass(frozen=True)
class _Field:
    name: str
    key: str
    hint: Any
    optional: bool


def to_plain(value: Any) -> Any:
    """`value` in JSON's types: a dataclass as its fields in order, tuples as lists.

    A field whose default is None is left out while it is None.
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if dataclasses.is_dataclass(value):
        pairs = [(f, getattr(value, f.name)) for f in _fields(cast(Any, type(value)))]
        return {f.key: to_plain(v) for f, v in pairs if v is not None or not f.optional}
    if isinstance(value, tuple | list):
        return [to_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {k: to_plain(v) for k, v in value.items()}
    return value


def json_bytes(record: object) -> bytes:
    """The JSON file of a dataclass, as bytes."""
    return to_json(to_plain(record))


def from_json(kind: type[T], data: bytes, name: str) -> T:
    """The dataclass in the bytes `data` of a file `name`; raises ChipfitError where `json_bytes` did not write them."""
    try:
        return from_plain(kind, json.loads(data))
    except (KeyError, ValueError, TypeError) as error:
        raise ChipfitError(f"{name} is damaged", hint="Run the build again.") from error


def from_plain(kind: type[T], document: Any) -> T:
    """The dataclass of a `to_plain` value. Raises KeyError, ValueError or TypeError for a document of another form."""
    if not isinstance(document, Mapping):
        raise TypeError(f"{document!r} is no {kind.__name__}")
    known = {f.key: f for f in _fields(cast(Any, kind))}
    if unknown := document.keys() - known.keys():
        raise ValueError(f"{kind.__name__} has no {min(unknown)}")
    if missing := {k for k, f in known.items() if not f.optional} - document.keys():
        raise KeyError(min(missing))
    return kind(**{known[k].name: _value(known[k].hint, v) for k, v in document.items()})


@cache
def _fields(kind: Any) -> tuple[_Field, ...]:
    hints, fields = get_type_hints(kind, include_extras=True), []
    for field in dataclasses.fields(kind):
        whole = hints[field.name]
        hint, *marks = get_args(whole) if get_origin(whole) is Annotated else [whole]
        key = next((m.name for m in marks if isinstance(m, Key)), field.name)
        fields.append(_Field(field.name, key, hint, field.default is None))
    return tuple(fields)


def _value(hint: Any, value: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _value(arguments[0], value)
    if origin in (Union, UnionType):
        if value is None and NoneType in arguments:
            return None
        *others, last = [a for a in arguments if a is not NoneType]
        return value if any(type(value) is a for a in others) else _value(last, value)
    if origin is tuple:
        kinds = arguments[:1] * len(value) if arguments[1:] == (...,) else arguments
        return tuple(_value(k, v) for k, v in zip(kinds, value, strict=True))
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{value!r} is none of {arguments}")
        return value
    if origin is not None:
        return {k: _value(arguments[1], v) for k, v in value.items()}
    if dataclasses.is_dataclass(hint):
        return from_plain(cast(type[Any], hint), value)
    if type(value) is not hint and not (hint is float and type(value) is int):
        raise TypeError(f"{value!r} is no {hint}")
    return value
