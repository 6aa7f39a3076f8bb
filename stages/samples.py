"""Files of a product's model and data, and its calibration and evaluation samples."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.facts.config import DataSource, Project
from pipeline.facts.errors import ChipfitError
from pipeline.facts.files import MAX_DATA, MAX_MODEL, file_size
from pipeline.graph.ir import Graph
from pipeline.graph.tensor import Array, Port
from pipeline.importing.readers import EXPORTED, READERS
from pipeline.model_files.onnx_external import MAX_EXTERNAL
from pipeline.quantizing.data import Samples, load_samples
from stages.base import Job

_NOISE_SAMPLES = 64


def model_files(project: Project) -> Mapping[str, Path]:
    """The model file, and the files of its external tensors by the name that the model gives them.

    Raises ChipfitError where they are larger than what the importers read: every byte of them goes into the cache key.
    """
    written, place = project.config.model.source, project.place("model.source")
    source = project.file("model.source", written)
    _check_size(project, "model.source", written, source, MAX_MODEL)
    reader = READERS.get(source.suffix)
    beside = {} if reader is None else reader.files_beside(source, place)
    size = sum(file_size(path) for path in beside.values())
    if size > MAX_EXTERNAL:
        raise ChipfitError(
            f"model.source: the files in which {written} keeps tensors have {size} bytes, the limit is {MAX_EXTERNAL}",
            place=place,
            hint="Save the model with its tensors in a file that holds nothing else.",
        )
    return {"model": source, **{f"model: {name}": path for name, path in beside.items()}}


def model_path(job: Job) -> Path:
    """The file that a reader reads: the product's own, or the one that the stage `export` wrote."""
    source = job.project.file("model.source", job.project.config.model.source)
    suffix = EXPORTED.get(source.suffix)
    return source if suffix is None else job.folder / "export" / f"model{suffix}"


def data_files(project: Project) -> Mapping[str, Path]:
    """The .npz files that the product names, by role. Raises ChipfitError for one that is too large to be read."""
    data = project.config.data
    named = {"calibration": data.calibration, "evaluation": data.evaluation}
    files = {n: project.file(f"data.{n}", s.file) for n, s in named.items() if s is not None}
    for role, path in files.items():
        _check_size(project, f"data.{role}", path.name, path, MAX_DATA)
    return files


def data_settings(project: Project) -> Mapping[str, object]:
    """Which arrays and rows of the data files are read, and how; the files themselves are inputs."""
    dumped: dict[str, object] = project.config.data.model_dump(
        exclude={"calibration": {"file"}, "evaluation": {"file"}}
    )
    return dumped


def _check_size(project: Project, key: str, shown: str, path: Path, limit: int) -> None:
    if file_size(path) > limit:
        message = f"{key}: {shown} has {file_size(path)} bytes, the limit is {limit}"
        raise ChipfitError(message, place=project.place(key), hint="Check that it is the file that you mean.")


def calibration(project: Project, graph: Graph, unprescribed: Sequence[str] = ()) -> Samples:
    """Typical inputs, for the scales of the tensors `unprescribed`. Raises ChipfitError when the product names none."""
    source = project.config.data.calibration
    if source is None:
        raise ChipfitError(
            f"data.calibration: no calibration data are given{_missing_scale(graph, unprescribed)}",
            place=project.place("data"),
            hint="Name an .npz file with typical inputs; int8 ranges are chosen from them.",
        )
    return _load(project, "data.calibration", source, graph, ("calib", "x"))


def _missing_scale(graph: Graph, names: Sequence[str]) -> str:
    """A clause that names a tensor without a scale in a partly quantized file; "" for a float file."""
    if all(t.quant is None for t in graph.tensors.values() if t.data is None):
        return ""
    producer = {o: n for n in graph.nodes for o in n.outputs}
    # A tensor that a layer computes, if any: what an input feeds is named by its layer too.
    for name in sorted(names, key=lambda n: n not in producer):
        node = producer.get(name)
        of = "an input" if node is None else f"of layer {node.name!r} ({type(node).__name__})"
        return f", and the model file has no scale for {name!r}, {of}"
    return ""


def evaluation(project: Project, graph: Graph) -> Samples:
    """Held-out inputs, or the calibration inputs without labels when the product names none.

    A network that came quantized needs no data at all: then they are noise over the whole range of its inputs.
    """
    source = project.config.data.evaluation
    if source is not None:
        return _load(project, "data.evaluation", source, graph, ("x",))
    if project.config.data.calibration is None and graph.quantized_inputs:
        rng = np.random.default_rng(0)
        return Samples(tuple(_noise(rng, graph, p) for p in graph.inputs))
    return Samples(calibration(project, graph).inputs)


def _noise(rng: np.random.Generator, graph: Graph, port: Port) -> Array:
    tensor = graph.tensors[port.tensor]
    assert tensor.quant is not None
    integers = rng.integers(*tensor.quant.limits, (_NOISE_SAMPLES, *port.onnx_shape), endpoint=True)
    return tensor.quant.dequantize(integers).astype(np.float32)


def _load(project: Project, key: str, source: DataSource, graph: Graph, defaults: Sequence[str]) -> Samples:
    return load_samples(
        project.file(key, source.file),
        project.place(key),
        graph.inputs,
        source,
        labelled=key == "data.evaluation",
        defaults=defaults,
        tensors=[graph.tensors[p.tensor] for p in graph.inputs],
    )
