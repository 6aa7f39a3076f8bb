"""Products and chips: YAML in, frozen and checked values out; every mistake at once, each with its line."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from pipeline.facts.config.models import ChipSpec, DataSource, ProjectConfig
from pipeline.facts.config.yaml_file import YamlDocument, read_yaml
from pipeline.facts.errors import ChipfitError, ManyErrors, Place, did_you_mean
from pipeline.facts.files import is_file
from pipeline.facts.units import show_size

_PACKAGE = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, eq=False)
class Project:
    """A product as loaded: its config, its chip, the place of every dotted key, and the folder of every path."""

    config: ProjectConfig
    chip: ChipSpec
    path: Path
    places: Mapping[str, Place]
    folders: Mapping[str, Path]

    def place(self, key: str) -> Place:
        """Place of a dotted key such as budget.latency; its parent's line, or the file, where it is not written."""
        while key:
            if key in self.places:
                return self.places[key]
            key = key.rpartition(".")[0]
        return Place(str(self.path))

    def file(self, key: str, written: str) -> Path:
        """The path to open for the path `written` at `key`: relative to the YAML file in which it stands."""
        return self.folders.get(key, self.path.parent) / written


def load_project(path: Path) -> Project:
    """Read one product YAML with what it extends, and its chip. Raises ChipfitError or ManyErrors."""
    written = read_yaml(path, str(path))
    config = _validate(ProjectConfig, written, str(path))
    assert isinstance(config, ProjectConfig)
    chip = config.chip
    if isinstance(chip, str):
        chip = find_chip(chip, path.parent, written.places.get("chip", Place(str(path))))
    folders = {key.removesuffix(".file"): folder for key, folder in written.origins.items()}
    project = Project(config, chip, path, written.places, folders)
    _cross_check(project)
    return project


def chip_folder() -> Path:
    """The folder of chipfit's own chips: in an installed wheel, or in the checkout."""
    installed = _PACKAGE / "chip_files"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs" / "chips"


def known_chips() -> list[str]:
    """The names of chipfit's own chips."""
    return sorted(p.stem for p in chip_folder().glob("*.yaml"))


def find_chip(name: str, folder: Path, place: Place) -> ChipSpec:
    """A chip by name: beside the product, in its chips/ or the neighbouring chips/, or chipfit's own."""
    for candidate in (folder, folder / "chips", folder.parent / "chips", chip_folder()):
        path = candidate / f"{Path(name).name}.yaml"
        if is_file(path):
            written = read_yaml(path, str(path) if candidate != chip_folder() else f"chips/{path.name}")
            if "core" not in written.values:
                continue
            chip = _validate(ChipSpec, written, str(path))
            assert isinstance(chip, ChipSpec)
            return chip
    raise ChipfitError(f"chip: {name!r} is not known", place=place, hint=did_you_mean(name, known_chips()))


def _validate(model: type[BaseModel], written: YamlDocument, shown: str) -> BaseModel:
    try:
        return model.model_validate(written.values)
    except ValidationError as error:
        raise ManyErrors(_errors(error, written, shown)) from error


def _errors(error: ValidationError, written: YamlDocument, shown: str) -> list[ChipfitError]:
    found: dict[tuple[str, str], ChipfitError] = {}
    inline = isinstance(written.values.get("chip"), dict)
    for detail in error.errors():
        parts = [str(p) for p in detail["loc"]]
        if parts[:2] == ["chip", "str"] and inline:
            continue  # an inline chip: only the errors of ChipSpec matter
        if len(parts) > 1 and parts[0] == "chip" and "ChipSpec" in parts[1]:
            if not inline:
                continue
            parts = ["chip", *parts[2:]]
        key = ".".join(parts)
        message, hint = _message_and_hint(detail, parts, written)
        parent = key
        while parent and parent not in written.places:
            parent = parent.rpartition(".")[0]
        place = written.places.get(parent, Place(shown))
        found[key, message] = ChipfitError(f"{key}: {message}" if key else message, place=place, hint=hint)
    return sorted(found.values(), key=lambda e: (e.place.line or 0) if isinstance(e.place, Place) else 0)


def _message_and_hint(detail: Any, parts: list[str], written: YamlDocument) -> tuple[str, str]:
    """Message and hint for one of pydantic's findings."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return "is not a known key", did_you_mean(parts[-1], _known_keys(parts[:-1]))
    if kind == "missing":
        return "is missing", ""
    if kind == "literal_error":
        return f"is {detail['input']!r}, expected {context['expected']}", ""
    if kind == "value_error":
        return str(context["error"]), ""
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"is {detail['input']!r}, expected keys below it", ""
    text = detail["msg"].replace("Input should be", "expected")
    return f"is {detail['input']!r}, {text[0].lower()}{text[1:]}", ""


def _known_keys(parts: list[str]) -> list[str]:
    model: Any = ProjectConfig
    for index, part in enumerate(parts):
        if part == "chip":
            model = ChipSpec
            continue
        if index == 2 and parts[:2] == ["quantization", "layers"]:
            continue  # a layer's name is no key of ours
        field = model.model_fields.get(part)
        options = [field.annotation, *getattr(field.annotation, "__args__", ())] if field else []
        model = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)
        if model is None:
            return []
    extra = ["extends"] if model is ProjectConfig else []
    return [*model.model_fields, *extra]


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


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a product YAML, for editors."""
    schema = ProjectConfig.model_json_schema()
    schema["properties"]["extends"] = {"type": "string", "description": "Another product YAML to start from"}
    for field in schema["$defs"]["DataSection"]["properties"].values():
        field["anyOf"].append({"type": "string", "description": "The .npz file, with default keys"})
    del schema["required"]  # a product that extends another may leave out anything
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


__all__ = ["ChipSpec", "DataSource", "Project", "ProjectConfig", "json_schema", "known_chips", "load_project"]
