"""A linked image as the analysis of its stack sees it: sections, symbols, functions, decoded instructions."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import capstone

from pipeline.facts.cores import MachineCode


@dataclass(frozen=True)
class Section:
    """An allocated section: `kind` is code, constant, data or bss; `content` is empty for bss. `copied`: startup copies
    it from flash to RAM, so that it takes of both."""

    name: str
    address: int
    size: int
    kind: str
    content: bytes
    copied: bool


@dataclass(frozen=True)
class Label:
    """A symbol in an allocated section, without the bit that marks code; mapping symbols ($t, $d) are none."""

    name: str
    address: int
    size: int
    section: Section
    function: bool


@dataclass(frozen=True)
class Function:
    """Where a function's code lies: [address, end)."""

    name: str
    address: int
    end: int


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """`functions`, `instructions` and `names` by address."""

    code: MachineCode

    sections: tuple[Section, ...]
    labels: tuple[Label, ...]
    functions: Mapping[int, Function]
    names: Mapping[int, str]
    instructions: Mapping[int, capstone.CsInsn]

    def read(self, address: int, size: int) -> bytes | None:
        """Bytes that cannot change at run time, or None where there are none."""
        for s in self.sections:
            if s.kind in ("code", "constant") and s.address <= address and address + size <= s.address + s.size:
                return s.content[address - s.address : address - s.address + size]
        return None

    def function_at(self, address: int) -> Function | None:
        """The function that begins here; or, when a jump leads into the middle of code, from there to its end."""
        if address in self.functions:
            return self.functions[address]
        if address not in self.instructions:
            return None
        starts = sorted(self.functions)
        after = bisect_right(starts, address)
        section = next(s for s in self.sections if s.address <= address < s.address + s.size)
        end = min(section.address + section.size, starts[after] if after < len(starts) else 1 << 32)
        return Function(self.names.get(address, f"the code at {address:#x}"), address, end)
