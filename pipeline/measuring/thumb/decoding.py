"""Thumb instructions in a row, and which of them an IT block makes conditional."""

from collections.abc import Mapping

import capstone

from pipeline.facts.cores import THUMB
from pipeline.measuring.machine_code.decoded import Section
from pipeline.measuring.machine_code.decoder import decoder


def decode(section: Section, begin: int, end: int) -> Mapping[int, capstone.CsInsn]:
    """Decode straight through; what Capstone does not know is left out, so that a walk that meets it stops."""
    found: dict[int, capstone.CsInsn] = {}
    at = begin
    while at + 2 <= end:
        code = section.content[at - section.address : end - section.address]
        for instruction in decoder(THUMB).disasm(code, at):
            found[instruction.address] = instruction
            at = instruction.address + instruction.size
        if at + 2 <= end:
            half = int.from_bytes(section.content[at - section.address : at - section.address + 2], "little")
            at += 4 if half >> 11 >= 0b11101 else 2
    return found


def conditional(instructions: Mapping[int, capstone.CsInsn]) -> frozenset[int]:
    """Addresses of what stands inside an IT block."""
    found = set()
    for i in instructions.values():
        if is_it(i):
            at = i.address + i.size
            for _ in range(len(i.mnemonic) - 1):
                found.add(at)
                at += instructions[at].size if at in instructions else 2
    return frozenset(found)


def is_it(i: capstone.CsInsn) -> bool:
    """Whether an instruction begins an IT block: it, ite, itt, ..."""
    return bool(i.mnemonic.startswith("it") and set(i.mnemonic) <= {"i", "t", "e"})
