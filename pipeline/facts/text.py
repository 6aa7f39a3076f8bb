"""Escaping of names from a model file or a YAML: one function for each language that chipfit writes.

Whoever sends a model chooses the names of its nodes and tensors. This module alone decides which characters of them
reach a comment, a page or a terminal.
"""

import re

MAX_NAME = 200
"""Characters of one name in a comment or a table."""
_MAX_SENTENCE = 3000
_WORD = re.compile(rf"\S{{{MAX_NAME + 1},}}")
_COMMENT = re.compile(r"[^ !#$%&(),\-.0-9:<=>+A-Z\[\]^_a-z{|}~]")
_CODE = re.compile(r"[^\x20-\x7e]|\\(?![a-z])|\?\?|/\*|\*/|//")
# Drawn as nothing, although Python calls them printable.
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
# Of `:` only what may begin or end an emoji, or is followed by an address: after a word comes mostly a space.
_MARKDOWN = re.compile(r"[&<>`*\[\]|~\\@#!$]|(?<![^\W_])_|_(?![^\W_])|:(?=[\w+\-/])|(?<=www)\.", re.IGNORECASE)


def shortened(text: str, longest: int = MAX_NAME) -> str:
    """`text`, without its middle where it is longer than `longest`."""
    return text if len(text) <= longest else f"{text[: longest * 2 // 3]}...{text[-longest // 3 + 3 :]}"


def in_comment(text: str) -> str:
    """Text for a comment of C, assembler, a linker script or CMake, whatever begins or ends one there.

    What is not printable ASCII becomes _, as do quotes, `*`, `/`, `\\`, `?`, `@`, `;`: nothing is left that could end
    a comment, continue a line, begin a trigraph, or stand for a statement.
    """
    return _COMMENT.sub("_", shortened(text))


def is_code(text: str) -> bool:
    """Whether `text` may stand in generated code: printable ASCII of one line that neither begins nor ends a comment.

    What chipfit puts together itself is so; a name that nobody has taken through `in_comment` is caught.
    """
    return _CODE.search(text) is None


def visible(text: str, longest: int = _MAX_SENTENCE) -> str:
    """Text for a terminal or a page: what moves the cursor, turns the writing direction or is not seen is escaped.

    Covers control characters, ESC, line ends, direction marks (U+202E), zero widths, unpaired surrogates.
    """
    text = shortened(text, longest)
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() and not _INVISIBLE.match(c) else _escaped(c) for c in text)


def in_sentence(text: str) -> str:
    """A sentence for a terminal: long words are shortened so that none hides the rest, invisible characters escaped."""
    return visible(_WORD.sub(lambda m: shortened(m[0]), text))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def in_markdown(text: str) -> str:
    """Text inside a paragraph, a heading or a table cell of Markdown that means only itself.

    No emphasis, code, link, HTML, cell border, formula, emoji, mention of a person or an issue, and no address that
    becomes a link.
    """
    return _MARKDOWN.sub(lambda m: f"&#{ord(m[0])};", visible(text))
