"""Templates of the HTML pages: everything from outside is escaped, and what cannot be seen is spelt out."""

from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from pipeline.facts.text import visible

FOLDER = Path(__file__).parent


def environment() -> jinja2.Environment:
    """An environment in which a page's template is rendered; an unknown name in one is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_visible_text,
    )  # fmt: skip


def styles(*names: str) -> str:
    """The text of style sheets of this folder, which a page carries inside."""
    return "".join((FOLDER / name).read_text("utf-8") for name in names)


def _visible_text(value: Any) -> Any:
    """`value`, where it is a text with invisible characters escaped; HTML is escaped by autoescape."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
