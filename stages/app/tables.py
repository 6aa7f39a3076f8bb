"""Tables of the README, generated from the code; tests keep the README's copies equal."""

import re
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from io import StringIO
from os import chdir
from pathlib import Path

from pipeline.facts.config import chip_folder, find_chip, known_chips
from pipeline.facts.cores import CORES
from pipeline.facts.errors import Place
from pipeline.facts.units import show_size
from pipeline.judging.rules import RULES
from pipeline.ops import OPERATORS
from pipeline.planning.variants import fusing_variants
from pipeline.planning.variants import variants as variants_of
from stages import STAGES
from stages.app.commands import COMMANDS
from stages.app.estimate import estimate


def stages() -> str:
    """One row per stage, from its module's first line."""
    rows = []
    for stage in STAGES:
        first = (sys.modules[getattr(stage, "__name__", "")].__doc__ or "").splitlines()[0]
        rows.append(f"| `{stage.NAME}` | {first.split(': ', 1)[1]} |")
    return "\n".join(["| stage | does |", "|---|---|", *rows])


def operators() -> str:
    """One row per operator module."""
    rows = [
        f"| {', '.join(m.ONNX) or '-'} | {', '.join(getattr(m, 'TFLITE', ())) or '-'} | {m.SUMMARY} |"
        for m in OPERATORS
        if m.ONNX or getattr(m, "TFLITE", ())
    ]
    head = ["| ONNX | TensorFlow Lite | here |", "|---|---|---|"]
    return "\n".join([*head, *rows, "| Constant, Shape, Size | | folded at import |"])


def chips() -> str:
    """One row per chip that comes with chipfit."""
    rows = []
    for name in known_chips():
        c = find_chip(name, chip_folder(), Place(name))
        rows.append(
            f"| `{name}` | {c.core} | {c.clock // 10**6} MHz | {show_size(c.flash.size)} | {show_size(c.ram.size)} "
            f"| {c.flash.wait_states} | {c.manual} |"
        )
    head = "| chip | core | clock | flash | RAM | wait states | source |"
    return "\n".join([head, "|---|---|---|---|---|---|---|", *rows])


def rules() -> str:
    """One row per rule: its docstring."""
    rows = [f"| {r.__name__} | {' '.join((r.__doc__ or '').split())} |" for r in RULES]
    return "\n".join(["| rule | holds when |", "|---|---|", *rows])


def variants() -> str:
    """One row per kernel variant of any core."""
    cores: dict[str, list[str]] = {}
    summaries = {}
    for core in CORES.values():
        for module in (*variants_of(core), *fusing_variants(core)):
            cores.setdefault(module.NAME, []).append(core.name)
            summaries[module.NAME] = module.SUMMARY
    rows = [f"| `{name}` | {', '.join(cores[name])} | {summaries[name]} |" for name in summaries]
    return "\n".join(["| variant | cores | what it is |", "|---|---|---|", *rows])


def commands() -> str:
    """One row per command."""
    rows = ["| `{}` | {} |".format(c.usage.replace("|", r"\|"), c.does) for c in COMMANDS]
    return "\n".join(["| command | does |", "|---|---|", *rows])


TABLES: Mapping[str, Callable[[], str]] = {
    "commands": commands,
    "stages": stages,
    "operators": operators,
    "variants": variants,
    "chips": chips,
    "rules": rules,
}


def fill_tables(readme: str) -> str:
    """The README's text with every table replaced by the code's."""
    for name, table in TABLES.items():
        block = re.compile(rf"<!-- {name} -->\n(\n\|(?:.*\n)+?)?(?=\n)")
        filled_block = f"<!-- {name} -->\n\n{table()}\n"
        readme, count = block.subn(lambda _, text=filled_block: text, readme)  # type: ignore[misc]
        assert count == 1, name
    return readme


def fill_estimate(readme: str) -> str:
    """The README's text with what `chipfit estimate` prints in this folder of its example: a line for each chip."""
    with redirect_stdout(StringIO()) as printed:
        estimate(["configs/models/digits.onnx"])
    lines = "\n".join(line.rstrip() for line in printed.getvalue().splitlines()).strip("\n")
    before, begin, rest = readme.partition("<!-- estimate -->\n```\n")
    _, end, after = rest.partition("\n```")
    assert begin and end
    return before + begin + lines + end + after


if __name__ == "__main__":
    chdir(Path(__file__).parent.parent.parent)
    path = Path("README.md")
    path.write_text(fill_estimate(fill_tables(path.read_text("utf-8"))), "utf-8")
