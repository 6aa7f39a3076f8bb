"""The product's calibration and evaluation data, as the stages read them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.config import DataSource, Project
from pipeline.data import Samples, load_samples
from pipeline.errors import ChipfitError
from pipeline.ir import Array, Graph, Port


def data_files(project: Project) -> Mapping[str, Path]:
    """The .npz files that the product names, by role."""
    data = project.config.data
    named = {"calibration": data.calibration, "evaluation": data.evaluation}
    return {n: project.file(f"data.{n}", s.file) for n, s in named.items() if s is not None}


def calibration(project: Project, ports: Sequence[Port]) -> Samples:
    """Typical inputs. Raises ChipfitError when the product names none."""
    source = project.config.data.calibration
    if source is None:
        raise ChipfitError(
            "data.calibration: no calibration data are given",
            place=project.place("data"),
            hint="Name an .npz file with typical inputs; int8 ranges are chosen from them.",
        )
    return _load(project, "data.calibration", source, ports, ("calib", "x"))


def evaluation(project: Project, ports: Sequence[Port]) -> Samples:
    """Held-out inputs, or the calibration inputs without labels when the product names none."""
    source = project.config.data.evaluation
    if source is None:
        return Samples(calibration(project, ports).inputs)
    return _load(project, "data.evaluation", source, ports, ("x",))


def _load(project: Project, key: str, source: DataSource, ports: Sequence[Port], defaults: Sequence[str]) -> Samples:
    return load_samples(
        project.file(key, source.file),
        project.place(key),
        ports,
        inputs=source.inputs,
        labels=source.labels,
        labelled=key == "data.evaluation",
        defaults=defaults,
        rows=source.rows,
        scale=source.scale,
        zero_point=source.zero_point,
    )


def stored_integers(graph: Graph, samples: Samples) -> list[Array]:
    """The samples as the generated C takes them: one int8 array (n, *stored shape) per input port."""
    made = []
    for port, real in zip(graph.inputs, samples.inputs, strict=True):
        quant = graph.tensors[port.tensor].quant
        assert quant is not None
        made.append(np.ascontiguousarray(quant.quantize(port.to_stored(real)).astype(np.int8)))
    return made
