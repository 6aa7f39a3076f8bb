"""`chipfit build`: the products named, or those found here, by doit."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.facts.config.lock import SUFFIX
from pipeline.facts.errors import ChipfitError
from pipeline.facts.files import absence_reason, is_file

LOCKED, NOT_LOCKED = "--locked", "--no-locked"


def build(arguments: Sequence[str]) -> int:
    """Run doit over the named products, or over those found in the current folder."""
    from doit.cmd_base import ModuleTaskLoader
    from doit.doit_cmd import DoitMain

    from stages.app.schedule import doit_tasks

    locked = next((a == LOCKED for a in reversed(arguments) if a in (LOCKED, NOT_LOCKED)), None)
    arguments = [a for a in arguments if a not in (LOCKED, NOT_LOCKED) and not a.endswith(SUFFIX)]
    products = [a for a in arguments if a.endswith((".yaml", ".yml"))]
    rest = [a for a in arguments if a not in products]
    missing = [p for p in products if not is_file(Path(p))]
    if missing:
        raise ChipfitError(absence_reason(Path(missing[0])), place=missing[0], hint="chipfit init writes a starter.")
    here = products_here(required=not products)
    tasks = doit_tasks(*(products or here), others=here if products else (), locked=locked)
    try:
        code = DoitMain(ModuleTaskLoader(tasks)).run(rest)
    except SystemExit as ended:
        code = ended.code
    return 0 if not code else 1


def products_here(required: bool = True) -> list[str]:
    """The product YAMLs in configs/products, else in the current folder; raises ChipfitError for none, if required."""
    from stages.app.schedule import find_products

    for folder in (Path("configs/products"), Path()):
        found = find_products(folder) if folder.is_dir() else []
        if found:
            return [str(p) for p in found]
    if not required:
        return []
    raise ChipfitError("no product YAML here", place=".", hint="chipfit init writes a starter, or name one.")
