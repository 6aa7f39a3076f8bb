"""A reader of the macro files of kernels/armv6m: the part of an assembler's language that they use.

Macros, conditions, repetitions and symbols; what remains are instructions, labels and directives.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).parents[3] / "generating" / "kernels" / "armv6m"


class Macro(NamedTuple):
    parameters: tuple[str, ...]
    """The last takes all that is left where it ends in `:vararg`."""
    body: tuple[str, ...]


def expanded(lines: Sequence[str], symbols: Mapping[str, int]) -> Iterator[str]:
    """Instructions, labels with their colon, directives and invocations; conditions and repetitions are written out."""
    at = 0
    while at < len(lines):
        line = lines[at].partition("@")[0].strip()
        at += 1
        first, _, rest = line.partition(" ")
        if first.startswith(".if"):
            end = _end_of_block(lines, at, ".if", ".endif")
            yield from expanded(_lines_of_first_true(line, lines[at:end], symbols), symbols)
            at = end + 1
        elif first in (".rept", ".irp"):
            end = _end_of_block(lines, at, (".rept", ".irp"), ".endr")
            yield from chain.from_iterable(
                expanded(b, symbols) for b in _repeated_bodies(first, rest, lines[at:end], symbols)
            )
            at = end + 1
        elif line:
            yield line


def macro_body(line: str) -> Sequence[str] | None:
    """The body of the macro that the line invokes; None where it invokes none."""
    name, _, rest = line.partition(" ")
    macro = macros().get(name)
    if macro is None:
        return None
    values = dict(_argument_values(macro.parameters, _arguments(rest)))
    return _substituted(macro.body, values)


def _argument_values(parameters: Sequence[str], arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    for number, parameter in enumerate(parameters):
        name, _, kind = parameter.partition(":")
        values = arguments[number:] if kind == "vararg" else arguments[number : number + 1]
        yield name, ", ".join(values)


def _substituted(lines: Sequence[str], given: Mapping[str, str]) -> list[str]:
    return [re.sub(r"\\(\w+)", lambda m: given.get(m[1], m[0]), line) for line in lines]


def _repeated_bodies(
    directive: str, rest: str, body: Sequence[str], symbols: Mapping[str, int]
) -> Iterator[Sequence[str]]:
    """The body of every turn of a `.rept` or `.irp`."""
    if directive == ".rept":
        yield from (body for _ in range(value(rest, symbols)))
    else:
        name, *values = _arguments(rest)
        yield from (_substituted(body, {name: v}) for v in values)


def _end_of_block(lines: Sequence[str], at: int, begin: str | tuple[str, ...], end: str) -> int:
    """Index of the line that ends the block that began before `at`."""
    depth = 1
    for index in range(at, len(lines)):
        text = lines[index].strip()
        depth += text.startswith(begin) - text.startswith(end)
        if not depth:
            return index
    raise ValueError(f"{begin} without {end}")


def _lines_of_first_true(condition: str, lines: Sequence[str], symbols: Mapping[str, int]) -> list[str]:
    """The lines under the first condition that holds."""
    selected: list[str] = []
    holds, done, depth = _is_true(condition, symbols), False, 0
    for line in lines:
        text = line.strip()
        if depth == 0 and text.startswith(".else"):
            done = done or holds
            holds = not done and (text == ".else" or _is_true(text.replace(".elseif", ".if", 1), symbols))
            continue
        depth += text.startswith(".if") - text.startswith(".endif")
        if holds:
            selected.append(line)
    return selected


def _is_true(line: str, symbols: Mapping[str, int]) -> bool:
    directive, _, rest = line.partition(" ")
    if directive in (".ifb", ".ifnb"):
        return bool(rest.strip()) == (directive == ".ifnb")
    if directive in (".ifc", ".ifnc"):
        one, other = (s.strip() for s in rest.split(","))
        return (one == other) == (directive == ".ifc")
    return bool(value(rest, symbols))


def _arguments(text: str) -> list[str]:
    """Arguments separated by commas, without quotes."""
    return [a.strip().strip('"') for a in text.split(",")] if text.strip() else []


@cache
def macros() -> Mapping[str, Macro]:
    """All macros, by name."""
    macros_by_name: dict[str, Macro] = {}
    for path in sorted(_FOLDER.glob("*.inc")):
        lines = iter(path.read_text("utf-8").splitlines())
        for line in lines:
            words = line.replace(",", " ").split()
            if words[:1] == [".macro"]:
                body = []
                for inner in lines:
                    if inner.strip() == ".endm":
                        break
                    body.append(inner)
                assert words[1] not in macros_by_name, f"{words[1]} is defined twice"
                macros_by_name[words[1]] = Macro(tuple(words[2:]), tuple(body))
    return macros_by_name


@cache
def symbols() -> Mapping[str, int]:
    """Every `.set` and `.equ` outside of macros; of those that differ between files only the last."""
    found: dict[str, int] = {}
    for path in sorted(_FOLDER.glob("*.inc")):
        text = path.read_text("utf-8")
        for name, expression in re.findall(r"^ {4}\.(?:set|equ) (\w+), (\w+)", text, re.MULTILINE):
            found[name] = found[expression] if expression in found else int(expression) if expression.isdigit() else 0
    return found


_OPERATORS: Mapping[type[ast.AST], Callable[[int, int], int]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.floordiv,
    ast.Mod: operator.mod, ast.BitAnd: operator.and_, ast.LShift: operator.lshift, ast.Eq: operator.eq,
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Lt: operator.lt, ast.LtE: operator.le,
}  # fmt: skip


def value(expression: str, symbols: Mapping[str, int]) -> int:
    """Value of an integer expression of the assembler, as far as macros use them; divisions are of positive numbers."""

    def evaluate(node: ast.expr) -> int:
        if isinstance(node, ast.Constant):
            return int(str(node.value))
        if isinstance(node, ast.Name):
            return symbols[node.id]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -evaluate(node.operand)
        if isinstance(node, ast.BoolOp):
            return int(any(evaluate(v) for v in node.values))
        if isinstance(node, ast.Compare):
            return int(_OPERATORS[type(node.ops[0])](evaluate(node.left), evaluate(node.comparators[0])))
        assert isinstance(node, ast.BinOp), expression
        return _OPERATORS[type(node.op)](evaluate(node.left), evaluate(node.right))

    return evaluate(ast.parse(expression.strip().replace("||", " or "), mode="eval").body)
