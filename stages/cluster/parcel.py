"""One stage of one product as text, with all that another machine needs to run it; and the answer to it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.facts.artifact import digests, write_folder
from pipeline.facts.config import Project
from pipeline.facts.errors import ChipfitError, ManyErrors
from pipeline.model_files.onnx_external import file_inside
from stages.base import Job, Stage, reads
from stages.cluster.plain import place_of, plain_place, plain_project, project_of
from stages.execution import Key

FORMAT = "chipfit-parcel-1"
_KEYS: Mapping[str, str] = {"model": "model.source", "calibration": "data.calibration", "evaluation": "data.evaluation"}
"""The key of a product YAML that names an input."""
_BESIDE = "model: "
"""What the name of an input begins with that lies beside the model; the rest is the name that the model gives it."""


@dataclass(frozen=True)
class Blob:
    """Bytes in a store: their sha256, and how many."""

    sha256: str
    size: int


Fetch = Callable[[Blob], bytes]


@dataclass(frozen=True)
class Parcel:
    """A stage to run for the result `key`, a digest. `project` is plain, `names` are those of its files by their keys.

    `inputs` are the user's files as the stage names them, `before` those of earlier stages as `stage/file`.
    """

    stage: str
    key: str
    project: Mapping[str, Any]
    names: Mapping[str, str]
    inputs: Mapping[str, Blob]
    before: Mapping[str, Blob]

    def text(self) -> str:
        blobs = {part: {n: [b.sha256, b.size] for n, b in getattr(self, part).items()} for part in ("inputs", "before")}
        own = {"stage": self.stage, "key": self.key, "project": self.project, "names": self.names}
        return json.dumps({"format": FORMAT, **own, **blobs}, separators=(",", ":"))

    def unpack(self, root: Path, fetch: Fetch) -> Job:
        """The job of the stage below the folder `root`, with every file that it reads. Raises ChipfitError."""
        files = {key: _inside(root / "files" / key.replace(".", "-"), name) for key, name in self.names.items()}
        for name, blob in self.inputs.items():
            beside = name.removeprefix(_BESIDE)
            path = files[_KEYS[name]] if beside == name else _inside(files[_KEYS["model"]].parent, beside)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(fetch(blob))
        job = Job(project_of(self.project, files), root / "build")
        folders: dict[str, dict[str, bytes]] = {}
        for path_below, blob in self.before.items():
            stage, _, name = path_below.partition("/")
            folders.setdefault(stage, {})[name] = fetch(blob)
        for stage, contents in folders.items():
            write_folder(job.folder / stage, contents, None)
        return job


def parcel_of(text: str) -> Parcel:
    """The parcel in a text. Raises KeyError, TypeError or ValueError for another form, such as another version's."""
    document = json.loads(text)
    if document.pop("format") != FORMAT:
        raise ValueError("another form of parcel")
    document |= {part: {n: Blob(*b) for n, b in document[part].items()} for part in ("inputs", "before")}
    return Parcel(**document)


def pack(stage: Stage, job: Job, key: Key) -> tuple[Parcel, dict[Blob, Path]] | None:
    """The parcel of a stage, and where the bytes of its blobs are; None where the stage has to run here.

    That is where an input is missing, which the machine that has the user's files says best, and where it is neither
    model nor data: what a report says of a lock has the lock's own path.
    """
    project, places = job.project, {}
    inputs, before = {}, {}
    paths = stage.inputs(project)
    if not all(p.is_file() and (n in _KEYS or n.startswith(_BESIDE)) for n, p in paths.items()):
        return None
    for name, path in paths.items():
        inputs[name] = Blob(key.inputs[name], path.stat().st_size)
        places[inputs[name]] = path
    for earlier in stage.READS:
        for name, digest in digests(job.folder / earlier).items():
            if reads(stage.READS, earlier, name):
                path = job.folder / earlier / name
                before[f"{earlier}/{name}"] = blob = Blob(digest, path.stat().st_size)
                places[blob] = path
    return Parcel(stage.NAME, key.digest, plain_project(project), _names(project), inputs, before), places


def _names(project: Project) -> dict[str, str]:
    """The files that a product names, without their folders, by key: the suffix counts, and messages have the name."""
    data = {f"data.{role}": getattr(project.config.data, role) for role in ("calibration", "evaluation")}
    written = {_KEYS["model"]: project.config.model.source, **{k: s.file for k, s in data.items() if s is not None}}
    return {key: Path(name).name for key, name in written.items()}


def _inside(folder: Path, name: str) -> Path:
    folder = folder.resolve()
    path = file_inside(folder, name)
    if path is None:
        raise ChipfitError(f"{name!r} is no name of a file that a build sends")
    return path


@dataclass(frozen=True)
class Answer:
    """What became of a parcel at a worker: `outcome` and `seconds`, or the errors, or the key that the worker has.

    `crash` is the traceback of a fault of chipfit's own.
    """

    worker: str
    chipfit: str
    outcome: str = ""
    seconds: float = 0.0
    errors: tuple[ChipfitError, ...] = ()
    key: Mapping[str, Any] | None = None
    crash: str = ""

    def text(self) -> str:
        errors = [[e.message, plain_place(e.place), e.hint] for e in self.errors]
        return json.dumps({"format": FORMAT, **self.__dict__, "errors": errors})


def answer_of(text: str) -> Answer:
    """The answer in a text. Raises KeyError, TypeError or ValueError for another form."""
    document = json.loads(text)
    if document.pop("format") != FORMAT:
        raise ValueError("another form of answer")
    errors = tuple(ChipfitError(m, place=place_of(p), hint=h) for m, p, h in document.pop("errors"))
    return Answer(**document, errors=errors)


def each_error(error: ChipfitError) -> tuple[ChipfitError, ...]:
    return error.errors if isinstance(error, ManyErrors) else (error,)
