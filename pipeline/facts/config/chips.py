"""Chips by name: whose folders they are looked for in, and the facts of their YAML."""

from pathlib import Path

from pipeline.facts.config.models import ChipSpec
from pipeline.facts.config.validation import validate
from pipeline.facts.config.yaml_file import read_yaml
from pipeline.facts.errors import ChipfitError, Place, did_you_mean
from pipeline.facts.files import is_file

_PACKAGE = Path(__file__).resolve().parent.parent.parent


def chip_folder() -> Path:
    """The folder of chipfit's own chips: in an installed wheel, or in the checkout."""
    installed = _PACKAGE / "chip_files"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs" / "chips"


def known_chips() -> list[str]:
    """The names of chipfit's own chips."""
    return _names(chip_folder())


def find_chip(name: str, folder: Path, place: Place, own: Path | None = None) -> ChipSpec:
    """A chip by name: in the user's `own` folder of chips, beside the product, in its chips/ or the neighbouring
    chips/, or chipfit's own. `place` is where it is named.

    Raises ChipfitError or ManyErrors where there is none, or its facts are wrong.
    """
    beside = (folder, folder / "chips", folder.parent / "chips")
    for candidate in (*((own,) if own else ()), *beside, chip_folder()):
        path = candidate / f"{Path(name).name}.yaml"
        if is_file(path):
            written = read_yaml(path, str(path) if candidate != chip_folder() else f"chips/{path.name}")
            if "core" not in written.values and candidate is not own:
                continue  # a product of that name
            return validate(ChipSpec, written, str(path))
    known = sorted({*(_names(own) if own else ()), *known_chips()})
    raise ChipfitError(f"chip: {name!r} is not known", place=place, hint=did_you_mean(name, known))


def _names(folder: Path) -> list[str]:
    return sorted(p.stem for p in folder.glob("*.yaml"))
