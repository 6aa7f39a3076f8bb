"""Worst-case stack from machine code: every function's control flow walked with the stack pointer's offset.

Neutral to compilers and languages: assembly is analysed like C. Anything that cannot be bounded (recursion, a call
through a register, a stack pointer that is computed) is an answer of its own, never a guess.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import capstone
from capstone import arm

from pipeline.simulator.pricing import decoder

_CALLS = frozenset({"bl", "blx"})
_RETURNS = frozenset({"bx"})


@dataclass(frozen=True)
class Code:
    """One function: its bytes, and the ranges among them that are data (literal pools)."""

    name: str
    address: int
    data: bytes
    literals: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class StackUse:
    """`worst` bytes from the entry's caller down, along `chain`; or None and the reason in `unknown`."""

    worst: int | None
    chain: tuple[str, ...]
    unknown: str = ""


class _UnboundedError(Exception):
    pass


def worst_case(functions: Mapping[int, Code], entry: int) -> StackUse:
    """Stack that a call of the function at `entry` can need; `functions` by address."""
    known: dict[int, tuple[int, tuple[str, ...]]] = {}

    def depth(address: int, path: tuple[int, ...]) -> tuple[int, tuple[str, ...]]:
        if address in path:
            raise _UnboundedError(f"{functions[address].name} is recursive")
        if address not in functions:
            raise _UnboundedError(f"a call to {address:#x}, which is no function")
        if address not in known:
            own, calls = _walk(functions[address], functions)
            deepest: tuple[int, tuple[str, ...]] = (own, (functions[address].name,))
            for target, offset in calls.items():
                below, chain = depth(target, (*path, address))
                deepest = max(deepest, (offset + below, (functions[address].name, *chain)))
            known[address] = deepest
        return known[address]

    try:
        worst, chain = depth(entry, ())
    except _UnboundedError as error:
        return StackUse(None, (), str(error))
    return StackUse(worst, chain)


def _walk(code: Code, functions: Mapping[int, Code]) -> tuple[int, dict[int, int]]:
    """(deepest offset of its own, callee address -> deepest offset at a call)."""
    instructions = {i.address: i for i in _decode(code)}
    deepest, calls = 0, dict[int, int]()
    waiting, seen = [(code.address, 0)], dict[int, int]()
    end = code.address + len(code.data)
    while waiting:
        address, offset = waiting.pop()
        while address in instructions:
            if address in seen:
                if seen[address] != offset:
                    raise _UnboundedError(f"{code.name} reaches {address:#x} with two stack depths")
                break
            seen[address] = offset
            instruction = instructions[address]
            offset += _change(instruction, instructions, code)
            deepest = max(deepest, offset)
            targets, goes_on = _exits(instruction, code)
            for target in targets:
                if (code.address <= target < end and target not in functions) or (
                    target == code.address and instruction.mnemonic not in _CALLS
                ):
                    waiting.append((target, offset))
                else:
                    calls[target] = max(calls.get(target, 0), offset)
            if not goes_on:
                break
            address += instruction.size
        else:
            raise _UnboundedError(f"{code.name} runs on into {address:#x}")
    return deepest, calls


def _decode(code: Code) -> list[capstone.CsInsn]:
    made, at = [], code.address
    stops = sorted((b, e) for b, e in code.literals)
    while at < code.address + len(code.data):
        skip = next((e for b, e in stops if b <= at < e), None)
        if skip is not None:
            at = skip
            continue
        limit = min([b for b, _ in stops if b > at], default=code.address + len(code.data))
        chunk = code.data[at - code.address : limit - code.address]
        decoded = list(decoder().disasm(chunk, at))
        made += decoded
        at = limit
    return made


def _change(i: capstone.CsInsn, instructions: Mapping[int, capstone.CsInsn], code: Code) -> int:
    """How many bytes deeper the instruction makes the stack."""
    name = i.mnemonic.removesuffix(".w")
    operands = i.operands
    registers = sum(o.type == arm.ARM_OP_REG for o in operands)
    if name == "push":
        return 4 * registers
    if name == "pop":
        return -4 * registers
    first = operands[0].reg if operands and operands[0].type == arm.ARM_OP_REG else 0
    if name in ("stmdb", "ldm", "ldmia", "vpush", "vpop") and first == arm.ARM_REG_SP:
        return 4 * (registers - 1) if name == "stmdb" else -4 * (registers - 1)
    if first != arm.ARM_REG_SP or name.startswith(("cmp", "str", "ldr")):
        if any(o.type == arm.ARM_OP_MEM and o.mem.base == arm.ARM_REG_SP for o in operands) and i.writeback:
            step = operands[-1].imm if operands[-1].type == arm.ARM_OP_IMM else operands[1].mem.disp
            return -int(step)
        return 0
    immediate = next((o.imm for o in operands if o.type == arm.ARM_OP_IMM), None)
    if immediate is not None and name in ("sub", "subw", "subs", "sub.w"):
        return int(immediate)
    if immediate is not None and name in ("add", "addw", "adds"):
        return -int(immediate)
    if name == "add" and operands[-1].type == arm.ARM_OP_REG:
        return -_literal(i, operands[-1].reg, instructions, code)
    raise _UnboundedError(f"{code.name} computes its stack pointer: {i.mnemonic} {i.op_str} at {i.address:#x}")


def _literal(i: capstone.CsInsn, register: int, instructions: Mapping[int, capstone.CsInsn], code: Code) -> int:
    """The constant that a literal load just before put into `register` (large frames on Armv6-M)."""
    before = sorted(a for a in instructions if a < i.address)[-4:]
    for address in reversed(before):
        load = instructions[address]
        if load.mnemonic == "ldr" and load.operands[0].reg == register:
            memory = load.operands[1].mem
            if memory.base == arm.ARM_REG_PC:
                at = ((address + 4) & ~3) + memory.disp - code.address
                return int.from_bytes(code.data[at : at + 4], "little", signed=True)
    raise _UnboundedError(f"{code.name} adds an unknown register to its stack pointer at {i.address:#x}")


def _exits(i: capstone.CsInsn, code: Code) -> tuple[list[int], bool]:
    """(addresses it may go to, whether it may also go on to the next instruction)."""
    name = i.mnemonic.removesuffix(".w").removesuffix(".n")
    immediate = [o.imm for o in i.operands if o.type == arm.ARM_OP_IMM]
    if name in _CALLS:
        if not immediate:
            raise _UnboundedError(f"{code.name} calls through a register at {i.address:#x}")
        return [immediate[0] & ~1], True
    if name in _RETURNS:
        if i.operands[0].reg != arm.ARM_REG_LR:
            raise _UnboundedError(f"{code.name} jumps through a register at {i.address:#x}")
        return [], False
    if name == "b":
        return [immediate[0] & ~1], False
    if i.id == arm.ARM_INS_B or name in ("cbz", "cbnz"):
        return [immediate[-1] & ~1], True
    if name in ("tbb", "tbh"):
        raise _UnboundedError(f"{code.name} jumps through a table at {i.address:#x}")
    writes_pc = any(o.type == arm.ARM_OP_REG and o.reg == arm.ARM_REG_PC for o in i.operands)
    if name == "pop" and writes_pc:
        return [], False
    if writes_pc and name in ("ldm", "ldmia", "ldr") and i.operands[-1].type != arm.ARM_OP_MEM:
        return [], False
    if writes_pc and name in ("mov", "add", "ldr") and i.operands[0].reg == arm.ARM_REG_PC:
        raise _UnboundedError(f"{code.name} jumps through a register at {i.address:#x}")
    return [], True
