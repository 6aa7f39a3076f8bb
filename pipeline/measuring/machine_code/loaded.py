"""A linked ELF as the emulator loads it."""

from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from pipeline.facts.cores import MachineCode
from pipeline.facts.errors import ChipfitError


@dataclass(frozen=True)
class LoadedImage:
    """A linked ELF for the emulator: bytes by address, zeroed RAM, the entry's range, symbols."""

    segments: tuple[tuple[int, bytes], ...]
    zeroed: tuple[tuple[int, int], ...]
    entry: int
    entry_end: int
    symbols: tuple[tuple[int, int, str], ...]
    code: tuple[tuple[int, int], ...]
    """[begin, end) of every section with instructions, by address; one in RAM is copied there before the entry runs."""
    arena: int | None
    """Address of the library's arena, where it has one."""

    @classmethod
    def read(cls, path: Path, entry: str, code: MachineCode) -> "LoadedImage":
        """The image in the file at `path`.

        Raises ChipfitError where it is no ELF image, or `entry` is no function in it with a size.
        """
        try:
            return cls._read(path, entry, code)
        except (ELFError, OSError) as error:
            raise ChipfitError(f"simulate: {path.name} is not a linked image: {error}") from error

    @classmethod
    def _read(cls, path: Path, entry: str, code: MachineCode) -> "LoadedImage":
        with path.open("rb") as file:
            elf = ELFFile(file)
            segments, zeroed, ranges = [], [], []
            for section in elf.iter_sections():
                if not section["sh_flags"] & 2 or not section["sh_size"]:
                    continue
                if section["sh_type"] == "SHT_NOBITS":
                    zeroed.append((section["sh_addr"], section["sh_size"]))
                else:
                    segments.append((section["sh_addr"], section.data()))
                    if section["sh_flags"] & 4:
                        ranges.append((section["sh_addr"], section["sh_addr"] + section["sh_size"]))
            table = elf.get_section_by_name(".symtab")
            functions = [] if table is None else [s for s in table.iter_symbols() if s["st_info"]["type"] == "STT_FUNC"]
            symbol_entries = [] if table is None else list(table.iter_symbols())
            name = f"{entry.removesuffix('_run')}__arena"
            arena = next((s["st_value"] for s in symbol_entries if s.name == name), None)
            symbols = tuple(sorted((s["st_value"] & ~code.code_bit, s["st_size"], s.name) for s in functions))
        for address, size, name in symbols:
            if name == entry and size:
                end, code_ranges = address + size, tuple(sorted(ranges))
                return cls(tuple(segments), tuple(zeroed), address, end, symbols, code_ranges, arena)
        raise ChipfitError(f"simulate: {entry} is not a function in the linked image")

    def symbol_at(self, address: int) -> str:
        """Name of the function that holds `address`, "no function" where none does."""
        for begin, size, name in self.symbols:
            if begin <= address < begin + size:
                return name
        return "no function"

    def count_half_words(self) -> int:
        """Half-words of code in all sections, which are numbered one after the other."""
        return sum((end - begin + 1) // 2 for begin, end in self.code)

    def address_of(self, half_word: int) -> int:
        """Address of a half-word of code by its number; raises IndexError."""
        for begin, end in self.code:
            if half_word < (end - begin + 1) // 2:
                return begin + 2 * half_word
            half_word -= (end - begin + 1) // 2
        raise IndexError(half_word)
