"""Entry point of the `chipfit` command: signal handlers are installed before slow imports."""

import gc
from collections.abc import Sequence

from stages.app import signals

_OBJECTS = 50_000
"""New ones before Python looks for garbage in cycles: at a start all are there to stay."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, by default from the process's own arguments; returns the exit code."""
    signals.install()
    gc.set_threshold(_OBJECTS)
    try:
        from stages.app.commands import run
    except Exception as error:
        from stages.app.crash import report_crash

        return report_crash(error, "chipfit")
    return run(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
