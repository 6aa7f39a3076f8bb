"""Walk of one function's machine code over all paths, with the stack pointer's distance from its value at entry."""

from dataclasses import replace
from functools import lru_cache

import capstone
from capstone import arm

from pipeline.measuring.machine_code.decoded import DecodedImage, Function
from pipeline.measuring.machine_code.family import Frame, UnboundedError
from pipeline.measuring.thumb.decoding import conditional_addresses, is_it
from pipeline.measuring.thumb.jumps import HELPER, table_targets
from pipeline.measuring.thumb.values import (
    ENTRY,
    ReturnAddress,
    StackAddress,
    State,
    Value,
    after_call,
    after_store,
    result_value,
)

_TRAPS = frozenset({"udf", "bkpt", "hlt"})
_COMPARES = frozenset({"cmp", "cmn", "tst", "teq"})


def walk(function: Function, image: DecodedImage) -> Frame:
    """Stack of `function` over all paths; raises UnboundedError where the stack pointer or a jump is not known."""
    return _Walk(function, image).run()


@lru_cache(maxsize=2)
def _conditional(image: DecodedImage) -> frozenset[int]:
    return conditional_addresses(image.instructions)


class _Walk:
    def __init__(self, function: Function, image: DecodedImage) -> None:
        self.function, self.image = function, image
        self.conditional = _conditional(image)
        # In an IT block the condition that holds is part of the point: its instructions act or are skipped together.
        self.states: dict[tuple[int, int], State] = {}
        self.waiting: list[tuple[int, int]] = []
        self.calls: dict[int, int] = {}
        self.deepest = 0
        self.table = False

    def run(self) -> Frame:
        self.states[self.function.address, 0] = ENTRY
        self.waiting.append((self.function.address, 0))
        while self.waiting:
            address, holds = self.waiting.pop()
            self.step(address, holds, self.states[address, holds])
        if self.table:
            self.check_all_reached()
        return Frame(self.deepest, self.calls)

    def fail(self, why: str, i: capstone.CsInsn) -> UnboundedError:
        return UnboundedError(f"{self.function.name} {why}: {i.mnemonic} {i.op_str} at {i.address:#x}")

    def check_all_reached(self) -> None:
        """Raise UnboundedError where code was not reached: a jump table read too short would hide calls."""
        reached = {a for a, _ in self.states}
        for a, i in self.image.instructions.items():
            if self.function.address <= a < self.function.end and a not in reached and not _is_padding(i):
                raise UnboundedError(f"{self.function.name} has code that its jump tables do not reach, at {a:#x}")

    def transfer(self, target: int, holds: int, state: State, i: capstone.CsInsn, *, jump: bool = True) -> None:
        """Pass control to `target`: inside the function a program point, outside it a tail call."""
        inside = self.function.address <= target < self.function.end
        if not jump and not inside and target not in self.image.functions:
            raise self.fail("runs on past its end", i)
        if target != self.function.address and (not inside or target in self.image.functions):
            self.call(target, state, i)
            return
        point = (target, 0 if jump or target not in self.conditional else holds)
        before = self.states.get(point)
        after = state if before is None else before.meet(state)
        if after is None:
            raise self.fail("comes to one place with two stack depths", i)
        if after != before:
            self.states[point] = after
            self.waiting.append(point)

    def call(self, target: int, state: State, i: capstone.CsInsn) -> None:
        if self.image.function_at(target) is None:
            raise self.fail("goes where there is no code", i)
        self.calls[target] = max(self.calls.get(target, 0), state.depth)

    def step(self, address: int, holds: int, state: State) -> None:
        i = self.image.instructions.get(address)
        if i is None:
            raise UnboundedError(f"{self.function.name} runs into what is not code at {address:#x}")
        following = address + i.size
        if is_it(i):
            for condition in (i.cc, ((i.cc - 1) ^ 1) + 1):  # Capstone numbers opposite conditions 1 and 2, 3 and 4, ...
                self.transfer(following, condition, state, i, jump=False)
            return
        inside_it = address in self.conditional
        if inside_it and holds and i.cc != arm.ARM_CC_AL and i.cc != holds:
            self.transfer(following, holds, state, i, jump=False)
            return
        name = _name(i)
        if name in _TRAPS:
            return
        after = self.control(i, name, state, inside_it)
        if after is not None:
            self.deepest = max(self.deepest, after.depth)
            self.transfer(following, holds, after, i, jump=False)

    def control(self, i: capstone.CsInsn, name: str, state: State, inside_it: bool) -> State | None:
        """Follow jumps, calls and returns; the state at the next instruction, None where control does not reach it."""
        operands = i.operands
        if name in ("bl", "blx"):
            return self.follow_call(i, state)
        if name == "b":
            self.transfer(operands[0].imm & ~1, 0, state, i)
            return state if i.cc != arm.ARM_CC_AL and not inside_it else None
        if name in ("cbz", "cbnz"):
            self.transfer(operands[1].imm & ~1, 0, state, i)
            return state
        if name in ("tbb", "tbh"):
            self.follow_table(i, state)
            return None
        if name == "bx" or (name == "mov" and operands[0].reg == arm.ARM_REG_PC):
            self.follow_jump(i, state.get(operands[-1].reg), state)
            return None
        if name == "add" and operands[0].reg == arm.ARM_REG_PC:
            self.follow_table(i, state)
            return None
        after = self.execute(i, name, state)
        if not _writes_pc(i, name):
            return after
        if name == "ldr" and operands[1].mem.base != arm.ARM_REG_SP:
            self.follow_table(i, state)
        else:
            self.follow_jump(i, after.get(arm.ARM_REG_PC), after)
        return None

    def follow_call(self, i: capstone.CsInsn, state: State) -> State | None:
        operand = i.operands[0]
        target = operand.imm if operand.type == arm.ARM_OP_IMM else state.get(operand.reg)
        if not isinstance(target, int):
            raise self.fail("calls through a register", i)
        self.call(target & ~1, state, i)
        helper = self.image.names.get(target & ~1, "")
        if helper.startswith(HELPER):
            self.follow_table(i, state, helper)
            return None
        return after_call(state)

    def follow_table(self, i: capstone.CsInsn, state: State, helper: str = "") -> None:
        def state_at(address: int) -> State | None:
            return self.states.get((address, 0))

        self.table = True
        for target in table_targets(i, self.function, self.image, state_at, helper):
            self.transfer(target, 0, after_call(state) if helper else state, i)

    def follow_jump(self, i: capstone.CsInsn, to: Value | None, state: State) -> None:
        if isinstance(to, ReturnAddress):
            if state.depth != 0:
                raise self.fail(f"returns with its stack pointer {state.depth} bytes off", i)
        elif isinstance(to, int):
            self.transfer(to & ~1, 0, state, i)
        elif self.function.name.startswith(HELPER) and state.depth == 0:
            return  # to its caller's cases, which the walk of the caller follows
        elif i.id in (arm.ARM_INS_BX, arm.ARM_INS_MOV):
            self.follow_table(i, state)
        else:
            raise self.fail("does not return to where it was called", i)

    def execute(self, i: capstone.CsInsn, name: str, state: State) -> State:
        """The state after an instruction that is no jump; raises UnboundedError where it computes its stack pointer."""
        operands = i.operands
        first = operands[0].reg if operands and operands[0].type == arm.ARM_OP_REG else 0
        registers = [o.reg for o in operands if o.type == arm.ARM_OP_REG]
        if name == "push" or (name == "stmdb" and first == arm.ARM_REG_SP and i.writeback):
            return self.push(registers if name == "push" else registers[1:], state)
        if name == "pop" or (name in ("ldm", "ldmia") and first == arm.ARM_REG_SP and i.writeback):
            return self.pop(registers if name == "pop" else registers[1:], state, i)
        memory = next((o.mem for o in operands if o.type == arm.ARM_OP_MEM), None)
        if memory is not None and memory.base == arm.ARM_REG_SP and i.writeback:
            return self.execute_writeback(i, name, state)
        if memory is not None and memory.base == arm.ARM_REG_SP and not memory.index and name[:2] in ("ld", "st"):
            return self.load_or_store(name, registers, state, state, state.depth - memory.disp)
        if name.startswith("st"):
            state = after_store(state)
        value = result_value(i, name, state, self.image) if first and name not in _COMPARES else None
        if first == arm.ARM_REG_SP and name not in _COMPARES and not name.startswith("st"):
            if not isinstance(value, StackAddress) or value.depth < 0:
                raise self.fail("computes its stack pointer", i)
            return state.with_depth(value.depth)
        written = i.regs_access()[1]
        if name.startswith(("v", "msr")) and ("sp" in i.op_str or arm.ARM_REG_SP in written):
            raise self.fail("computes its stack pointer", i)
        if name not in _COMPARES and not name.startswith("st"):
            written = [*written, *registers[:2]] if name in _TWO_RESULTS or first == 0 else [*written, first]
        elif i.writeback and registers:
            written = [*written, *([memory.base] if memory is not None else registers[:1])]
        if arm.ARM_REG_SP in written:
            raise self.fail("computes its stack pointer", i)
        known = {r: v for r, v in state.registers.items() if r not in written}
        after = replace(state, registers=known)
        return after.set(first, value) if value is not None else after

    def push(self, registers: list[int], state: State) -> State:
        depth = state.depth + 4 * len(registers)
        words = {depth - 4 * k: v for k, r in enumerate(registers) if (v := state.get(r)) is not None}
        after = state.with_depth(depth)
        return replace(after, saved={**after.saved, **words})

    def pop(self, registers: list[int], state: State, i: capstone.CsInsn) -> State:
        if state.depth < 4 * len(registers):
            raise self.fail("takes more from the stack than it put there", i)
        after = state.with_depth(state.depth - 4 * len(registers))
        for k, register in enumerate(registers):
            after = after.set(register, state.saved.get(state.depth - 4 * k))
        return after

    def execute_writeback(self, i: capstone.CsInsn, name: str, state: State) -> State:
        """The state after a load or store that moves the stack pointer: str lr, [sp, #-4]! or ldr pc, [sp], #4."""
        operands, registers = i.operands, [o.reg for o in i.operands if o.type == arm.ARM_OP_REG]
        last, memory = operands[-1], next(o.mem for o in operands if o.type == arm.ARM_OP_MEM)
        post = last.type == arm.ARM_OP_IMM
        step = (-last.imm if last.subtracted else last.imm) if post else memory.disp
        if memory.index or state.depth - step < 0:
            raise self.fail("computes its stack pointer", i)
        after = state.with_depth(state.depth - step)
        return self.load_or_store(name, registers, state, after, state.depth if post else after.depth)

    def load_or_store(self, name: str, registers: list[int], before: State, after: State, lowest: int) -> State:
        """`after`, with the words from `lowest` bytes below entry upwards loaded, or stored from `before`."""
        for k, register in enumerate(registers):
            depth = (lowest - 4 * k + 3) & ~3
            if name in ("ldr", "ldrd"):
                after = after.set(register, before.saved.get(depth))
            elif name.startswith("ld"):
                after = after.set(register, None)
            else:
                value = before.get(register) if name in ("str", "strd") else None
                others = {d: v for d, v in after.saved.items() if d != depth}
                after = replace(after, saved=others if value is None else {**others, depth: value})
        return after


