"""Reader of ONNX files that may be broken or hostile: bounded, checked, external data confined to its folder."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from pipeline.facts.errors import ChipfitError, Place
from pipeline.facts.files import MAX_MODEL, absence_reason, file_size, is_file
from pipeline.model_files.onnx_external import MAX_EXTERNAL, external_files, file_inside
from pipeline.model_files.onnx_names import check_names
from pipeline.model_files.onnx_size import MAX_NODES, count_nodes

MAX_BYTES = MAX_MODEL
"""Bytes of the .onnx file itself, without external data."""
_EXPORT_HINT = "Export the model again, or copy the whole file."


def load_onnx(path: Path, shown: str) -> onnx.ModelProto:
    """The checked model with its external data loaded; `shown` is the path as the user wrote it, for messages.

    Raises ChipfitError where `parse_onnx` does, and for a model that is structurally invalid, or whose external data
    is missing or outside the model's folder.
    """
    model, place = parse_onnx(path, shown), Place(shown)
    _load_external(model, path, place)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise ChipfitError(f"is not valid ONNX: {_first_line(error)}", place=place, hint=_EXPORT_HINT) from error
    return model


def parse_onnx(path: Path, shown: str) -> onnx.ModelProto:
    """The model as it stands in the file: not yet checked, external data not yet loaded.

    `shown` is the path as the user wrote it, for messages. Raises ChipfitError for a file that is missing, too
    large, not ONNX, of an unknown IR version, of too many nodes, or with names that are not text.
    """
    place = Place(shown)
    model = onnx.ModelProto()
    if not is_file(path):
        raise ChipfitError(absence_reason(path), place=place, hint="Check model.source in the product YAML.")
    if file_size(path) > MAX_BYTES:
        raise ChipfitError(f"the file has {file_size(path)} bytes, the limit is {MAX_BYTES}", place=place)
    try:
        model.ParseFromString(path.read_bytes())  # and let go of the bytes: a second copy of every weight
    except OSError as error:
        raise ChipfitError(
            f"cannot be read: {error.strerror}", place=place, hint="Check model.source in the product YAML."
        ) from error
    except DecodeError as error:
        raise ChipfitError("is not an ONNX file, or is truncated", place=place, hint=_EXPORT_HINT) from error
    if not model.HasField("graph") or not model.graph.node:
        raise ChipfitError("holds no network", place=place, hint=_EXPORT_HINT)
    if not 3 <= model.ir_version <= onnx.IR_VERSION:
        raise ChipfitError(
            f"has ONNX IR version {model.ir_version}, expected 3 to {onnx.IR_VERSION}",
            place=place,
            hint="Export it with a version of the exporter that matches, or upgrade the onnx package.",
        )
    if count_nodes(model) > MAX_NODES:
        raise ChipfitError(
            f"has more than {MAX_NODES} nodes, counting every call of its functions",
            place=place,
            hint="No network of that many fits a microcontroller.",
        )
    check_names(model, place)
    return model


def tensors_of(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor, wherever it stands: in the graph, its subgraphs, functions, sparse tensors and training graphs."""
    waiting: list[Any] = [model.graph, *model.functions]
    waiting += [g for t in model.training_info for g in (t.initialization, t.algorithm)]
    while waiting:
        holder = waiting.pop()
        sparse: list[onnx.SparseTensorProto] = []
        attributes = [a for n in holder.node for a in n.attribute]
        if isinstance(holder, onnx.FunctionProto):
            attributes += holder.attribute_proto
        else:
            yield from holder.initializer
            sparse += holder.sparse_initializer
        for attribute in attributes:
            yield from (attribute.t, *attribute.tensors)
            sparse += [attribute.sparse_tensor, *attribute.sparse_tensors]
            waiting += [attribute.g] if attribute.HasField("g") else []
            waiting += attribute.graphs
        for tensor in sparse:
            yield from (tensor.values, tensor.indices)


def _load_external(model: onnx.ModelProto, path: Path, place: Place) -> None:
    """Read external data into the tensors of `model`: no other function opens such a file."""
    tensors = [t for t in tensors_of(model) if t.data_location == onnx.TensorProto.EXTERNAL]
    listed = external_files(path, place) if tensors else {}
    bytes_left = MAX_EXTERNAL
    for tensor in tensors:
        named = [e.value for e in tensor.external_data if e.key == "location"]
        location = named[-1] if named else ""
        if file_inside(path.resolve().parent, location) is None or location not in listed:
            raise ChipfitError(
                f"tensor {tensor.name!r} keeps its data in {location!r}, outside the model's folder",
                place=place,
                hint="External data must lie beside the model.",
            )
        target = listed[location]
        if not is_file(target):
            raise ChipfitError(
                f"tensor {tensor.name!r} keeps its data in {location!r}, which is missing",
                place=place,
                hint="Copy the .data file together with the .onnx file.",
            )
        offset, length = _byte_range(tensor, place)
        size = file_size(target)
        length = max(size - offset, 0) if length is None else length
        if offset + length > size:
            raise ChipfitError(
                f"tensor {tensor.name!r} needs more bytes than {location!r} holds",
                place=place,
                hint="Copy the whole .data file.",
            )
        bytes_left -= length
        if bytes_left < 0:
            raise ChipfitError(f"its tensors keep more than {MAX_EXTERNAL} bytes in other files", place=place)
        try:
            with target.open("rb") as file:
                file.seek(offset)
                tensor.raw_data = file.read(length)
        except OSError as error:
            raise ChipfitError(f"external data of {tensor.name!r}: {error.strerror}", place=place) from error
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _byte_range(tensor: onnx.TensorProto, place: Place) -> tuple[int, int | None]:
    """Offset of the tensor's bytes in its file, and their number if the model states it."""
    entries = {e.key: e.value for e in tensor.external_data if e.key in ("offset", "length")}
    for key, value in entries.items():
        if not re.fullmatch("[0-9]{1,15}", value):
            raise ChipfitError(f"tensor {tensor.name!r} has the {key} {value!r}, expected a number", place=place)
    return int(entries.get("offset", 0)), int(entries["length"]) if "length" in entries else None


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
