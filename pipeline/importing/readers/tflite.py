"""TensorFlow Lite files."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.facts.errors import Place

if TYPE_CHECKING:
    from pipeline.graph.ir import Graph

FRAMEWORK = "ai-edge-litert"


def files_beside(path: Path, place: Place | None) -> Mapping[str, Path]:
    """A .tflite file holds all of its tensors."""
    return {}


def lower_bound(path: Path, shown: str) -> None:
    return None


def read(path: Path, shown: str, product: str) -> "Graph":
    from pipeline.importing.tflite_graph import import_tflite

    return import_tflite(path, shown, product)


def original(path: Path, shown: str) -> None:
    return None
