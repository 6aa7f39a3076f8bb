"""Stage `import`: a model file becomes the canonical float graph."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.config import Project
from pipeline.errors import ChipfitError
from pipeline.ir import Graph
from stages.base import Job

NAME = "import"
AFTER: tuple[str, ...] = ()
TARGETS = ("graph.json", "weights.bin")


def keys(project: Project) -> Any:
    return [project.config.product, project.config.budget.flash or project.chip.flash.size]


def inputs(project: Project) -> Mapping[str, Path]:
    source = project.file("model.source", project.config.model.source)
    found = {"model": source}
    folder = source.parent
    if folder.is_dir():  # external data lie beside the model
        beside = (p for p in sorted(folder.iterdir()) if p != source and p.suffix in (".data", ".bin", ".weights"))
        found |= {p.name: p for p in beside}
    return found


def run(job: Job) -> dict[str, bytes]:
    from pipeline.graphfile import save

    project = job.project
    written = project.config.model.source
    path = project.file("model.source", written)
    if path.suffix not in (".onnx", ".tflite"):
        raise ChipfitError(
            f"model.source: {written} is neither an .onnx nor a .tflite file",
            place=project.place("model.source"),
            hint="Export the network to ONNX (PyTorch: torch.onnx.export).",
        )
    if not path.is_file():
        raise ChipfitError(f"model.source: {written} does not exist", place=project.place("model.source"))
    graph = _read(path, written, project.config.product)
    weights = sum(t.size for t in graph.tensors.values() if t.data is not None)
    free = project.config.budget.flash or project.chip.flash.size
    if weights > free:
        raise ChipfitError(
            f"budget.flash: the weights alone need {weights} bytes as int8, limit {free} ({weights / free:.1f}x)",
            place=project.place("budget.flash"),
            hint="No setting of chipfit makes this network fit: it needs fewer weights, or a larger chip.",
        )
    return save(graph)


def _read(path: Path, written: str, product: str) -> Graph:
    """The canonical graph: float, or integer when the file is a quantized .tflite."""
    from pipeline.passes import canonical

    if path.suffix == ".tflite":
        from pipeline.importers.tflite_graph import import_tflite

        graph = import_tflite(path, written, product)
        return graph if graph.integer else canonical(graph, written)
    from pipeline.importers.onnx_graph import import_onnx

    return canonical(import_onnx(path, written, product), written)
