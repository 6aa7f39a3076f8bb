"""What words and options after `chipfit build` mean: products by name, or what doit understands; and running that."""

import getopt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from doit.cmd_base import ModuleTaskLoader
from doit.cmdparse import CmdParseError
from doit.doit_cmd import DoitMain
from doit.exceptions import InvalidCommand, InvalidDodoFile, InvalidTask

from pipeline.facts.errors import ChipfitError, did_you_mean
from stages import STAGES
from stages.app.crash import ending_crashes

_PLACE = "chipfit build"
_OF_TASKS = ("run", "list", "clean", "forget", "ignore", "reset-dep")
"""Verbs of doit that take any number of tasks: narrowed to a product, they mean its tasks."""
_OTHERWISE = "chipfit build --help and chipfit build help run say what there is."


@dataclass(frozen=True)
class Line:
    """A verb of doit, its options, each with its value, and what follows: tasks, targets or patterns of tasks."""

    verb: str
    options: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def arguments(self) -> list[str]:
        return [self.verb, *self.options, *self.words]


def read_line(arguments: Sequence[str], own: Sequence[str]) -> Line:
    """What is left of a command line without the `own` options of `chipfit build`; options may stand anywhere in it.

    Raises ChipfitError for an option that doit does not know either, or without a value that fits.
    """
    if list(arguments) == ["--version"]:
        return Line("--version", (), ())
    main = DoitMain()
    commands = main.get_cmds()
    named = bool(arguments) and arguments[0] in commands
    verb, given = (arguments[0], arguments[1:]) if named else ("run", arguments)
    kind = commands.get_plugin(verb)
    parser = kind(task_loader=ModuleTaskLoader({}), config=main.config, cmds=commands).cmdparser
    try:
        options, words = getopt.gnu_getopt(list(given), parser.get_short(), parser.get_long())
    except getopt.GetoptError as error:
        option = f"-{error.opt}" if len(error.opt) == 1 else f"--{error.opt}"
        if "not recognized" not in error.msg:
            raise ChipfitError(error.msg, place=_PLACE, hint=_OTHERWISE) from error
        theirs = [o for x in parser.options for o in (f"-{x.short}", f"--{x.long}", f"--{x.inverse}") if o.strip("-")]
        hint = did_you_mean(option, [*own, *theirs], _OTHERWISE)
        told = f"{option} is an option of neither chipfit build nor doit {verb}"
        raise ChipfitError(told, place=_PLACE, hint=hint) from error
    for option, value in options:
        _check(option, value, parser)
    return Line(verb, tuple(x for o, v in options for x in ([o, v] if v else [o])), tuple(words))


def _check(option: str, value: str, parser: Any) -> None:
    found, _ = parser.get_option(option)
    if found.type is bool:
        return
    try:
        if not value:
            raise CmdParseError
        found.str2type(value)
    except CmdParseError as error:
        wanted = " or ".join(found.choices) or {int: "an integer"}.get(found.type, "a value")
        raise ChipfitError(f"{option} is {value!r}, expected {wanted}", place=_PLACE, hint=_OTHERWISE) from error


def without_products(line: Line, names: Sequence[str]) -> tuple[Line, list[str]]:
    """The line without the words that are names of products or patterns of them (`touch_*`), and these words.

    What names a stage or a task stays doit's, whatever the products are called.
    """
    if line.verb not in _OF_TASKS:
        return line, []
    stages = [s.NAME for s in STAGES]
    products = [w for w in line.words if w not in stages and any(fnmatchcase(n, w) for n in names)]
    return replace(line, words=tuple(w for w in line.words if w not in products)), products


def require_known(line: Line, tasks: Mapping[str, Any], names: Sequence[str]) -> None:
    """Raise ChipfitError for a word that names no stage, task, target or, as all `names` do, product."""
    if line.verb == "help" or not line.words:
        return
    known = [s.NAME for s in STAGES]
    targets: set[str] = set()
    for stage in STAGES:
        every = [t for t in tasks[f"task_{stage.NAME}"]() if t["name"] is not None]
        known += [f"{stage.NAME}:{t['name']}" for t in every]
        targets.update(target for t in every for target in t.get("targets", ()))
    for word in line.words:
        if word in known or word in targets or ("*" in word and any(fnmatchcase(k, word) for k in known)):
            continue
        verbs = DoitMain().get_cmds() if line.verb == "run" else ()
        hint = did_you_mean(word, [*names, *known, *verbs], _OTHERWISE)
        if line.verb not in _OF_TASKS and word in names:
            hint = f"A product's task: quantize:{word}."
        elif word in verbs:
            hint = f"Verbs come first: chipfit build {word}."
        raise ChipfitError(f"{word!r} is no product, stage, task or verb of doit", place=_PLACE, hint=hint)


def run_doit(tasks: Mapping[str, Any], line: Line) -> int:
    """The exit code of doit, of which a fault in a command of its own or of ours is 2.

    Raises SystemExit, and ChipfitError for what doit cannot do.
    """
    wrong: list[Exception] = []

    class Guarded(DoitMain):  # type: ignore[misc]
        BIN_NAME = _PLACE

        def get_cmds(self) -> Any:
            commands = super().get_cmds()
            commands.update({name: guarded(kind) for name, kind in commands.items() if isinstance(kind, type)})
            return commands

    def guarded(kind: Any) -> Any:
        def parse_execute(self: Any, given: Sequence[str]) -> Any:
            with ending_crashes(f"doit {self.get_name()}"):
                try:
                    return kind.parse_execute(self, given)
                except (CmdParseError, InvalidCommand, InvalidDodoFile, InvalidTask) as error:
                    wrong.append(error)
            return 1

        return type(kind.__name__, (kind,), {"parse_execute": parse_execute})

    code = int(Guarded(ModuleTaskLoader(dict(tasks))).run(line.arguments) or 0)
    if wrong:
        said = " ".join(str(wrong[0]).split()).removesuffix(".")
        raise ChipfitError(f"doit {line.verb}: {said}", place=_PLACE, hint=_OTHERWISE) from wrong[0]
    return code
