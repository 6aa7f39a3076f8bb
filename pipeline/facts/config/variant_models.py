"""What a human types below `variants`: axes, and what is left out of their combinations or differs in some."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema

_LIST, _MAPPING = "list", "mapping"
TAGS = (_LIST, _MAPPING)
"""What pydantic says of an axis' form in the place of a mistake."""


def text_of(value: Any) -> str:
    """A value of an axis as the user names it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _scalar(value: Any) -> Any:
    if not isinstance(value, str | int | float):
        form = f"{value!r} is no text or number" if value is not None else "there is nothing here"
        raise ValueError(f"{form}, expected a value; names with keys below each are {{name: {{key: value}}}}")
    return value


def _keys(value: Any) -> Any:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(
            f"is {value!r}, expected the product's keys that this name stands for; a list of values goes with the "
            "dotted name of their key, for example quantization.weights: [int8, int5]"
        )
    return value


def _texts(value: Any) -> Any:
    values = value if isinstance(value, list) else [value]
    return tuple(text_of(_scalar(v)) for v in values)


def _form(value: Any) -> str | None:
    return _LIST if isinstance(value, list) else _MAPPING if isinstance(value, dict) else None


Scalar = Annotated[Any, BeforeValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean"]})]
Part = Annotated[dict[str, Any], BeforeValidator(_keys)]
Axis = Annotated[
    Annotated[list[Scalar], Field(min_length=1), Tag(_LIST)]
    | Annotated[dict[str, Part], Field(min_length=1), Tag(_MAPPING)],
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
    WithJsonSchema({"anyOf": [Scalar.__metadata__[1].json_schema, {"type": "array", "minItems": 1}]}),
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
    name: str | None = Field(None, description="Name of each product, for example {product}_{chip} (default: all axes)")
    exclude: tuple[Selection, ...] = Field((), description="Combinations that are no products")
    overrides: tuple[Override, ...] = Field((), description="Keys that differ in some combinations")

    @property
    def axes(self) -> dict[str, list[Any] | dict[str, dict[str, Any]]]:
        return self.__pydantic_extra__
