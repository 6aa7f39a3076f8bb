"""What an emulated chip did when it faulted, in one sentence: where, which instruction, which address."""

import capstone
import unicorn
from capstone import arm
from unicorn import arm_const

from pipeline.facts.cores import Core
from pipeline.facts.errors import ChipfitError
from pipeline.measuring.simulator.image import Image
from pipeline.measuring.simulator.pricing import base_name, decoder

# Bytes that an access must be aligned to; 4 for all others.
_ALIGNMENT = {"ldrb": 1, "ldrsb": 1, "strb": 1, "ldrh": 2, "ldrsh": 2, "strh": 2}


def fault(engine: unicorn.Uc, core: Core, image: Image, what: str) -> ChipfitError:
    """The error for an engine that stopped at an instruction it could not finish; `what` is Unicorn's reason."""
    pc = engine.reg_read(arm_const.UC_ARM_REG_PC)
    where = f"{pc:#x} in {image.symbol_at(pc)}"
    instruction = instruction_at(engine, pc)
    if instruction is None:
        return ChipfitError(f"simulate: the emulated chip faulted at {where}: {what}")
    text = f"{instruction.mnemonic} {instruction.op_str}".strip()
    address = _address(engine, instruction)
    if address is None:
        return ChipfitError(f"simulate: the emulated chip faulted at {where}, {text}: {what}")
    if address % _ALIGNMENT.get(base_name(instruction), 4) and not core.isa.unaligned_access:
        return ChipfitError(
            f"simulate: {text} at {where} makes an unaligned access to {address:#x}: {core.name} faults on it"
        )
    return ChipfitError(f"simulate: the emulated chip faulted at {where}, {text}, address {address:#x}: {what}")


def instruction_at(engine: unicorn.Uc, pc: int) -> capstone.CsInsn | None:
    """The instruction at `pc`, or None where there is none."""
    try:
        return next(decoder().disasm(bytes(engine.mem_read(pc, 4)), pc), None)
    except unicorn.UcError:
        return None


def _address(engine: unicorn.Uc, instruction: capstone.CsInsn) -> int | None:
    """Where a load or store that has not happened would go; for several registers, where they begin."""
    for operand in instruction.operands:
        if operand.type == arm.ARM_OP_MEM:
            base = _register(engine, instruction, operand.mem.base)
            if operand.mem.base == arm.ARM_REG_PC:
                base &= ~3
            index = _register(engine, instruction, operand.mem.index) if operand.mem.index else 0
            return (base + (index << operand.mem.lshift) + operand.mem.disp) & 0xFFFF_FFFF
    if base_name(instruction).startswith(("ldm", "stm")):
        return _register(engine, instruction, instruction.operands[0].reg)
    return None


def _register(engine: unicorn.Uc, instruction: capstone.CsInsn, register: int) -> int:
    if register == arm.ARM_REG_PC:
        return int(instruction.address) + 4
    name = instruction.reg_name(register).upper()
    return int(engine.reg_read(getattr(arm_const, f"UC_ARM_REG_{name}")))
