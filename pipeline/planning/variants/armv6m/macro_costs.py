"""What a macro of kernels/armv6m expands to, and how many instructions of each kind a path through it runs.

The macro files are read as an assembler reads them, as far as they use it: macros, conditions, repetitions. A cost
formula then says how often each invocation runs, and never what it takes: that stands in the macro, and in cores.py.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from pipeline.facts.cores import KINDS, Executed

_FOLDER = Path(__file__).parents[3] / "generating" / "kernels" / "armv6m"
_ALU = frozenset("adcs add adds ands asrs bics cmp lsls lsrs mov movs orrs rsbs sub subs sxtb sxth".split())
_ACCESSES = frozenset("ldr ldrb ldrh ldrsb ldrsh str strb strh".split())
_BLOCKS = frozenset("ldm stm push pop".split())
_CONDITIONAL = frozenset(f"b{c}" for c in "eq ne hs lo mi pl ge lt gt le hi ls cs cc".split())
_IGNORED = frozenset(".balign .global .pool .section .set .size .syntax .thumb .thumb_func .type .word".split())
_LOCAL = re.compile(r"(\d+)([fb])$")

Taken = Callable[["_Branch"], bool]


class _Macro(NamedTuple):
    parameters: tuple[str, ...]
    body: tuple[str, ...]


class _Branch(NamedTuple):
    """To `target`; always, or on a condition."""

    target: str
    always: bool

    @property
    def back(self) -> bool:
        return self.target.endswith("b") and _LOCAL.match(self.target) is not None


class _End(NamedTuple):
    """Instructions after which nothing follows: a return."""

    counts: tuple[int, ...]


Item = tuple[int, ...] | str | _Branch | _End
"""Counts of straight code in the order of KINDS, a label, or what leaves."""


def straight(*lines: str, words: bool = False) -> Executed:
    """Of lines without a branch on a condition; calls are counted, what is called is not. `words`: see OUT_WORDS."""
    return path(lines, (), words=words)


def path(lines: Sequence[str], taken: Sequence[bool], *, words: bool = False) -> Executed:
    """Of the way through the lines on which the conditional branches are taken as said, one after the other.

    It ends behind the last line, at a return, or where a branch leaves for a label that is not there.
    """
    decided = iter(taken)
    made, _ = _walk(_items(lines, words), 0, lambda branch: next(decided))
    assert next(decided, None) is None, "more was decided than there are branches"
    return made


def looped(times: int, *lines: str, words: bool = False) -> Executed:
    """Of lines with one loop, label and branch, which runs so many times."""
    items = _items(lines, words)
    once, _ = _walk(items, 0, _turns(1))
    if times == 1:
        return once
    twice, _ = _walk(items, 0, _turns(2))
    return once + (twice - once) * (times - 1)


def closing(times: int, *lines: str) -> Executed:
    """Of lines that close a loop whose label is not among them: back from all turns but the last."""
    items = _items(lines, False)
    out, left = _walk(items, 0, _turns(1))
    back, again = _walk(items, 0, _turns(2)) if times > 1 else (Executed(), True)
    assert again and not left, "the last turn goes on, the others go back"
    return out + back * (times - 1)


@lru_cache(maxsize=1 << 14)
def shared(name: str, taken: tuple[bool, ...]) -> Executed:
    """Of one of the routines `widen`, `fill` and `im2col`, on the way that its branches take."""
    items = _items(("im2col_routines widen, fill, im2col",), False)
    decided = iter(taken)
    made, _ = _walk(items, items.index(name), lambda branch: next(decided))
    assert next(decided, None) is None, "more was decided than there are branches"
    return made


def _turns(times: int) -> Taken:
    """A loop's branches: back, or not out, from all turns but the last."""
    left = times

    def taken(branch: _Branch) -> bool:
        nonlocal left
        left -= 1
        return branch.back == (left > 0)

    return taken


