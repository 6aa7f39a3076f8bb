"""The products that a command's arguments mean: YAML files, or names of products in those found here."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.facts.config import Project
from pipeline.facts.config.lock import SUFFIX
from pipeline.facts.errors import ChipfitError, ManyErrors, did_you_mean
from stages.app.build import products_here
from stages.app.drift import asks_for_lock, with_lock
from stages.app.schedule import load_products

BUILD = Path("build")
"""Where the results of commands and of `doit` are."""
PICTURE = "graph.svg"
"""What `chipfit graph` draws there, for the moment at which it is drawn."""


def products(arguments: Sequence[str], locked: bool | None = None) -> list[Project]:
    """The products of these arguments, all that are found here without any, from their locks where a build takes those.

    `locked`: what --locked or --no-locked says. Raises ChipfitError or ManyErrors.
    """
    arguments = [a for a in arguments if not a.endswith(SUFFIX)] or arguments  # *.yaml names locks, too
    files = [a for a in arguments if a.endswith((".yaml", ".yml"))]
    names = [a for a in arguments if a not in files]
    loaded = load_products(*(files or products_here()))
    errors = [p for _, p in loaded if isinstance(p, ChipfitError)]
    if errors:
        each = [e for error in errors for e in (error.errors if isinstance(error, ManyErrors) else [error])]
        raise ManyErrors(list({str(e): e for e in each}.values()))
    found = {name: project for name, project in loaded if isinstance(project, Project)}
    for name in names:
        if name not in found:
            raise ChipfitError(f"no product is called {name!r}", hint=did_you_mean(name, list(found)))
    asked = asks_for_lock(locked)
    return [with_lock(found[n], asked) for n in names or found]
