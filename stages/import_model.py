"""Stage `import`: a model file becomes the canonical float graph."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config import Project
from pipeline.errors import ChipfitError, ManyErrors
from pipeline.ir import Graph
from pipeline.units import show_size
from stages.base import Job

if TYPE_CHECKING:
    from pipeline.floor import Floor

NAME = "import"
AFTER = ("export",)
TARGETS = ("graph.json", "weights.bin")
SUFFIXES = (".onnx", ".tflite", ".pt2")
_PICKLES = (
    "A pickle can run any code. Load it where you trained it and run: program = torch.export.export(model.eval(), "
    "(example_input,)); torch.export.save(program, 'net.pt2'); then write source: net.pt2."
)


def keys(project: Project) -> Any:
    budget = project.config.budget
    return [project.config.product, budget.flash or project.chip.flash.size, _cycles(project), project.chip.core]


def _cycles(project: Project) -> int | None:
    limit = project.config.budget.latency
    return None if limit is None else int(limit * project.chip.clock)


def inputs(project: Project) -> Mapping[str, Path]:
    source = project.file("model.source", project.config.model.source)
    found = {"model": source}
    folder = source.parent
    if folder.is_dir():  # external data lie beside the model
        beside = (p for p in sorted(folder.iterdir()) if p != source and p.suffix in (".data", ".bin", ".weights"))
        found |= {p.name: p for p in beside}
    return found


def run(job: Job) -> dict[str, bytes]:
    from pipeline.floor import floor_of
    from pipeline.graphfile import save

    project = job.project
    written = project.config.model.source
    path = project.file("model.source", written)
    if path.suffix not in SUFFIXES:
        raise ChipfitError(
            f"model.source: {written} is not one of {', '.join(SUFFIXES)}",
            place=project.place("model.source"),
            hint=_PICKLES if path.suffix in (".pt", ".pth", ".pkl") else "Export the network to ONNX.",
        )
    if path.suffix == ".pt2":
        path = job.folder / "export" / "model.onnx"
    if not path.is_file():
        raise ChipfitError(f"model.source: {written} does not exist", place=project.place("model.source"))
    _refuse_hopeless(project, _early_floor(path, written))
    graph = read_model(path, written, project.config.product)
    _refuse_hopeless(project, floor_of(graph))
    return save(graph)


def _early_floor(path: Path, written: str) -> "Floor | None":
    """What the dimensions say before any weight is read: what is far too large is refused in a second."""
    if path.suffix != ".onnx":
        return None
    from pipeline.importers.onnx_file import parse_onnx
    from pipeline.importers.onnx_floor import onnx_floor

    return onnx_floor(parse_onnx(path, written))


def _refuse_hopeless(project: Project, floor: "Floor | None") -> None:
    """Say at once, and all of it, what no setting can mend: one byte per weight, the least cycles per MAC."""
    from pipeline.floor import CYCLES_PER_MAC

    if floor is None:
        return
    found = []
    weights, free = floor.weights, project.config.budget.flash or project.chip.flash.size
    if weights > free:
        found.append(
            ChipfitError(
                f"budget.flash: the weights alone need {show_size(weights)} ({weights} bytes as int8), "
                f"limit {show_size(free)} ({weights / free:.1f}x)",
                place=project.place("budget.flash"),
                hint="No setting of chipfit makes this network fit: it needs fewer weights, or a larger chip.",
            )
        )
    cycles, core = _cycles(project), project.chip.core
    if cycles is not None:
        least = floor.cycles(core)
        if least > cycles:
            padding = "" if floor.executed == floor.macs else ", padding left out"
            found.append(
                ChipfitError(
                    f"budget.latency: {floor.macs} multiply-accumulates need at least {least} cycles on {core} "
                    f"({CYCLES_PER_MAC[core]:g} each{padding}), limit {cycles} ({least / max(cycles, 1):.1f}x)",
                    place=project.place("budget.latency"),
                    hint="No kernel comes near that: it needs a smaller network, or a faster chip.",
                )
            )
    if found:
        raise ManyErrors(found)


def read_model(path: Path, written: str, product: str) -> Graph:
    """The canonical graph of a model file: float, or integer when it is a quantized .tflite. Raises ChipfitError."""
    from pipeline.passes import canonical

    if path.suffix == ".tflite":
        from pipeline.importers.tflite_graph import import_tflite

        graph = import_tflite(path, written, product)
        return graph if graph.integer else canonical(graph, written)
    from pipeline.importers.onnx_graph import import_onnx

    return canonical(import_onnx(path, written, product), written)
