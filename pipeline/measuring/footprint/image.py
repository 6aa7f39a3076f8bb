"""A linked Thumb image as the analysis sees it: sections, symbols, functions, decoded instructions."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import capstone
from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from pipeline.facts.errors import ChipfitError
from pipeline.measuring.simulator.pricing import decoder

_WRITE, _ALLOC, _EXECUTE = 1, 2, 4


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
    """A symbol in an allocated section, the Thumb bit removed; mapping symbols ($t, $d) are not among them."""

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
class Image:
    """`functions`, `instructions` and `names` by address; `conditional` holds what stands inside an IT block."""

    sections: tuple[Section, ...]
    labels: tuple[Label, ...]
    functions: Mapping[int, Function]
    names: Mapping[int, str]
    instructions: Mapping[int, capstone.CsInsn]
    conditional: frozenset[int]

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


def read_image(elf: Path) -> Image:
    """Read and decode a linked ELF file; raises ChipfitError when it is not one, or has no symbols."""
    try:
        with elf.open("rb") as file:
            parsed = ELFFile(file)
            moved = [
                (g["p_vaddr"], g["p_vaddr"] + g["p_filesz"])
                for g in parsed.iter_segments()
                if g["p_type"] == "PT_LOAD" and g["p_vaddr"] != g["p_paddr"]
            ]
            by_index = {
                i: _section(s, moved)
                for i, s in enumerate(parsed.iter_sections())
                if s["sh_flags"] & _ALLOC and s["sh_size"]
            }
            table = parsed.get_section_by_name(".symtab")
            if not isinstance(table, SymbolTableSection):
                raise ChipfitError("size-check: the linked image has no symbols")
            found = [
                (s.name, s["st_value"], s["st_size"], by_index[s["st_shndx"]], s["st_info"]["type"])
                for s in table.iter_symbols()
                if s["st_shndx"] in by_index and s.name
            ]
    except (ELFError, OSError) as error:
        raise ChipfitError(f"size-check: {elf.name} is not a linked image") from error
    marks = sorted((v, n[:2], s) for n, v, _, s, _ in found if n[:2] in ("$t", "$d", "$a"))
    labels = tuple(
        Label(n, v & ~1 if t == "STT_FUNC" else v, z, s, t == "STT_FUNC")
        for n, v, z, s, t in found
        if not n.startswith("$") and t in ("STT_FUNC", "STT_OBJECT", "STT_NOTYPE")
    )
    sections = tuple(by_index.values())
    instructions: dict[int, capstone.CsInsn] = {}
    for section in sections:
        if section.kind == "code":
            for begin, end in _code_ranges(section, [(v, k) for v, k, s in marks if s == section]):
                _decode(section, begin, end, instructions)
    code = [x for x in labels if x.section.kind == "code"]
    return Image(
        sections=sections,
        labels=labels,
        functions=_functions([x for x in code if x.function]),
        names={x.address: x.name for x in reversed(code)},
        instructions=instructions,
        conditional=_conditional(instructions),
    )


def _section(section: object, moved: list[tuple[int, int]]) -> Section:
    flags, nobits = section["sh_flags"], section["sh_type"] == "SHT_NOBITS"  # type: ignore[index]
    kind = "code" if flags & _EXECUTE else ("bss" if nobits else "data") if flags & _WRITE else "constant"
    content = b"" if nobits else section.data()  # type: ignore[attr-defined]
    address = section["sh_addr"]  # type: ignore[index]
    copied = bool(content) and any(begin <= address < end for begin, end in moved)
    return Section(section.name, address, section["sh_size"], kind, content, copied)  # type: ignore[attr-defined,index]


def _functions(labels: list[Label]) -> dict[int, Function]:
    """One function per address; without .size (hand-written assembly) it ends where the next begins."""
    starts = sorted({x.address for x in labels})
    made = {}
    for address in starts:
        here = [x for x in labels if x.address == address]
        first = min(here, key=lambda x: preference(x.name))
        after = next((a for a in starts if a > address), 1 << 32)
        limit = min(first.section.address + first.section.size, after)
        size = max(x.size for x in here)
        made[address] = Function(first.name, address, min(address + size, limit) if size else limit)
    return made


def preference(name: str) -> tuple[bool, str]:
    """Of several names for one thing the EABI's is the one that people know."""
    return (not name.startswith("__aeabi_"), name)


def _code_ranges(section: Section, marks: list[tuple[int, str]]) -> list[tuple[int, int]]:
    """The parts of a section that mapping symbols declare to be Thumb code (ELF for the Arm Architecture, 5.5.5)."""
    end = section.address + section.size
    if not marks:
        return [(section.address, end)]
    edges = [v for v, _ in marks[1:]] + [end]
    return [(v, e) for (v, kind), e in zip(marks, edges, strict=True) if kind == "$t"]


def _decode(section: Section, begin: int, end: int, into: dict[int, capstone.CsInsn]) -> None:
    """Decode straight through; what Capstone does not know is left out, so that a walk that meets it stops."""
    at = begin
    while at + 2 <= end:
        code = section.content[at - section.address : end - section.address]
        for instruction in decoder().disasm(code, at):
            into[instruction.address] = instruction
            at = instruction.address + instruction.size
        if at + 2 <= end:
            half = int.from_bytes(section.content[at - section.address : at - section.address + 2], "little")
            at += 4 if half >> 11 >= 0b11101 else 2


def _conditional(instructions: Mapping[int, capstone.CsInsn]) -> frozenset[int]:
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
