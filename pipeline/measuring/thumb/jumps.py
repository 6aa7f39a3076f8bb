"""Targets of a switch: the jump tables that compilers use with TBB, ADD PC, MOV PC and libgcc's Thumb-1 helpers."""

from collections.abc import Callable

import capstone
from capstone import arm

from pipeline.measuring.machine_code.decoded import DecodedImage, Function
from pipeline.measuring.machine_code.family import UnboundedError
from pipeline.measuring.thumb.values import State

HELPER = "__gnu_thumb1_case_"
"""Prefix of libgcc's switch helpers: called with the index in r0, the table lies at their return address."""

_LOOK_BACK = 12  # instructions between the comparison with the largest case and the jump: compilers use at most 8


def table_targets(
    i: capstone.CsInsn,
    function: Function,
    image: DecodedImage,
    state_at: Callable[[int], State | None],
    helper: str = "",
) -> list[int]:
    """Every address that a jump through a table can reach.

    The number of entries is what the comparison before the jump allows. Raises UnboundedError when the jump is not
    one of the known forms, or an entry leads out of the function.
    """
    before = _preceding(i.address, function, image)
    count = _case_count(before)
    name = i.mnemonic.removesuffix(".w")
    pc = i.address + 4
    if count is None:
        raise UnboundedError(f"{function.name} jumps through a register at {i.address:#x}")
    if helper:
        targets = _helper_targets(pc, helper.removeprefix(HELPER), count, image)
    elif name in ("tbb", "tbh"):
        targets = _relative_targets(pc, pc, 1 if name == "tbb" else 2, False, count, image)
    elif name == "add" and _any_named(before, "ldrb", "ldrh"):
        table = i.address + i.size
        targets = _relative_targets(pc, table, 1 if _any_named(before, "ldrb") else 2, False, count, image)
    else:
        targets = _absolute_targets(i, before, count, image, state_at)
    invalid = [t for t in targets if t not in image.instructions or not function.address <= t < function.end]
    if invalid or not targets:
        raise UnboundedError(f"{function.name} jumps through a register at {i.address:#x}")
    return targets


def _preceding(address: int, function: Function, image: DecodedImage) -> list[capstone.CsInsn]:
    """Instructions before `address`, nearest first, at most _LOOK_BACK."""
    addresses = range(address - 2, max(function.address, address - 4 * _LOOK_BACK) - 1, -2)
    return [image.instructions[a] for a in addresses if a in image.instructions][:_LOOK_BACK]


def _case_count(before: list[capstone.CsInsn]) -> int | None:
    """Number of cases that the nearest comparison with a constant, and the branch behind it, let through."""
    for at, i in enumerate(before):
        if i.mnemonic.removesuffix(".w") == "cmp" and i.operands[1].type == arm.ARM_OP_IMM:
            following = [b.cc for b in reversed(before[:at]) if b.id == arm.ARM_INS_B]
            if following and following[0] in (arm.ARM_CC_HI, arm.ARM_CC_LS):
                return int(i.operands[1].imm) + 1
            if following and following[0] in (arm.ARM_CC_HS, arm.ARM_CC_LO):
                return int(i.operands[1].imm)
    return None


def _any_named(before: list[capstone.CsInsn], *names: str) -> bool:
    return any(i.mnemonic in names for i in before[:3])


def _relative_targets(base: int, table: int, width: int, signed: bool, count: int, image: DecodedImage) -> list[int]:
    content = image.read(table, width * count)
    if content is None:
        return []
    entries = [content[k : k + width] for k in range(0, width * count, width)]
    return [base + 2 * int.from_bytes(e, "little", signed=signed) for e in entries]


def _helper_targets(return_address: int, kind: str, count: int, image: DecodedImage) -> list[int]:
    """Targets of a helper: bytes or halfwords count halfwords from the table; words are offsets from it.

    Source: libgcc's lib1funcs.S.
    """
    if kind in ("uqi", "sqi", "uhi", "shi"):
        return _relative_targets(return_address, return_address, 1 if "q" in kind else 2, kind[0] == "s", count, image)
    table = (return_address + 3) & ~3
    content = image.read(table, 4 * count) if kind == "si" else None
    if content is None:
        return []
    words = [int.from_bytes(content[k : k + 4], "little", signed=True) for k in range(0, 4 * count, 4)]
    return [(table + w) & ~1 for w in words]


def _absolute_targets(
    i: capstone.CsInsn,
    before: list[capstone.CsInsn],
    count: int,
    image: DecodedImage,
    state_at: Callable[[int], State | None],
) -> list[int]:
    """Targets of `ldr rX, [table, index]` and then `mov pc, rX`, or of `ldr pc, [table, index, lsl #2]`."""
    load = i if i.id == arm.ARM_INS_LDR else None
    if load is None and i.operands[-1].type == arm.ARM_OP_REG:
        wanted = i.operands[-1].reg
        load = next((b for b in before if b.id == arm.ARM_INS_LDR and b.operands[0].reg == wanted), None)
    if load is None or load.operands[1].type != arm.ARM_OP_MEM:
        return []
    memory, where = load.operands[1].mem, load.address
    parts = [r for r in (memory.base, memory.index) if r]
    if len(parts) == 1:  # without optimization the sum is made first: adds r3, r2, r3; ldr r3, [r3]
        added = next((b for b in before if b.address < where and b.operands and b.operands[0].reg == memory.base), None)
        if added is None or added.id != arm.ARM_INS_ADD:
            return []
        parts, where = [o.reg for o in added.operands[-2:] if o.type == arm.ARM_OP_REG], added.address
    state = state_at(where)
    known = [v for r in parts if state is not None and isinstance(v := state.get(r), int)]
    content = image.read(known[0] + memory.disp, 4 * count) if len(known) == 1 else None
    if content is None:
        return []
    return [int.from_bytes(content[k : k + 4], "little") & ~1 for k in range(0, 4 * count, 4)]
