"""Templates: only substitution; text from a model file has to pass through the filter `comment`."""

import textwrap
from functools import cache
from pathlib import Path

import jinja2

from pipeline.facts.text import in_comment, is_code


@cache
def environment() -> jinja2.Environment:
    """The folder of templates, strict about what is undefined and what is not code."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
        finalize=_code,
    )
    env.filters["comment"] = in_comment
    env.filters["wrapped"] = wrapped
    return env


def wrapped(line: str) -> list[str]:
    """A macro's invocation in pieces of at most 100 characters: a backslash at their ends joins the lines."""
    return textwrap.wrap(line, 100, break_long_words=False, break_on_hyphens=False)


def _code(value: object) -> object:
    """`value` for a template. Raises ValueError for text that is not code, as names from model files may be."""
    if isinstance(value, str) and not is_code(value):
        raise ValueError(f"not code, and not taken through in_comment: {value!r}")
    return value
