"""Stage `import`: a model file becomes the canonical float graph."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.facts.config import Project
from pipeline.facts.errors import ChipfitError
from pipeline.facts.files import absence_reason, is_file
from pipeline.importing.readers import READERS, SUFFIXES, reader_of
from stages.base import Job
from stages.feasibility import refuse_oversized
from stages.model_source import model_files, model_path

if TYPE_CHECKING:
    from pipeline.graph.ir import Graph

NAME = "import"
READS = {"export": ("model.onnx",)}
TARGETS = ("graph.json", "weights.bin")
_MAX_LAYERS = 2000
"""Planning takes more than twice as long for twice the layers; networks for microcontrollers have some dozens."""
_PICKLE_HINT = (
    "A pickle can run any code. Load it where you trained it and run: program = torch.export.export(model.eval(), "
    "(example_input,)); torch.export.save(program, 'net.pt2'); then write source: net.pt2."
)


def settings(project: Project) -> Mapping[str, object]:
    # Where the file lies and who uses it do not change the graph: variants of a product share it.
    return {"format": Path(project.config.model.source).suffix}


def inputs(project: Project) -> Mapping[str, Path]:
    return model_files(project)


def run(job: Job) -> dict[str, bytes]:
    from pipeline.graph.graph_file import save

    project = job.project
    written = project.config.model.source
    path = project.file("model.source", written)
    reader = reader_of(path)
    if reader is None:
        raise ChipfitError(
            f"model.source: {written} is not one of {', '.join(SUFFIXES)}",
            place=project.place("model.source"),
            hint=_PICKLE_HINT if path.suffix in (".pt", ".pth", ".pkl") else "Export the network to ONNX.",
        )
    path = model_path(job)
    if not is_file(path):
        raise ChipfitError(f"model.source: {written} {absence_reason(path)}", place=project.place("model.source"))
    refuse_oversized(project, reader.lower_bound(path, written))
    return save(read_model(path, written, "network"))


def read_model(path: Path, written: str, product: str) -> "Graph":
    """The canonical graph of a model file: float, or integer when it is a quantized .tflite. Raises ChipfitError."""
    from pipeline.importing.passes import canonical
    from pipeline.ops.shared.linear import Linear

    graph = READERS[path.suffix].read(path, written, product)
    if not graph.integer:
        # The passes merge others into these, and never these.
        _refuse_many_layers(sum(isinstance(n, Linear) for n in graph.nodes), written)
        graph = canonical(graph, written)
    _refuse_many_layers(len(graph.nodes), written)
    return graph


def _refuse_many_layers(layers: int, written: str) -> None:
    if layers > _MAX_LAYERS:
        raise ChipfitError(
            f"has {layers} layers, the limit is {_MAX_LAYERS}",
            place=written,
            hint="Where a recurrent network was unrolled, export one step of it.",
        )