_TWO_RESULTS = frozenset("ldrd umull smull umlal smlal umaal smlald smlsld smlalbb smlalbt smlaltb smlaltt".split())


def _name(i: capstone.CsInsn) -> str:
    """The mnemonic without width, without the flag-setting s, and without an IT block's condition."""
    name = str(i.mnemonic).removesuffix(".w").removesuffix(".n")
    if i.cc not in (arm.ARM_CC_AL, arm.ARM_CC_INVALID):
        name = name.removesuffix(_CONDITIONS[i.cc - 1])
    return name[:-1] if name in _SETS_FLAGS else name


_CONDITIONS = "eq ne hs lo mi pl vs vc hi ls ge lt gt le".split()
_SETS_FLAGS = frozenset("adds subs movs mvns negs rsbs lsls lsrs asrs".split())


def _writes_pc(i: capstone.CsInsn, name: str) -> bool:
    if name.startswith("st") or name == "push":
        return False
    listed = any(o.type == arm.ARM_OP_REG and o.reg == arm.ARM_REG_PC for o in i.operands)
    if name in ("pop", "ldm", "ldmia", "ldmdb"):
        return listed
    return bool(i.operands) and i.operands[0].type == arm.ARM_OP_REG and i.operands[0].reg == arm.ARM_REG_PC


def _is_padding(i: capstone.CsInsn) -> bool:
    """Whether an instruction is one that assemblers fill gaps with: NOP, MOV r8, r8, or zeros."""
    return i.mnemonic.startswith("nop") or (i.mnemonic == "mov" and i.op_str == "r8, r8") or i.bytes == b"\0\0"
