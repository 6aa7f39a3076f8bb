"""Errors that a user can cause: one sentence with place, cause and hint."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from pipeline.facts.text import in_sentence


@dataclass(frozen=True)
class Place:
    """A position in the user's own files: a path and, when known, a 1-based line."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


class ChipfitError(Exception):
    """An error the user can cause and mend: printed as one line, never as a traceback, exit code 1.

    `message` says what was wrong and what was expected, without a final full stop; `place` is the file
    (and line) it is about; `hint` is a full sentence that says what would help. All three may hold names from a
    model file: what could rule a terminal is spelt out when the error is printed.
    """

    def __init__(self, message: str, *, place: Place | str | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.place, self.hint = message, place, hint

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place is not None else ""
        return in_sentence(f"{where}{self.message}." + (f" Hint: {self.hint}" if self.hint else ""))


class ManyErrors(ChipfitError):
    """Several errors found in one pass, so that one run tells everything that is wrong: one line each."""

    def __init__(self, errors: Sequence[ChipfitError]) -> None:
        super().__init__("; ".join(e.message for e in errors))
        self.errors = tuple(errors)

    def __str__(self) -> str:
        return "\n".join(str(e) for e in self.errors)


def together(errors: Iterable[ChipfitError]) -> ManyErrors:
    """Errors of several parts, each of which may be many, as one; what several parts say alike is said once."""
    each = (e for error in errors for e in (error.errors if isinstance(error, ManyErrors) else (error,)))
    return ManyErrors(list({str(e): e for e in each}.values()))


def did_you_mean(word: str, known: Sequence[str], otherwise: str = "") -> str:
    """A hint naming the closest of `known` to `word`; when none is close, `otherwise`, or all of them."""
    close = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"Did you mean {close[0]!r}?" if close else otherwise or f"Known: {', '.join(known)}."
