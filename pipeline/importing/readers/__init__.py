"""The one table of model files: a suffix here is a format; add a line and every stage and refusal knows it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipeline.facts.errors import Place
from pipeline.importing.readers import onnx, tflite
from pipeline.model_files.exported import EXPORTED

if TYPE_CHECKING:  # a build with nothing to do must not wait for them
    from onnx import ModelProto

    from pipeline.graph.ir import Graph
    from pipeline.importing.lower_bounds import LowerBound


class Reader(Protocol):
    """A module of this package: one format."""

    @property
    def FRAMEWORK(self) -> str:
        """The package whose answers the integer network's are compared with."""

    def files_beside(self, path: Path, place: Place | None) -> Mapping[str, Path]:
        """The other files in which the model's tensors lie, by the names that the model gives them."""

    def lower_bound(self, path: Path, shown: str) -> "LowerBound | None":
        """The lower bound of the network from its dimensions alone; None where only its import gives one."""

    def read(self, path: Path, shown: str, product: str) -> "Graph":
        """The graph before any pass; integer where the file says every integer. Raises ChipfitError."""

    def original(self, path: Path, shown: str) -> "ModelProto | None":
        """The file as ONNX Runtime runs it; None where that cannot."""


READERS: Mapping[str, Reader] = {".onnx": onnx, ".tflite": tflite}
SUFFIXES = (*READERS, *EXPORTED)


def reader_of(path: Path) -> Reader | None:
    """What reads a model file, once it is exported; None for an unknown format."""
    return READERS.get(EXPORTED.get(path.suffix, path.suffix))
