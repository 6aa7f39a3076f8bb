"""Entry point of the `chipfit` command: signal handlers are installed before slow imports."""

from collections.abc import Sequence

from stages.app import signals


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, by default from the process's own arguments; returns the exit code."""
    signals.install()
    try:
        from stages.app.commands import run
    except Exception as error:
        from stages.app.crash import report_crash

        return report_crash(error, "chipfit")
    return run(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
