"""What a macro of kernels/armv6m expands to: instructions of each kind on a path through it, and bytes of code.

A cost formula says how often each invocation runs, and never what it takes: that stands in the macro, and in the
table of cores.
"""

import operator
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from pipeline.facts.cores import KINDS, Executed
from pipeline.planning.variants.armv6m.assembler import expanded, macro_body, symbols

_ALU = frozenset("adcs add adds ands asrs bics cmp lsls lsrs mov movs orrs rsbs sub subs sxtb sxth".split())
_ACCESSES = frozenset("ldr ldrb ldrh ldrsb ldrsh str strb strh".split())
_BLOCKS = frozenset("ldm stm push pop".split())
_CONDITIONAL = frozenset(f"b{c}" for c in "eq ne hs lo mi pl ge lt gt le hi ls cs cc".split())
_ALIGNING = (".balign", ".pool")
_LOCAL = re.compile(r"(\d+)([fb])$")

IsTaken = Callable[["_Branch"], bool]


class _Branch(NamedTuple):
    """A branch to `target`; always, or on a condition."""

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


def executed_once(*lines: str, words: bool = False) -> Executed:
    """Instructions of lines without a conditional branch; called routines do not count. `words`: see OUT_WORDS."""
    return executed_on_path(lines, (), words=words)


def executed_on_path(lines: Sequence[str], taken: Sequence[bool], *, words: bool = False) -> Executed:
    """Instructions of the path through the lines on which the conditional branches are taken as `taken` lists.

    It ends behind the last line, at a return, or where a branch leaves for a label that is not there.
    """
    decisions = iter(taken)
    executed, _ = _executed_from(_expanded_items(lines, words), 0, lambda branch: next(decisions))
    assert next(decisions, None) is None, "more was decided than there are branches"
    return executed


def executed_loop(times: int, *lines: str, words: bool = False) -> Executed:
    """Instructions of lines with one loop, label and branch, which runs `times` times."""
    items = _expanded_items(lines, words)
    once, _ = _executed_from(items, 0, _branches_of_turns(1))
    if times == 1:
        return once
    twice, _ = _executed_from(items, 0, _branches_of_turns(2))
    return once + (twice - once) * (times - 1)


def code_size(lines: Sequence[str], *, words: bool = False) -> int:
    """Bytes of the lines at most: every literal counted, though equal ones share a word, and all alignment."""
    return sum(_item_bytes(item) for item in _expanded_items(lines, words))


def _item_bytes(item: Item) -> int:
    if isinstance(item, str):
        return 0
    if isinstance(item, _Data):
        return item.bytes
    if isinstance(item, _Branch):
        return 2
    executed = Executed(*(item.counts if isinstance(item, _End) else item))
    return 2 * executed.instructions + 2 * executed.links + 4 * executed.literals


def executed_loop_end(times: int, *lines: str) -> Executed:
    """Instructions of lines that close a loop whose label is not among them: back from all turns but the last."""
    items = _expanded_items(lines, False)
    last_turn, last_goes_back = _executed_from(items, 0, _branches_of_turns(1))
    other_turn, others_go_back = _executed_from(items, 0, _branches_of_turns(2)) if times > 1 else (Executed(), True)
    assert others_go_back and not last_goes_back, "the last turn goes on, the others go back"
    return last_turn + other_turn * (times - 1)


@lru_cache(maxsize=1 << 14)
def executed_shared(name: str, taken: tuple[bool, ...]) -> Executed:
    """Instructions of the routine `widen`, `fill` or `im2col` on the path where its branches are taken as listed."""
    items = _expanded_items(("im2col_routines widen, fill, im2col",), False)
    decisions = iter(taken)
    executed, _ = _executed_from(items, items.index(name), lambda branch: next(decisions))
    assert next(decisions, None) is None, "more was decided than there are branches"
    return executed


