"""Some of the products that were found, by their names."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from pipeline.facts.config import Loaded
from pipeline.facts.errors import ChipfitError, did_you_mean


def selected(loaded: Sequence[Loaded], patterns: Sequence[str]) -> list[Loaded]:
    """The products whose name one of the `patterns` (`touch_*`) matches, in their order; without a pattern, all.

    Raises ChipfitError for a pattern that matches none.
    """
    names = [name for name, _ in loaded]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            hint = did_you_mean(pattern, names) if names else ""
            raise ChipfitError(f"--only {pattern}: no product has such a name", hint=hint)
    return [p for p in loaded if not patterns or any(fnmatchcase(p[0], pattern) for pattern in patterns)]
