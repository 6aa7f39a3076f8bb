"""File names of a library: two products lie side by side even where all files share one folder."""

import re

_INCLUDE = re.compile(rb'^(#include ")(?=[a-z0-9_]+\.(?:h|inc)")', re.MULTILINE)


def inner(product: str, name: str) -> str:
    """The name of a file that only the library itself includes, or that its build compiles.

    No product's name has two underscores side by side, so none of these is another product's. Macros of assembly end
    in .h too: of a sketch's folder, the Arduino IDE compiles with .c, .S and .h only.
    """
    return f"{product}__{name}{'.h' if name.endswith('.inc') else ''}"


def with_inner_includes(text: bytes, product: str) -> bytes:
    """A kernel's source with the names that the files it includes have in the library; nothing else changes."""
    return _INCLUDE.sub(rb"\g<1>" + inner(product, "").encode(), text)