def _branches_of_turns(times: int) -> IsTaken:
    """Decides a loop's branches: back, or not out, from all turns but the last."""
    turns_left = times

    def taken(branch: _Branch) -> bool:
        nonlocal turns_left
        turns_left -= 1
        return branch.back == (turns_left > 0)

    return taken


def _executed_from(items: Sequence[Item], index: int, is_taken: IsTaken) -> tuple[Executed, bool]:
    """What is executed from item `index` on, and whether it ends by a branch back to before the first item."""
    counts: list[tuple[int, ...]] = []
    went_back = False
    while index < len(items):
        item = items[index]
        index += 1
        if isinstance(item, _Branch):
            leaves = item.always or is_taken(item)
            counts.append(_ONE_OF["branches" if leaves else "untaken"])
            if leaves:
                target = _target_index(items, index, item)
                went_back, index = (item.back, len(items)) if target is None else (False, target)
        elif isinstance(item, _End):
            counts.append(item.counts)
            break
        elif not isinstance(item, str | _Data):
            counts.append(item)
    return Executed(*(sum(column) for column in zip(*counts, strict=True))) if counts else Executed(), went_back


def _target_index(items: Sequence[Item], begin: int, branch: _Branch) -> int | None:
    local = _LOCAL.match(branch.target)
    label = local[1] if local else branch.target
    indices = range(begin - 1, -1, -1) if branch.back else range(begin, len(items))
    return next((p for p in indices if items[p] == label), None)


def _expanded_items(lines: Sequence[str], words: bool) -> tuple[Item, ...]:
    """The items of lines, straight code summed."""
    items: list[Item] = []
    for line in expanded([line.replace("{{", "{").replace("}}", "}") for line in lines], _symbols(words)):
        for item in _line_items(line, words):
            if items and type(item) is type(items[-1]) is tuple:
                items[-1] = tuple(map(operator.add, items[-1], item))
            else:
                items.append(item)
    return tuple(items)


@lru_cache(maxsize=2)
def _symbols(words: bool) -> dict[str, int]:
    return {**symbols(), "OUT_WORDS": int(words)}


@lru_cache(maxsize=1 << 16)
def _line_items(line: str, words: bool) -> tuple[Item, ...]:
    """The items of an instruction, a label, a directive or an invocation."""
    body = macro_body(line)
    if body is not None:
        return _expanded_items(body, words)
    if line.endswith(":"):
        return (line.removesuffix(":"),)
    first, _, rest = line.partition(" ")
    if first in _ALIGNING:
        return (_Data(2),)
    if first == ".word":
        return (_Data(4 * len(rest.split(","))),)
    return () if first.startswith(".") or rest.startswith(".req ") else (_instruction(first, rest),)


_ONE_OF: dict[str, tuple[int, ...]] = {k: tuple(int(k == other) for other in KINDS) for k in KINDS}


def _instruction(mnemonic: str, operands: str) -> Item:
    if mnemonic in _ALU:
        return _ONE_OF["alu"]
    if mnemonic in _ACCESSES:
        return _ONE_OF["literals" if "=" in operands else "accesses"]
    if mnemonic in _BLOCKS:
        registers = _registers(operands)
        kind = "pops_pc" if "pc" in registers else "blocks"
        counts = tuple(map(operator.add, _ONE_OF[kind], (len(registers) * n for n in _ONE_OF["registers"])))
        return _End(counts) if kind == "pops_pc" else counts
    if mnemonic in _CONDITIONAL or mnemonic == "b":
        return _Branch(operands, mnemonic == "b")
    simple = {"muls": "multiplies", "bl": "links", "bx": "exchanges"}
    counts = _ONE_OF[simple[mnemonic]]
    return _End(counts) if mnemonic == "bx" else counts


def _registers(operands: str) -> list[str]:
    """Registers of a list in braces, ranges written out."""
    registers: list[str] = []
    for one in operands[operands.index("{") + 1 : operands.index("}")].split(","):
        first, _, last = one.strip().partition("-")
        registers += [first] if not last else [f"r{n}" for n in range(int(first[1:]), int(last[1:]) + 1)]
    return registers
