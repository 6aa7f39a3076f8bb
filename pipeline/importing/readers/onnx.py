"""ONNX files."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.facts.errors import Place
from pipeline.model_files.onnx_external import external_files

if TYPE_CHECKING:
    from onnx import ModelProto

    from pipeline.graph.ir import Graph
    from pipeline.importing.lower_bounds import LowerBound

FRAMEWORK = "onnxruntime"


def files_beside(path: Path, place: Place | None) -> Mapping[str, Path]:
    return external_files(path, place)


def lower_bound(path: Path, shown: str) -> "LowerBound | None":
    from pipeline.importing.onnx_lower_bounds import onnx_lower_bound
    from pipeline.model_files.onnx_file import parse_onnx

    return onnx_lower_bound(parse_onnx(path, shown))


def read(path: Path, shown: str, product: str) -> "Graph":
    from pipeline.importing.onnx_graph import import_onnx

    return import_onnx(path, shown, product)


def original(path: Path, shown: str) -> "ModelProto":
    from pipeline.model_files.onnx_file import load_onnx

    return load_onnx(path, shown)
