"""The proof that settings are complete: what a stage reads of a product's configuration while it runs is in its key."""

import shutil
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import pytest
from conftest import ROOT, some
from pydantic import BaseModel

from pipeline.facts.artifact import write_folder
from pipeline.facts.config import DataSource, Project, load_project
from pipeline.facts.config.models import LayerQuantization, Section
from pipeline.facts.units import parse_allowance
from stages import STAGES, codegen, quantize
from stages.base import Job, Stage, applicable
from stages.execution import key_of

_FOLDER = "the folder of its results has this name, which messages of errors have, too"
_INPUT = "the file's bytes are an input, and its path is in messages of errors alone"
JUSTIFIED: dict[str, dict[str, str]] = {
    "import": {"model.source": _INPUT},
    "feasibility": {"product": _FOLDER},
    "quantize": dict.fromkeys(("data.calibration.file", "data.evaluation.file", "model.source"), _INPUT)
    | {
        "product": _FOLDER,
        "accuracy.at_least": "whether there is one is in the settings: it asks for labels",
    },
    "codegen": {"data.evaluation.file": _INPUT},
    "simulate": {"data.evaluation.file": _INPUT},
}
"""What a stage reads and its settings do not hold, each with the reason."""
NARROW = """
product: narrow
model: {source: ../models/digits_mlp.onnx}
data: {calibration: ../models/digits_mlp.npz, evaluation: ../models/digits_mlp.npz}
chip:
  chip: slow-flash
  core: cortex-m0
  clock: 48 MHz
  flash: {origin: 0, size: 64 KiB, wait_states: 2, line: 8 B}
  ram: {size: 16 KiB}
budget: {flash: 60 KiB, ram: 12 KiB, stack: 1 KiB, latency: 3 ms}
quantization: {weights: int4, layers: {/0/Gemm: {weights: ternary}}, calibration: percentile, scales: per-tensor}
memory: {inputs: arena, outputs: arena, code: ram}
optimize: flash
accuracy: {at_least: 0.1, signal: 60 dB, allow: [span]}
simulate: {vectors: 3}
"""


@dataclass
class Recorder:
    """The dotted keys of a project's configuration that are read."""

    names: dict[int, str] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)

    def add(self, section: Section, prefix: str) -> None:
        self.names[id(section)] = prefix
        for name in type(section).model_fields:
            value = section.__dict__[name]
            if isinstance(value, Section) and id(value) not in self.names:
                self.add(value, f"{prefix}{name}.")
            for key, part in value.items() if isinstance(value, dict) else ():
                self.add(part, f"{prefix}{name}.{key}.")

    def note(self, section: Section, name: str) -> None:
        prefix = self.names.get(id(section))
        if prefix is not None and not isinstance(section.__dict__[name], Section):
            self.read.add(f"{prefix}{name}")

    def note_all(self, section: Section, exclude: Collection[str] = ()) -> None:
        for name, value in section.__dict__.items():
            if name in exclude:
                continue
            self.note(section, name)
            for part in value.values() if isinstance(value, dict) else [value]:
                if isinstance(part, Section):
                    self.note_all(part)


@contextmanager
def recorded(project: Project) -> Iterator[Recorder]:
    recorder = Recorder()
    recorder.add(project.chip, "chip.")
    recorder.add(project.config, "")

    def read(section: Section, name: str) -> Any:
        if name in type(section).model_fields:
            recorder.note(section, name)
        return object.__getattribute__(section, name)

    def dump(section: Section, **options: Any) -> Any:
        recorder.note_all(section, options.get("exclude", ()))
        return BaseModel.model_dump(section, **options)

    def iterate(section: Section) -> Any:
        recorder.note_all(section)
        return BaseModel.__iter__(section)

    with pytest.MonkeyPatch.context() as patched:
        for method, own in (("__getattribute__", read), ("model_dump", dump), ("__iter__", iterate)):
            patched.setattr(Section, method, own)
        yield recorder


def others(section: Section, name: str) -> list[object]:
    """Values that a field could have in place of its own."""
    value, kind = section.__dict__[name], type(section).model_fields[name].annotation
    if value is None:
        return [1, "other", DataSource(file="other.npz"), parse_allowance("1 %", {}, "1 %")]
    if isinstance(value, dict):
        return [{**value, "other": LayerQuantization(weights="int7")}]
    if isinstance(value, str):
        own = [str(Path(value).with_stem("other"))] if value else ["other"]
        return [o for o in get_args(kind) if o != value] if get_args(kind) else own
    if isinstance(value, tuple):
        return [(*value, "other")]
    return [not value] if isinstance(value, bool) else [2 * value + 1]


