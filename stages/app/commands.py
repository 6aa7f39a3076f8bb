"""The commands of `chipfit`: the one table that the command line and the README read; everything else is doit's."""

import errno
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from pipeline.facts.errors import ChipfitError


@dataclass(frozen=True)
class Command:
    """`name arguments` as a user types it; the function of that name in `stages.app.<name>` takes the arguments."""

    name: str
    arguments: str
    does: str

    @property
    def usage(self) -> str:
        return f"chipfit {self.name} {self.arguments}".rstrip()

    def run(self, arguments: Sequence[str]) -> int:
        """The exit code; raises ChipfitError."""
        code: int = getattr(import_module(f"stages.app.{self.name}"), self.name)(arguments)
        return code


COMMANDS = (
    Command(
        "build",
        "[PRODUCT.yaml ...] [--only NAME] [--locked] [--store URL] [--jobs N] [--scheduler URL] [--json] [DOIT ...]",
        "build products (default: products found here)",
    ),
    Command("lock", "[PRODUCT ...] [--check]", "build and write PRODUCT.lock.yaml, for chipfit build --locked"),
    Command("plan", "[PRODUCT ...] [--json]", "what a build would run or restore, and why"),
    Command("why", "STAGE:PRODUCT [--against BUILD|KEY] [--json]", "what changed since a stage's results were made"),
    Command("graph", "[PRODUCT ...] [-o FILE]", "draw stages and products as SVG"),
    Command("explain", "[PRODUCT ...] [--json]", "what the plan chose for each layer, and what else it could have"),
    Command(
        "diff",
        "[OLD [NEW] | OLD..NEW] [--product NAME] [--regression] [--exit-code] [--json | --markdown]",
        "what changed between two builds, and why",
    ),
    Command(
        "verify",
        "[BUILD] [PRODUCT ...] [--rebuild] [--key FILE] [--json]",
        "whether a build is as it was written",
    ),
    Command("sign", "[BUILD] [PRODUCT ...] --key FILE", "sign what a build says of itself, with a key of yours"),
    Command("estimate", "MODEL [--chip NAME] [--json]", "what a model would need on every known chip, or on one"),
    Command("cache", "stats|prune|verify|where [--size N] [--json]", "look after the store of stage results"),
    Command(
        "init", "[FOLDER] [--ci SERVER]", "write a commented product.yaml and a dodo.py; or a job for github or gitlab"
    ),
    Command("schema", "[--chip]", "print the JSON Schema of a product or chip YAML"),
    Command("chips", "", "list the chips that chipfit knows"),
)

_END = """
After `build`, anything that doit understands: list, clean, info quantize:touch, simulate:touch, -n 2.
Results go to build/ in the current folder. Exit code 0: everything fits; 1: a rule is missed or an input is wrong, each
time said in one line; 2: a fault of chipfit's own; 130: Ctrl-C; 143: SIGTERM.
"""


def usage() -> str:
    """What `chipfit` alone prints."""
    rows = [f"  {c.usage:<50}  {c.does}".rstrip() + "\n" for c in (*COMMANDS, Command("--version", "", ""))]
    return "".join(["chipfit: from a trained network to integer C that provably fits a small chip\n\n", *rows, _END])


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, 1 after one line on stderr for each thing that is wrong, 2 for a crash."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    name, rest = (given[0], given[1:]) if given else ("help", [])
    command = next((c for c in COMMANDS if c.name == name), None)
    try:
        if command is not None:
            code = command.run(rest)
            sys.stdout.flush()
            return code
        if name in ("--version", "version"):
            from importlib.metadata import version

            print(f"chipfit {version('chipfit')}")
            return 0
        print(usage(), end="")
        return 0 if name in ("help", "--help", "-h") else 1
    except ChipfitError as error:
        print(error, file=sys.stderr)
        return 1
    except SystemExit as ended:  # of --help
        return int(ended.code or 0)
    except BrokenPipeError:
        _drop_output()  # whoever read it has enough
        return 1
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept", file=sys.stderr)
        return 130
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            _drop_output()
            print(ChipfitError(f"nothing more can be written: {error.strerror}", place=error.filename), file=sys.stderr)
            return 1
        from stages.app.crash import report_crash

        return report_crash(error, f"chipfit {name}")


def _drop_output() -> None:
    """Python must not try to write what is left of the output at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
