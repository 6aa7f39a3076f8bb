"""Options of a command: argparse's, whose mistakes are one sentence as any other, with exit code 1."""

import argparse
from typing import NoReturn

from pipeline.facts.errors import ChipfitError
from stages.app.commands import COMMANDS


class Options(argparse.ArgumentParser):
    """Parser of one command's arguments; `--help` prints its usage."""

    def __init__(self, command: str) -> None:
        self._usage = next(c for c in COMMANDS if c.name == command)
        super().__init__(
            prog=f"chipfit {command}", usage=self._usage.usage, description=self._usage.does, allow_abbrev=False
        )

    @property
    def names(self) -> list[str]:
        """Every option, as it is typed."""
        return [name for action in self._actions for name in action.option_strings]

    def error(self, message: str) -> NoReturn:
        """Raise ChipfitError with what argparse found, and the usage as its hint."""
        raise ChipfitError(message, place=self.prog, hint=f"Usage: {self._usage.usage}")