def _walk(items: Sequence[Item], at: int, taken: Taken) -> tuple[Executed, bool]:
    """What runs from item `at` on, and whether it ends by going back to before the first item."""
    counts: list[tuple[int, ...]] = []
    left = False
    while at < len(items):
        item = items[at]
        at += 1
        if isinstance(item, _Branch):
            leaves = item.always or taken(item)
            counts.append(_ONE["branches" if leaves else "untaken"])
            if leaves:
                target = _target(items, at, item)
                left, at = (item.back, len(items)) if target is None else (False, target)
        elif isinstance(item, _End):
            counts.append(item.counts)
            break
        elif not isinstance(item, str):
            counts.append(item)
    return Executed(*(sum(column) for column in zip(*counts, strict=True))) if counts else Executed(), left


def _target(items: Sequence[Item], at: int, branch: _Branch) -> int | None:
    local = _LOCAL.match(branch.target)
    label = local[1] if local else branch.target
    places = range(at - 1, -1, -1) if branch.back else range(at, len(items))
    return next((p for p in places if items[p] == label), None)


def _items(lines: Sequence[str], words: bool) -> list[Item]:
    return list(chain.from_iterable(_of_line(line, words) for line in _unrolled(lines)))


def _unrolled(lines: Sequence[str]) -> Iterator[str]:
    """Lines that are invocations, their `.irp` written out."""
    waiting = iter(lines)
    for line in waiting:
        if not line.startswith(".irp"):
            yield line.replace("{{", "{").replace("}}", "}")
            continue
        name, *values = _arguments(line.removeprefix(".irp"))
        body = []
        for inner in waiting:
            if inner == ".endr":
                break
            body.append(inner)
        for value in values:
            yield from (b.replace(f"\\{name}", value) for b in body)


@lru_cache(maxsize=1 << 16)
def _of_line(line: str, words: bool) -> tuple[Item, ...]:
    """One invocation or instruction, straight code summed."""
    made: list[Item] = []
    for item in _expanded([line], {**_symbols(), "OUT_WORDS": int(words)}):
        if made and isinstance(item, tuple) and type(item) is type(made[-1]) is tuple:
            made[-1] = tuple(map(operator.add, made[-1], item))
        else:
            made.append(item)
    return tuple(made)


def _expanded(lines: Sequence[str], symbols: Mapping[str, int]) -> Iterator[Item]:
    at = 0
    while at < len(lines):
        line = lines[at].partition("@")[0].strip()
        at += 1
        first, _, rest = line.partition(" ")
        if not line or first in _IGNORED:
            continue
        if line.endswith(":"):
            yield line.removesuffix(":")
        elif first.startswith(".if"):
            end = _end(lines, at, ".if", ".endif")
            yield from _expanded(_branch(line, lines[at:end], symbols), symbols)
            at = end + 1
        elif first == ".rept":
            end = _end(lines, at, ".rept", ".endr")
            yield from chain.from_iterable(_expanded(lines[at:end], symbols) for _ in range(_value(rest, symbols)))
            at = end + 1
        elif first in _macros():
            yield from _expanded(_invoked(_macros()[first], _arguments(rest)), symbols)
        else:
            yield _instruction(first, rest)


def _end(lines: Sequence[str], at: int, begin: str, end: str) -> int:
    """The line that ends what began before `at`."""
    depth = 1
    for index in range(at, len(lines)):
        text = lines[index].strip()
        depth += text.startswith(begin) - text.startswith(end)
        if not depth:
            return index
    raise ValueError(f"{begin} without {end}")


def _branch(condition: str, lines: Sequence[str], symbols: Mapping[str, int]) -> list[str]:
    """The lines under the first condition that holds."""
    kept: list[str] = []
    holds, done, depth = _holds(condition, symbols), False, 0
    for line in lines:
        text = line.strip()
        if depth == 0 and text.startswith(".else"):
            done = done or holds
            holds = not done and (text == ".else" or _holds(text.replace(".elseif", ".if", 1), symbols))
            continue
        depth += text.startswith(".if") - text.startswith(".endif")
        if holds:
            kept.append(line)
    return kept


