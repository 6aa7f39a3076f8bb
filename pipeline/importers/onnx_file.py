"""Opening an ONNX file that may be broken or hostile: bounded, checked, external data confined to its folder."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import external_data_helper

from pipeline.errors import ChipfitError, Place

MAX_BYTES = 1 << 31
_EXPORT_HINT = "Export the model again, or copy the whole file."


def load_onnx(path: Path, shown: str) -> onnx.ModelProto:
    """The checked model with its external data loaded.

    As `parse_onnx`; also raises ChipfitError for a model that is structurally invalid, or whose external data is
    missing or outside the model's folder.
    """
    model, place = parse_onnx(path, shown), Place(shown)
    _load_external(model, path.resolve().parent, place)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise ChipfitError(f"is not valid ONNX: {_first_line(error)}", place=place, hint=_EXPORT_HINT) from error
    return model


def parse_onnx(path: Path, shown: str) -> onnx.ModelProto:
    """The model as the file says it: not yet checked, external data not yet loaded.

    `shown` is the path as the user wrote it, for messages. Raises ChipfitError for a file that is missing, too
    large, not ONNX, or of an unknown IR version.
    """
    place = Place(shown)
    model = onnx.ModelProto()
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ChipfitError(f"the file has {size} bytes, the limit is {MAX_BYTES}", place=place)
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
    return model


def _load_external(model: onnx.ModelProto, folder: Path, place: Place) -> None:
    tensors = [t for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    for node in model.graph.node:
        for attribute in node.attribute:
            tensors += [t for t in (attribute.t, *attribute.tensors) if t.data_location == onnx.TensorProto.EXTERNAL]
    for tensor in tensors:
        info = external_data_helper.ExternalDataInfo(tensor)
        target = folder / info.location
        inside = Path(info.location).parts and not Path(info.location).is_absolute()
        if not inside or not target.resolve().is_relative_to(folder):
            raise ChipfitError(
                f"tensor {tensor.name!r} keeps its data in {info.location!r}, outside the model's folder",
                place=place,
                hint="External data must lie beside the model.",
            )
        if not target.is_file():
            raise ChipfitError(
                f"tensor {tensor.name!r} keeps its data in {info.location!r}, which is missing",
                place=place,
                hint="Copy the .data file together with the .onnx file.",
            )
        length = info.length if info.length is not None else target.stat().st_size
        if (info.offset or 0) + length > target.stat().st_size or length > MAX_BYTES:
            raise ChipfitError(
                f"tensor {tensor.name!r} needs more bytes than {info.location!r} holds",
                place=place,
                hint="Copy the whole .data file.",
            )
        try:
            external_data_helper.load_external_data_for_tensor(tensor, str(folder))
        except (OSError, ValueError, onnx.checker.ValidationError) as error:
            raise ChipfitError(f"external data of {tensor.name!r}: {_first_line(error)}", place=place) from error
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
