"""Files of a product's data, and its calibration and evaluation samples."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.facts.config import DataSource, Project
from pipeline.facts.errors import ChipfitError
from pipeline.facts.files import MAX_DATA
from stages.file_sizes import check_size

if TYPE_CHECKING:  # numpy is for stages that run: the names of data files are asked for by every build
    import numpy as np

    from pipeline.graph.ir import Graph
    from pipeline.graph.tensor import Array, Port
    from pipeline.quantizing.data import Samples

DEFAULT_ARRAYS: Mapping[str, tuple[str, ...]] = {"calibration": ("calib", "x"), "evaluation": ("x",)}
"""Names of arrays of inputs that are tried, in order, where a product names none."""
_NOISE_SAMPLES = 64


def data_files(project: Project, *, calibrates: bool = True) -> Mapping[str, Path]:
    """The .npz files that are read of those that the product names, by role.

    Evaluation falls back on calibration data; else these are read only by what `calibrates`, and from a lock nothing
    does. Raises ChipfitError for one that is too large to be read.
    """
    sources = _sources(project, calibrates)
    files = {n: project.file(f"data.{n}", s.file) for n, s in sources.items()}
    for role, path in files.items():
        check_size(project, f"data.{role}", path.name, path, MAX_DATA)
    return files


def data_settings(project: Project, *, calibrates: bool = True) -> Mapping[str, object]:
    """Which arrays and rows of `data_files` are read, and how; the files themselves are inputs."""
    return {n: s.model_dump(exclude={"file"}) for n, s in _sources(project, calibrates).items()}


def _sources(project: Project, calibrates: bool) -> dict[str, DataSource]:
    data = project.config.data
    sources = {"calibration": data.calibration, "evaluation": data.evaluation}
    if data.evaluation is not None and (not calibrates or project.lock is not None):
        del sources["calibration"]
    return {n: s for n, s in sources.items() if s is not None}


def calibration(project: Project, graph: "Graph", unprescribed: Sequence[str] = ()) -> "Samples":
    """Typical inputs, for the scales of the tensors `unprescribed`. Raises ChipfitError when the product names none."""
    source = project.config.data.calibration
    if source is None:
        raise ChipfitError(
            f"data.calibration: no calibration data are given{_missing_scale(graph, unprescribed)}",
            place=project.place("data"),
            hint="Name an .npz file with typical inputs; int8 ranges are chosen from them.",
        )
    return _load(project, "data.calibration", source, graph, DEFAULT_ARRAYS["calibration"])


def _missing_scale(graph: "Graph", names: Sequence[str]) -> str:
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


def evaluation(project: Project, graph: "Graph") -> "Samples":
    """Held-out inputs, or the calibration inputs without labels when the product names none.

    A network that came quantized needs no data at all: then they are noise over the whole range of its inputs.
    """
    import numpy as np

    from pipeline.quantizing.data import Samples

    source = project.config.data.evaluation
    if source is not None:
        return _load(project, "data.evaluation", source, graph, DEFAULT_ARRAYS["evaluation"])
    if project.config.data.calibration is None and graph.quantized_inputs:
        rng = np.random.default_rng(0)
        return Samples(tuple(_noise(rng, graph, p) for p in graph.inputs))
    return Samples(calibration(project, graph).inputs)


def _noise(rng: "np.random.Generator", graph: "Graph", port: "Port") -> "Array":
    import numpy as np

    tensor = graph.tensors[port.tensor]
    assert tensor.quant is not None
    integers = rng.integers(*tensor.quant.limits, (_NOISE_SAMPLES, *port.onnx_shape), endpoint=True)
    return tensor.quant.dequantize(integers).astype(np.float32)


def _load(project: Project, key: str, source: DataSource, graph: "Graph", defaults: Sequence[str]) -> "Samples":
    from pipeline.quantizing.data import load_samples

    return load_samples(
        project.file(key, source.file),
        project.place(key),
        graph.inputs,
        source,
        labelled=key == "data.evaluation",
        defaults=defaults,
        tensors=[graph.tensors[p.tensor] for p in graph.inputs],
    )
