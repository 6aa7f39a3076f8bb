"""What a human types below `variants`: axes, and what is left out of their combinations or differs in some."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema

_LIST, _MAPPING = "list", "mapping"
TAGS = (_LIST, _MAPPING)
"""What pydantic says of an axis' form in the place of a mistake."""


def text_of(value: Any) -> str:
    """A value of an axis as the user names it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_scalar(value: Any) -> bool:
    """Whether a value may be one of an axis' list: text, a number, true or false."""
    return isinstance(value, str | int | float)


def _texts(value: Any) -> Any:
    values = value if isinstance(value, list) else [value]
    for wrong in (v for v in values if not is_scalar(v)):
        raise ValueError(f"is {wrong!r}, expected a value of the axis, or a list of some")
    return tuple(text_of(v) for v in values)


def _form(value: Any) -> str | None:
    return _LIST if isinstance(value, list) else _MAPPING if isinstance(value, dict) else None


_SCALAR = {"type": ["string", "number", "boolean"]}
_LIST_OF_SCALARS = {"type": "array", "items": _SCALAR, "minItems": 1}
Axis = Annotated[
    Annotated[list[Any], Field(min_length=1), Tag(_LIST), WithJsonSchema(_LIST_OF_SCALARS)]
    | Annotated[dict[str, Any], Field(min_length=1), Tag(_MAPPING)],
    Discriminator(
        _form,
        custom_error_type="axis",
        custom_error_message="expected an axis: a list of values of the key, or names with keys below each",
    ),
]
Values = Annotated[
    tuple[str, ...],
    BeforeValidator(_texts),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [_SCALAR, _LIST_OF_SCALARS]}),
]
Selection = Annotated[dict[str, Values], Field(min_length=1)]
"""Values by axis: a combination is selected when it has one of the values of each axis that is named."""


class Override(BaseModel):
    """Keys of a product for the combinations that `when` selects."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, Any] = Field(init=False)
    when: Selection = Field(description="Axes and their values: one, or a list of several")

    @property
    def keys(self) -> dict[str, Any]:
        return self.__pydantic_extra__


class Variants(BaseModel):
    """Every combination of the axes' values is a product of its own."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, Axis] = Field(init=False)
    name: str | None = Field(
        None, max_length=200, description="Name of each product, for example {product}_{chip} (default: all axes)"
    )
    exclude: tuple[Selection, ...] = Field((), description="Combinations that are no products")
    overrides: tuple[Override, ...] = Field((), description="Keys that differ in some combinations")

    @property
    def axes(self) -> dict[str, list[Any] | dict[str, Any]]:
        return self.__pydantic_extra__
