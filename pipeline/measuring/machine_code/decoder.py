"""Capstone's decoder of a family of instruction sets."""

from functools import cache

import capstone
import unicorn

from pipeline.facts.cores import MachineCode


@cache
def decoder(code: MachineCode) -> capstone.Cs:
    """Capstone's decoder for `code`, with operand details."""
    architecture, modes = code.capstone
    capstone_decoder = capstone.Cs(
        getattr(capstone, f"CS_ARCH_{architecture}"), sum(getattr(capstone, f"CS_MODE_{mode}") for mode in modes)
    )
    capstone_decoder.detail = True
    return capstone_decoder


def instruction_at(engine: unicorn.Uc, pc: int, code: MachineCode) -> capstone.CsInsn | None:
    """The instruction at `pc`, or None where there is none."""
    try:
        return next(decoder(code).disasm(bytes(engine.mem_read(pc, 4)), pc), None)
    except unicorn.UcError:
        return None