def _holds(line: str, symbols: Mapping[str, int]) -> bool:
    directive, _, rest = line.partition(" ")
    if directive == ".ifb":
        return not rest.strip()
    if directive in (".ifc", ".ifnc"):
        one, other = (s.strip() for s in rest.split(","))
        return (one == other) == (directive == ".ifc")
    return bool(_value(rest, symbols))


def _invoked(macro: _Macro, arguments: Sequence[str]) -> list[str]:
    given = dict(zip(macro.parameters, [*arguments, *[""] * len(macro.parameters)], strict=False))
    return [re.sub(r"\\(\w+)", lambda m: given.get(m[1], m[0]), line) for line in macro.body]


def _arguments(text: str) -> list[str]:
    """Separated by commas, quotes taken away."""
    return [a.strip().strip('"') for a in text.split(",")] if text.strip() else []


_ONE: Mapping[str, tuple[int, ...]] = {k: tuple(int(k == other) for other in KINDS) for k in KINDS}


def _instruction(mnemonic: str, operands: str) -> Item:
    if mnemonic in _ALU:
        return _ONE["alu"]
    if mnemonic in _ACCESSES:
        return _ONE["literals" if "=" in operands else "accesses"]
    if mnemonic in _BLOCKS:
        registers = _registers(operands)
        kind = "pops_pc" if "pc" in registers else "blocks"
        counts = tuple(map(operator.add, _ONE[kind], (len(registers) * n for n in _ONE["registers"])))
        return _End(counts) if kind == "pops_pc" else counts
    if mnemonic in _CONDITIONAL or mnemonic == "b":
        return _Branch(operands, mnemonic == "b")
    simple = {"muls": "multiplies", "bl": "links", "bx": "exchanges"}
    counts = _ONE[simple[mnemonic]]
    return _End(counts) if mnemonic == "bx" else counts


def _registers(operands: str) -> list[str]:
    """Of a list in braces, ranges written out."""
    made: list[str] = []
    for one in operands[operands.index("{") + 1 : operands.index("}")].split(","):
        first, _, last = one.strip().partition("-")
        made += [first] if not last else [f"r{n}" for n in range(int(first[1:]), int(last[1:]) + 1)]
    return made


@cache
def _macros() -> Mapping[str, _Macro]:
    made: dict[str, _Macro] = {}
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
                assert words[1] not in made, f"{words[1]} is defined twice"
                made[words[1]] = _Macro(tuple(words[2:]), tuple(body))
    return made


@cache
def _symbols() -> Mapping[str, int]:
    """Every `.set` outside of macros: the words of frames; of those that differ between files only the last."""
    made: dict[str, int] = {}
    for path in sorted(_FOLDER.glob("*.inc")):
        for name, value in re.findall(r"^ {4}\.set (\w+), (\w+)$", path.read_text("utf-8"), re.MULTILINE):
            made[name] = made[value] if value in made else int(value) if value.isdigit() else 0
    return made


_OPERATORS: Mapping[type[ast.AST], Callable[[int, int], int]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.floordiv,
    ast.Mod: operator.mod, ast.BitAnd: operator.and_, ast.LShift: operator.lshift, ast.Eq: operator.eq,
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Lt: operator.lt, ast.LtE: operator.le,
}  # fmt: skip


def _value(expression: str, symbols: Mapping[str, int]) -> int:
    """Of the assembler's integer expressions those that the macros use; division is of positive numbers."""

    def of(node: ast.expr) -> int:
        if isinstance(node, ast.Constant):
            return int(str(node.value))
        if isinstance(node, ast.Name):
            return symbols[node.id]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -of(node.operand)
        if isinstance(node, ast.BoolOp):
            return int(any(of(v) for v in node.values))
        if isinstance(node, ast.Compare):
            return int(_OPERATORS[type(node.ops[0])](of(node.left), of(node.comparators[0])))
        assert isinstance(node, ast.BinOp), expression
        return _OPERATORS[type(node.op)](of(node.left), of(node.right))

    return of(ast.parse(expression.strip().replace("||", " or "), mode="eval").body)
