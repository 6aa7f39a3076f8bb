"""Files of a product's model."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.facts.config import Project
from pipeline.facts.errors import ChipfitError
from pipeline.facts.files import MAX_MODEL, file_size
from pipeline.importing.readers import READERS
from pipeline.model_files.exported import EXPORTED
from pipeline.model_files.onnx_external import MAX_EXTERNAL
from stages.base import Job
from stages.file_sizes import check_size


def model_files(project: Project) -> Mapping[str, Path]:
    """The model file, and the files of its external tensors by the name that the model gives them.

    Raises ChipfitError where they are larger than what the importers read: every byte of them goes into the cache key.
    """
    written, place = project.config.model.source, project.place("model.source")
    source = project.file("model.source", written)
    check_size(project, "model.source", written, source, MAX_MODEL)
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
