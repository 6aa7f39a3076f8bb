"""Decoder of Thumb code, and the instructions that an IT block makes conditional."""

from collections.abc import Mapping

import capstone

from pipeline.facts.cores import THUMB
from pipeline.measuring.machine_code.decoded import Section
from pipeline.measuring.machine_code.decoder import decoder


def decode(section: Section, begin: int, end: int) -> Mapping[int, capstone.CsInsn]:
    """Instructions of [begin, end) by address; undecodable ones are left out, so that a walk that meets one stops."""
    instructions: dict[int, capstone.CsInsn] = {}
    at = begin
    while at + 2 <= end:
        code = section.content[at - section.address : end - section.address]
        for instruction in decoder(THUMB).disasm(code, at):
            instructions[instruction.address] = instruction
            at = instruction.address + instruction.size
        if at + 2 <= end:
            half = int.from_bytes(section.content[at - section.address : at - section.address + 2], "little")
            at += 4 if half >> 11 >= 0b11101 else 2
    return instructions


def conditional_addresses(instructions: Mapping[int, capstone.CsInsn]) -> frozenset[int]:
    """Addresses of the instructions inside IT blocks."""
    addresses = set()
    for i in instructions.values():
        if is_it(i):
            at = i.address + i.size
            for _ in range(len(i.mnemonic) - 1):
                addresses.add(at)
                at += instructions[at].size if at in instructions else 2
    return frozenset(addresses)


def is_it(i: capstone.CsInsn) -> bool:
    """Whether an instruction begins an IT block: it, ite, itt, ..."""
    return bool(i.mnemonic.startswith("it") and set(i.mnemonic) <= {"i", "t", "e"})
