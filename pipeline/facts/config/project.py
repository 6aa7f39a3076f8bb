"""Products as loaded: config, chip, and the place of every key; one of a file, or all that its variants declare."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.facts.config.chips import find_chip
from pipeline.facts.config.models import ChipSpec, ProjectConfig
from pipeline.facts.config.validation import by_line, validate
from pipeline.facts.config.variants import Variant, expand
from pipeline.facts.config.yaml_file import YamlDocument, read_yaml
from pipeline.facts.errors import ChipfitError, ManyErrors, Place, did_you_mean
from pipeline.facts.files import is_folder
from pipeline.facts.units import show_size

if TYPE_CHECKING:
    from pipeline.facts.config.lock import LockFile

Chips = dict[tuple[str, Path | None], ChipSpec]
"""Chips that were read, by name and the folder that `chips` names."""
_PATHS = ("model.source", "data.calibration", "data.evaluation", "chips")


@dataclass(frozen=True, eq=False)
class Project:
    """A product as loaded: its config, its chip, the place of every dotted key, and the folder of every path.

    `variant` is its value of each axis, where its file declares variants; else it is empty. `lock` is what it is to be
    built from without calibrating, if that is asked for. `files` are those that lie elsewhere here, by the key that
    names them: a machine that builds for another one has copies.
    """

    config: ProjectConfig
    chip: ChipSpec
    path: Path
    places: Mapping[str, Place]
    folders: Mapping[str, Path]
    variant: Mapping[str, str]
    lock: "LockFile | None" = None
    files: Mapping[str, Path] = field(default_factory=dict)

    def place(self, key: str) -> Place:
        """Place of a dotted key such as budget.latency; its parent's line, or the file, where it is not written."""
        while key:
            if key in self.places:
                return self.places[key]
            key = key.rpartition(".")[0]
        return Place(str(self.path))

    def file(self, key: str, written: str) -> Path:
        """The path to open for the path `written` at `key`: relative to the YAML file in which it stands."""
        return self.files[key] if key in self.files else self.folders.get(key, self.path.parent) / written

    def told(self, message: str) -> str:
        """A message about the product, which begins with its name where a line of its file stands for several."""
        return f"{self.config.product}: {message}" if self.variant else message


Loaded = tuple[str, Project | ChipfitError]
"""A product's name, and the product or what is wrong with it."""


def load_variants(path: Path) -> list[Loaded]:
    """Every product that a YAML declares: one, or each of its variants, in their order.

    What is wrong with some variants stands in their place and does not hide the others. Raises ChipfitError or
    ManyErrors for a file in which nothing can be built.
    """
    variants = expand(read_yaml(path, str(path)), str(path))
    chips: Chips = {}
    loaded = [_load(v, path, chips) for v in variants]
    wrong = [(n, p) for n, p in loaded if isinstance(p, ChipfitError)]
    if len(wrong) == len(loaded):
        raise _once([e for _, e in wrong])
    return _with_names(loaded) if wrong else loaded


def load_project(path: Path, name: str | None = None) -> Project:
    """The product of a YAML; of several variants, the one of that name. Raises ChipfitError or ManyErrors."""
    loaded = load_variants(path)
    names = [n for n, _ in loaded]
    if name is None and len(loaded) > 1:
        message = f"declares {len(loaded)} products, one was expected"
        raise ChipfitError(message, place=Place(str(path)), hint=f"Name one of {', '.join(names)}.")
    if name is not None and name not in names:
        raise ChipfitError(f"declares no product {name!r}", place=Place(str(path)), hint=did_you_mean(name, names))
    project = loaded[names.index(name) if name else 0][1]
    if isinstance(project, ChipfitError):
        raise project
    return project


def _load(variant: Variant, path: Path, chips: Chips) -> Loaded:
    written = variant.document
    try:
        config = validate(ProjectConfig, written, str(path))
        folders = {key: folder for key in _PATHS if (folder := written.folder(key)) is not None}
        chip = _chip(config, path, written, folders, chips)
        project = Project(config, chip, path, written.places, folders, variant.choice)
        _cross_check(project)
        return config.product, project
    except ChipfitError as error:
        return str(written.values.get("product", "")), error


def _chip(
    config: ProjectConfig, path: Path, written: YamlDocument, folders: Mapping[str, Path], known: Chips
) -> ChipSpec:
    own = None if config.chips is None else folders["chips"] / config.chips
    if own is not None and not is_folder(own):
        raise ChipfitError(f"chips: {config.chips} is not a folder", place=written.places["chips"])
    if not isinstance(config.chip, str):
        return config.chip
    if (config.chip, own) not in known:
        known[config.chip, own] = find_chip(config.chip, path.parent, written.places["chip"], own)
    return known[config.chip, own]


def _each(error: ChipfitError) -> Sequence[ChipfitError]:
    return error.errors if isinstance(error, ManyErrors) else (error,)


def _once(errors: Sequence[ChipfitError]) -> ChipfitError:
    """All mistakes, each once."""
    found = {str(e): e for error in errors for e in _each(error)}
    return ManyErrors(sorted(found.values(), key=by_line))


def shown_names(names: Sequence[str]) -> str:
    """Products that a message is about: the first, and how many more."""
    return f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else names[0]


def _with_names(loaded: Sequence[Loaded]) -> list[Loaded]:
    """Every mistake says in which products it is one, where others of the file have it not."""
    names: dict[str, list[str]] = {}
    for name, error in loaded:
        for e in _each(error) if isinstance(error, ChipfitError) else ():
            names.setdefault(str(e), []).append(name)

    def told(e: ChipfitError) -> ChipfitError:
        return ChipfitError(f"{shown_names(names[str(e)])}: {e.message}", place=e.place, hint=e.hint)

    return [(n, ManyErrors([told(e) for e in _each(p)]) if isinstance(p, ChipfitError) else p) for n, p in loaded]


def _cross_check(project: Project) -> None:
    budget, chip = project.config.budget, project.chip
    errors = [
        ChipfitError(
            f"budget.{name}: {show_size(free)} is more than the {show_size(has)} that {chip.chip} has",
            place=project.place(f"budget.{name}"),
            hint="A budget is what is free on the chip.",
        )
        for name, free, has in (
            ("flash", budget.flash, chip.flash.size),
            ("ram", budget.ram, chip.ram.size),
            ("stack", budget.stack, chip.ram.size),
        )
        if free is not None and free > has
    ]
    if project.config.memory.code == "ram" and budget.ram is None:
        errors.append(
            ChipfitError(
                "memory.code: ram needs budget.ram, the RAM that is free",
                place=project.place("memory.code"),
                hint="Code in RAM takes as many bytes of it as pay, and no more than that.",
            )
        )
    accuracy = project.config.accuracy
    errors += [
        ChipfitError(
            f"accuracy.{name}: there are no labelled evaluation data",
            place=project.place(f"accuracy.{name}"),
            hint="Write data.evaluation: an .npz file with held-out inputs x and their classes y.",
        )
        for name, asked in (("at_least", accuracy.at_least), ("max_drop", accuracy.max_drop))
        if asked is not None and project.config.data.evaluation is None
    ]
    if errors:
        raise ManyErrors(errors)
