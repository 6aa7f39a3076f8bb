"""chipfit's own faults: a traceback, one line that asks to report it, and exit code 2: nobody blames an input."""

import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

EXIT_CODE = 2


def report_crash(error: BaseException, during: str = "") -> int:
    """Say on stderr what went wrong within chipfit, `during` which work; returns the exit code."""
    say_crash(traceback.format_exception(error), during)
    return EXIT_CODE


def say_crash(lines: Sequence[str], during: str = "") -> str:
    """Print a traceback, as `traceback.format_exception` has it, and the line that asks to report it: the result."""
    from pipeline.facts.text import in_sentence, visible

    told = [visible(line) for part in lines for line in part.splitlines()]
    what = told[-1].strip() if told else "no traceback"
    where = f" in {during}" if during else ""
    line = in_sentence(
        f"internal error{where}: {what.removesuffix('.')}. This is chipfit's own fault: please report it with the "
        "traceback above; what was finished is kept."
    )
    sys.stderr.write("\n".join([*told, line, ""]))
    sys.stderr.flush()
    return line


@contextmanager
def ending_crashes(during: str = "") -> Iterator[None]:
    """End the process with exit code 2 where doit would end it with 3, or Python with 1; with 1 for a ChipfitError."""
    from pipeline.facts.errors import ChipfitError

    try:
        yield
    except ChipfitError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from error
    except Exception as error:
        raise SystemExit(report_crash(error, during)) from error
