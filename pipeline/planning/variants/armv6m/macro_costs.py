"""What a macro of kernels/armv6m expands to: instructions of each kind on a path through it, and bytes of code.

A cost formula says how often each invocation runs, and never what it takes: that stands in the macro, and in cores.py.
"""

import operator
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from pipeline.facts.cores import KINDS, Executed
from pipeline.planning.variants.armv6m.assembler import expanded, invoked, symbols

_ALU = frozenset("adcs add adds ands asrs bics cmp lsls lsrs mov movs orrs rsbs sub subs sxtb sxth".split())
_ACCESSES = frozenset("ldr ldrb ldrh ldrsb ldrsh str strb strh".split())
_BLOCKS = frozenset("ldm stm push pop".split())
_CONDITIONAL = frozenset(f"b{c}" for c in "eq ne hs lo mi pl ge lt gt le hi ls cs cc".split())
_ALIGNING = (".balign", ".pool")
_LOCAL = re.compile(r"(\d+)([fb])$")

Taken = Callable[["_Branch"], bool]


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


class _Data(NamedTuple):
    """So many bytes at most between instructions, over which none leads: literals' alignment, words."""

    bytes: int


Item = tuple[int, ...] | str | _Branch | _End | _Data
"""Counts of straight code in the order of KINDS, a label, what leaves, or what is not run."""


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


def size(lines: Sequence[str], *, words: bool = False) -> int:
    """Bytes that the lines take at most: every literal counted, though equal ones share a place, and all alignment."""
    return sum(_bytes(item) for item in _items(lines, words))


def _bytes(item: Item) -> int:
    if isinstance(item, str):
        return 0
    if isinstance(item, _Data):
        return item.bytes
    if isinstance(item, _Branch):
        return 2
    made = Executed(*(item.counts if isinstance(item, _End) else item))
    return 2 * made.instructions + 2 * made.links + 4 * made.literals


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
        elif not isinstance(item, str | _Data):
            counts.append(item)
    return Executed(*(sum(column) for column in zip(*counts, strict=True))) if counts else Executed(), left


def _target(items: Sequence[Item], at: int, branch: _Branch) -> int | None:
    local = _LOCAL.match(branch.target)
    label = local[1] if local else branch.target
    places = range(at - 1, -1, -1) if branch.back else range(at, len(items))
    return next((p for p in places if items[p] == label), None)


def _items(lines: Sequence[str], words: bool) -> tuple[Item, ...]:
    """Straight code summed."""
    made: list[Item] = []
    for line in expanded([line.replace("{{", "{").replace("}}", "}") for line in lines], _symbols(words)):
        for item in _of_line(line, words):
            if made and type(item) is type(made[-1]) is tuple:
                made[-1] = tuple(map(operator.add, made[-1], item))
            else:
                made.append(item)
    return tuple(made)


@lru_cache(maxsize=2)
def _symbols(words: bool) -> dict[str, int]:
    return {**symbols(), "OUT_WORDS": int(words)}


@lru_cache(maxsize=1 << 16)
def _of_line(line: str, words: bool) -> tuple[Item, ...]:
    """Of an instruction, a label, a directive or an invocation."""
    body = invoked(line)
    if body is not None:
        return _items(body, words)
    if line.endswith(":"):
        return (line.removesuffix(":"),)
    first, _, rest = line.partition(" ")
    if first in _ALIGNING:
        return (_Data(2),)
    if first == ".word":
        return (_Data(4 * len(rest.split(","))),)
    return () if first.startswith(".") or rest.startswith(".req ") else (_instruction(first, rest),)


_ONE: dict[str, tuple[int, ...]] = {k: tuple(int(k == other) for other in KINDS) for k in KINDS}


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
