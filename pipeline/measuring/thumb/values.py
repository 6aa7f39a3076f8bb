"""Abstract values of registers while a function is walked: constants, stack addresses, the return address."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import capstone
from capstone import arm

from pipeline.facts.cores import THUMB
from pipeline.measuring.machine_code.decoded import DecodedImage

MASK = 0xFFFFFFFF


@dataclass(frozen=True)
class StackAddress:
    """The address `depth` bytes below the stack pointer at entry."""

    depth: int


@dataclass(frozen=True)
class ReturnAddress:
    """The address to which the function returns."""


Value = int | StackAddress | ReturnAddress


@dataclass(frozen=True)
class State:
    """Abstract state: `depth` bytes of stack in use, known registers by Capstone's number, saved words by depth."""

    depth: int
    registers: Mapping[int, Value]
    saved: Mapping[int, Value]

    def meet(self, other: "State") -> "State | None":
        """The facts that hold in both states, which reach one program point; None where their depths differ."""
        if self.depth != other.depth:
            return None
        return State(
            self.depth,
            {r: v for r, v in self.registers.items() if other.registers.get(r) == v},
            {d: v for d, v in self.saved.items() if other.saved.get(d) == v},
        )

    def get(self, register: int) -> Value | None:
        return StackAddress(self.depth) if register == arm.ARM_REG_SP else self.registers.get(register)

    def set(self, register: int, value: Value | None) -> "State":
        kept = {r: v for r, v in self.registers.items() if r != register}
        return replace(self, registers=kept if value is None else kept | {register: value})

    def with_depth(self, depth: int) -> "State":
        """This state with the stack pointer `depth` bytes below entry; words beyond it are forgotten."""
        return replace(self, depth=depth, saved={d: v for d, v in self.saved.items() if d <= depth})


ENTRY = State(0, {arm.ARM_REG_LR: ReturnAddress()}, {})

_CALLER_SAVED = frozenset(getattr(arm, f"ARM_REG_{name.upper()}") for name in THUMB.convention.caller_saved)


def after_call(state: State) -> State:
    """The state behind a call: what a callee may change is forgotten."""
    kept = {r: v for r, v in state.registers.items() if r not in _CALLER_SAVED}
    return after_store(replace(state, registers=kept))


def after_store(state: State) -> State:
    """The state behind a store through a pointer: it may hit a local variable, never a saved return address."""
    return replace(state, saved={d: v for d, v in state.saved.items() if isinstance(v, ReturnAddress)})


def result_value(i: capstone.CsInsn, name: str, state: State, image: DecodedImage) -> Value | None:
    """The value that an instruction writes to its first register; None where it is not known."""
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
            return _add(left, right, 1) if not isinstance(right, StackAddress) else _add(right, left, 1)
        case "sub" | "subw":
            return _add(left, right, -1)
    return None


def _add(left: Value | None, right: Value | None, sign: int) -> Value | None:
    if not isinstance(right, int):
        return None
    step = sign * (right - (1 << 32) if right >> 31 else right)
    if isinstance(left, StackAddress):
        return StackAddress(left.depth - step)
    return (left + step) & MASK if isinstance(left, int) else None
