"""The `chipfit` command as it is started: what Ctrl-C does is settled before anything that takes time is loaded."""

from collections.abc import Sequence

from stages.app import signals


def main(arguments: Sequence[str] | None = None) -> int:
    """As `stages.app.commands.run`, of the process's own arguments where none are given."""
    signals.install()
    from stages.app.commands import run

    return run(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
