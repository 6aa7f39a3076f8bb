"""Templates: only substitution, and nothing that a model file could have named gets through unseen."""

from functools import cache
from pathlib import Path

import jinja2

from pipeline.facts.text import in_comment, is_code


@cache
def environment() -> jinja2.Environment:
    """The folder of templates, strict about what is undefined and what is not code."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
        finalize=_code,
    )
    made.filters["comment"] = in_comment
    return made


def _code(value: object) -> object:
    """What a template writes: nothing that a name from a model file could have brought along unseen."""
    if isinstance(value, str) and not is_code(value):
        raise ValueError(f"not code, and not taken through in_comment: {value!r}")
    return value
