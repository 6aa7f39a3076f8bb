"""A linked image decoded for the stack analysis: sections, symbols, functions, instructions."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import capstone

from pipeline.facts.cores import MachineCode


@dataclass(frozen=True)
class Section:
    """An allocated section: `kind` is code, constant, data or bss; `content` is empty for bss. `copied`: startup copies
    it from flash to RAM, so that it needs both."""

    name: str
    address: int
    size: int
    kind: str
    content: bytes
    copied: bool


@dataclass(frozen=True)
class Label:
    """A symbol in an allocated section, without the bit that marks code; mapping symbols ($t, $d) are not labels."""

    name: str
    address: int
    size: int
    section: Section
    function: bool


@dataclass(frozen=True)
class Function:
    """A function and its code's addresses: [address, end)."""

    name: str
    address: int
    end: int


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """A linked image; `functions`, `instructions` and `names` are by address."""

    code: MachineCode
    sections: tuple[Section, ...]
    labels: tuple[Label, ...]
    functions: Mapping[int, Function]
    names: Mapping[int, str]
    instructions: Mapping[int, capstone.CsInsn]

    def read(self, address: int, size: int) -> bytes | None:
        """`size` constant bytes at `address`; None where they lie in no section that is constant at run time."""
        for s in self.sections:
            if s.kind in ("code", "constant") and s.address <= address and address + size <= s.address + s.size:
                return s.content[address - s.address : address - s.address + size]
        return None

    def function_at(self, address: int) -> Function | None:
        """The function that begins at `address`; or, where a jump leads into the middle of one, its rest; or None."""
        if address in self.functions:
            return self.functions[address]
        if address not in self.instructions:
            return None
        starts = sorted(self.functions)
        after = bisect_right(starts, address)
        section = next(s for s in self.sections if s.address <= address < s.address + s.size)
        end = min(section.address + section.size, starts[after] if after < len(starts) else 1 << 32)
        return Function(self.names.get(address, f"the code at {address:#x}"), address, end)
