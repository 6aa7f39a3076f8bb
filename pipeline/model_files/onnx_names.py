"""Check of names and element types that protobuf accepts in an ONNX file and no reader can use."""

from collections.abc import Iterator
from typing import Any

import onnx
from google.protobuf.message import Message

from pipeline.facts.errors import ChipfitError, Place

_COMMENTS = ("doc_string", "metadata_props")
_HINT = "Export the model again, or copy the whole file."


def check_names(model: onnx.ModelProto, place: Place) -> None:
    """Raise ChipfitError for a name that is not UTF-8, which protobuf gives as bytes, or an unknown element type."""
    for message in _messages(model):
        for field, value in message.ListFields():
            if field.type != field.TYPE_STRING or field.name in _COMMENTS:
                continue
            for word in [value] if isinstance(value, str | bytes) else value:
                if isinstance(word, bytes):
                    raise ChipfitError(
                        f"the {field.name} {word[:40]!r} of a {type(message).__name__} is not UTF-8",
                        place=place,
                        hint=_HINT,
                    )
        if isinstance(message, onnx.TensorProto) and message.data_type not in onnx.TensorProto.DataType.values():
            raise ChipfitError(
                f"tensor {message.name!r} has the element type {message.data_type}, which ONNX does not define",
                place=place,
                hint=_HINT,
            )


def _messages(model: onnx.ModelProto) -> Iterator[Message]:
    waiting: list[Any] = [model]
    while waiting:
        message = waiting.pop()
        yield message
        for field, value in message.ListFields():
            if field.type == field.TYPE_MESSAGE and field.name not in _COMMENTS:
                waiting += [value] if isinstance(value, Message) else value
