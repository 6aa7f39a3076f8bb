"""The products that a command's arguments mean: YAML files, or names of products in those found here."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.facts.config import Project
from pipeline.facts.config.lock import SUFFIX
from pipeline.facts.errors import ChipfitError, did_you_mean, together
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
        raise together(errors)
    found = {name: project for name, project in loaded if isinstance(project, Project)}
    for name in names:
        if name not in found:
            raise ChipfitError(f"no product is called {name!r}", hint=did_you_mean(name, list(found)))
    asked = asks_for_lock(locked)
    taken = []
    for name in names or found:
        try:
            taken.append(with_lock(found[name], asked))
        except ChipfitError as error:
            errors.append(error)
    if errors:
        raise together(errors)
    return taken
