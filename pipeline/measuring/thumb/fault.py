"""Message for a fault of the emulated chip: where, which instruction, which address."""

import capstone
import unicorn
from capstone import arm

from pipeline.facts.cores import THUMB, Core
from pipeline.facts.errors import ChipfitError
from pipeline.measuring.machine_code.decoder import instruction_at
from pipeline.measuring.machine_code.engine import register
from pipeline.measuring.machine_code.loaded import LoadedImage
from pipeline.measuring.thumb.pricing import base_name

# Bytes that an access must be aligned to; 4 for all others.
_ALIGNMENT = {"ldrb": 1, "ldrsb": 1, "strb": 1, "ldrh": 2, "ldrsh": 2, "strh": 2}


def fault(engine: unicorn.Uc, core: Core, image: LoadedImage, what: str) -> ChipfitError:
    """The error for an engine that stopped at an instruction it could not finish; `what` is Unicorn's reason."""
    pc = engine.reg_read(register(THUMB, "pc"))
    where = f"{pc:#x} in {image.symbol_at(pc)}"
    instruction = instruction_at(engine, pc, THUMB)
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


def _address(engine: unicorn.Uc, instruction: capstone.CsInsn) -> int | None:
    """Address of a load or store that has not happened; of several registers, the first one's."""
    for operand in instruction.operands:
        if operand.type == arm.ARM_OP_MEM:
            base = _register_value(engine, instruction, operand.mem.base)
            if operand.mem.base == arm.ARM_REG_PC:
                base &= ~3
            index = _register_value(engine, instruction, operand.mem.index) if operand.mem.index else 0
            return (base + (index << operand.mem.lshift) + operand.mem.disp) & 0xFFFF_FFFF
    if base_name(instruction).startswith(("ldm", "stm")):
        return _register_value(engine, instruction, instruction.operands[0].reg)
    return None


def _register_value(engine: unicorn.Uc, instruction: capstone.CsInsn, number: int) -> int:
    if number == arm.ARM_REG_PC:
        return int(instruction.address) + 4
    return int(engine.reg_read(register(THUMB, instruction.reg_name(number))))
