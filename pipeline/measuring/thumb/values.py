"""What is known about registers while a function is walked: constants, places on the stack, the return address."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import capstone
from capstone import arm

from pipeline.facts.cores import THUMB
from pipeline.measuring.machine_code.decoded import DecodedImage

MASK = 0xFFFFFFFF


@dataclass(frozen=True)
class OnStack:
    """The address `depth` bytes below the stack pointer at entry."""

    depth: int


@dataclass(frozen=True)
class Return:
    """The address that the function was called from."""


Value = int | OnStack | Return


@dataclass(frozen=True)
class State:
    """`depth` bytes are in use; registers (by Capstone's number) and saved words (by depth) that are known."""

    depth: int
    registers: Mapping[int, Value]
    saved: Mapping[int, Value]

    def meet(self, other: "State") -> "State | None":
        """What holds on both ways into one place; None when the depths differ."""
        if self.depth != other.depth:
            return None
        return State(
            self.depth,
            {r: v for r, v in self.registers.items() if other.registers.get(r) == v},
            {d: v for d, v in self.saved.items() if other.saved.get(d) == v},
        )

    def get(self, register: int) -> Value | None:
        return OnStack(self.depth) if register == arm.ARM_REG_SP else self.registers.get(register)

    def set(self, register: int, value: Value | None) -> "State":
        kept = {r: v for r, v in self.registers.items() if r != register}
        return replace(self, registers=kept if value is None else kept | {register: value})

    def at(self, depth: int) -> "State":
        """The stack pointer moved; words above the stack's end are forgotten."""
        return replace(self, depth=depth, saved={d: v for d, v in self.saved.items() if d <= depth})


ENTRY = State(0, {arm.ARM_REG_LR: Return()}, {})

_CHANGED = frozenset(getattr(arm, f"ARM_REG_{name.upper()}") for name in THUMB.convention.changed)


def after_call(state: State) -> State:
    """What a call leaves known."""
    kept = {r: v for r, v in state.registers.items() if r not in _CHANGED}
    return after_store(replace(state, registers=kept))


def after_store(state: State) -> State:
    """What a write through a pointer leaves known: it may hit a local variable, never a saved return address."""
    return replace(state, saved={d: v for d, v in state.saved.items() if isinstance(v, Return)})


def computed(i: capstone.CsInsn, name: str, state: State, image: DecodedImage) -> Value | None:
    """What an instruction puts into its first register, where that follows from what is known."""
    operands = i.operands
    if name == "ldr" and operands[1].type == arm.ARM_OP_MEM and operands[1].mem.base == arm.ARM_REG_PC:
        if operands[1].mem.index:
            return None
        word = image.read(((i.address + 4) & ~3) + operands[1].mem.disp, 4)
        return None if word is None else int.from_bytes(word, "little")
    if name == "adr" or (name == "add" and len(operands) == 3 and operands[1].reg == arm.ARM_REG_PC):
        return int(((i.address + 4) & ~3) + operands[-1].imm)
    if any(o.type not in (arm.ARM_OP_REG, arm.ARM_OP_IMM) for o in operands) or any(o.shift.type for o in operands[:1]):
        return None
    if any(o.type == arm.ARM_OP_REG and (o.shift.type or o.reg == arm.ARM_REG_PC) for o in operands):
        return None
    values = [int(o.imm) & MASK if o.type == arm.ARM_OP_IMM else state.get(o.reg) for o in operands]
    left, right = (values[0], values[1]) if len(values) == 2 else (values[-2], values[-1])
    match name:
        case "mov" | "movw":
            return values[1]
        case "movt" if isinstance(values[0], int) and isinstance(values[1], int):
            return values[0] & 0xFFFF | values[1] << 16
        case "mvn" if isinstance(values[1], int):
            return ~values[1] & MASK
        case "neg" if isinstance(values[1], int):
            return -values[1] & MASK
        case "rsb" if isinstance(left, int) and isinstance(right, int):
            return (right - left) & MASK
        case "lsl" if isinstance(left, int) and isinstance(right, int):
            return left << min(right, 32) & MASK
        case "add" | "addw":
            return _sum(left, right, 1) if not isinstance(right, OnStack) else _sum(right, left, 1)
        case "sub" | "subw":
            return _sum(left, right, -1)
    return None


def _sum(left: Value | None, right: Value | None, sign: int) -> Value | None:
    if not isinstance(right, int):
        return None
    step = sign * (right - (1 << 32) if right >> 31 else right)
    if isinstance(left, OnStack):
        return OnStack(left.depth - step)
    return (left + step) & MASK if isinstance(left, int) else None