def changed(section: Section, keys: list[str]) -> Iterator[Section]:
    """The section with each other value of the field of this dotted key."""
    name, *below = keys
    if not below:
        found: Iterator[object] = iter(others(section, name))
    elif isinstance(value := section.__dict__[name], dict):
        layer = ".".join(below[:-1])
        found = ({**value, layer: part} for part in changed(value[layer], below[-1:]))
    else:
        found = changed(value, below)
    yield from (section.model_copy(update={name: other}) for other in found)


def is_in_settings(stage: Stage, project: Project, key: str) -> bool:
    """Whether the stage's settings are others where the value of the dotted `key` is another."""

    def settings(project: Project) -> Mapping[str, object] | None:
        try:
            with warnings.catch_warnings(action="ignore"):  # pydantic: of a value that no YAML could give
                return dict(stage.settings(project))
        except (AttributeError, TypeError, ValueError):
            return None

    own, keys = settings(project), key.split(".")
    if keys[0] == "chip" and len(keys) > 1:
        projects = [replace(project, chip=c) for c in changed(project.chip, keys[1:])]
    else:
        projects = [replace(project, config=c) for c in changed(project.config, keys)]
    if not projects:
        return True  # it can have one value only
    return any(found not in (None, own) for found in map(settings, projects))


def prove(project: Project, build: Path, stages: Sequence[Stage] = STAGES) -> dict[str, set[str]]:
    """Run stages of a product in turn and compare what each reads with its settings; what each has read."""
    job, read, missing = Job(project, build), {}, {}
    for stage in some(s for s in stages if applicable(s, project)):
        key = key_of(stage, job)
        with recorded(project) as recorder:
            files = stage.run(replace(job, reads=stage.READS))
        write_folder(job.folder / stage.NAME, files, key.document)
        read[stage.NAME] = recorder.read
        missing[stage.NAME] = {k for k in recorder.read if not is_in_settings(stage, project, k)}
    assert missing == {s: set(JUSTIFIED.get(s, {})) for s in missing}
    return read


def loaded(folder: Path, name: str, text: str | None = None) -> Project:
    configs = shutil.copytree(ROOT / "configs", folder / "configs")
    path = configs / "products" / f"{name}.yaml"
    if text is not None:
        path.write_text(text, "utf-8")
    return load_project(path)


def without_latency(project: Project) -> Project:
    budget = project.config.budget.model_copy(update={"latency": None})
    return replace(project, config=project.config.model_copy(update={"budget": budget}))


def test_touch(tmp_path: Path) -> None:
    read = prove(loaded(tmp_path, "touch"), tmp_path / "build")
    assert {"optimize", "chip.multiplier"} <= read["codegen"] and "quantization.percentile" in read["quantize"]
    assert {"toolchain", "chip.ram.origin"} <= read["size-check"] and "chip.flash.cache" in read["simulate"]


def test_narrow_weights_code_in_ram_and_inputs_in_the_arena(tmp_path: Path) -> None:
    project = loaded(tmp_path, "narrow", NARROW)
    read = prove(project, tmp_path / "build")
    assert {"memory.code", "memory.inputs", "budget.latency"} <= read["codegen"]
    assert "quantization.layers./0/Gemm.weights" in read["quantize"] & read["feasibility"]
    # Where it is bound by no latency, what is optimized is in no other setting.
    assert "optimize" in prove(without_latency(project), tmp_path / "build", [codegen])["codegen"]


@pytest.mark.parametrize(
    ("stage", "section", "key"),
    [(codegen, None, "optimize"), (codegen, "memory", "code"), (quantize, "quantization", "percentile")],
)
def test_a_setting_that_is_left_out_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: Stage, section: str | None, key: str
) -> None:
    project, whole = without_latency(loaded(tmp_path, "touch")), stage.settings

    def settings(project: Project) -> Mapping[str, object]:
        found: dict[str, Any] = dict(whole(project))
        del (found if section is None else found[section])[key]
        return found

    dotted = key if section is None else f"{section}.{key}"
    assert is_in_settings(stage, project, dotted)
    monkeypatch.setattr(stage, "settings", settings)
    assert not is_in_settings(stage, project, dotted)
