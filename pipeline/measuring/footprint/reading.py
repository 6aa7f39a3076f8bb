"""Reader of a linked ELF file: sections, symbols, functions and decoded instructions."""

from pathlib import Path

import capstone
from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from pipeline.facts.errors import ChipfitError
from pipeline.measuring.families import FAMILIES
from pipeline.measuring.machine_code.decoded import DecodedImage, Function, Label, Section
from pipeline.measuring.machine_code.family import Family

_WRITE, _ALLOC, _EXECUTE = 1, 2, 4


def read_image(elf: Path) -> DecodedImage:
    """The decoded image; raises ChipfitError for a file that is no ELF image of a known machine, or has no symbols."""
    try:
        with elf.open("rb") as file:
            parsed = ELFFile(file)
            family = _family(parsed["e_machine"], elf)
            copied_ranges = [
                (g["p_vaddr"], g["p_vaddr"] + g["p_filesz"])
                for g in parsed.iter_segments()
                if g["p_type"] == "PT_LOAD" and g["p_vaddr"] != g["p_paddr"]
            ]
            by_index = {
                i: _section(s, copied_ranges)
                for i, s in enumerate(parsed.iter_sections())
                if s["sh_flags"] & _ALLOC and s["sh_size"]
            }
            table = parsed.get_section_by_name(".symtab")
            if not isinstance(table, SymbolTableSection):
                raise ChipfitError("size-check: the linked image has no symbols")
            symbols = [
                (s.name, s["st_value"], s["st_size"], by_index[s["st_shndx"]], s["st_info"]["type"])
                for s in table.iter_symbols()
                if s["st_shndx"] in by_index and s.name
            ]
    except (ELFError, OSError) as error:
        raise ChipfitError(f"size-check: {elf.name} is not a linked image") from error
    marks = sorted((v, n[:2], s) for n, v, _, s, _ in symbols if n.startswith("$"))
    code = family.CODE
    labels = tuple(
        Label(n, v & ~code.code_bit if t == "STT_FUNC" else v, z, s, t == "STT_FUNC")
        for n, v, z, s, t in symbols
        if not n.startswith("$") and t in ("STT_FUNC", "STT_OBJECT", "STT_NOTYPE")
    )
    sections = tuple(by_index.values())
    instructions: dict[int, capstone.CsInsn] = {}
    for section in sections:
        if section.kind == "code":
            section_marks = [(v, kind == code.mapping_symbol) for v, kind, s in marks if s == section]
            for begin, end in _code_ranges(section, section_marks):
                instructions |= family.decode(section, begin, end)
    functions = [x for x in labels if x.section.kind == "code"]
    return DecodedImage(
        code=code,
        sections=sections,
        labels=labels,
        functions=_functions([x for x in functions if x.function]),
        names={x.address: x.name for x in reversed(functions)},
        instructions=instructions,
    )


def _section(section: object, copied_ranges: list[tuple[int, int]]) -> Section:
    flags, nobits = section["sh_flags"], section["sh_type"] == "SHT_NOBITS"  # type: ignore[index]
    kind = "code" if flags & _EXECUTE else ("bss" if nobits else "data") if flags & _WRITE else "constant"
    content = b"" if nobits else section.data()  # type: ignore[attr-defined]
    address = section["sh_addr"]  # type: ignore[index]
    copied = bool(content) and any(begin <= address < end for begin, end in copied_ranges)
    return Section(section.name, address, section["sh_size"], kind, content, copied)  # type: ignore[attr-defined,index]


def _functions(labels: list[Label]) -> dict[int, Function]:
    """Functions by address; one without .size (hand-written assembly) ends where the next begins."""
    starts = sorted({x.address for x in labels})
    functions = {}
    for address in starts:
        here = [x for x in labels if x.address == address]
        first = min(here, key=lambda x: alias_order(x.name))
        after = next((a for a in starts if a > address), 1 << 32)
        limit = min(first.section.address + first.section.size, after)
        size = max(x.size for x in here)
        functions[address] = Function(first.name, address, min(address + size, limit) if size else limit)
    return functions


def alias_order(name: str) -> tuple[bool, str]:
    """Sort key for the names of one address: the EABI's first, which people know."""
    return (not name.startswith("__aeabi_"), name)


def _family(machine: str, elf: Path) -> Family:
    for family in FAMILIES.values():
        if machine == family.CODE.elf_machine:
            return family
    raise ChipfitError(f"size-check: {elf.name} is code for {machine}, which chipfit cannot read")


def _code_ranges(section: Section, marks: list[tuple[int, bool]]) -> list[tuple[int, int]]:
    """The parts of a section that mapping symbols declare to be code (ELF for the Arm Architecture, 5.5.5)."""
    end = section.address + section.size
    if not marks:
        return [(section.address, end)]
    edges = [v for v, _ in marks[1:]] + [end]
    return [(v, e) for (v, is_code), e in zip(marks, edges, strict=True) if is_code]
