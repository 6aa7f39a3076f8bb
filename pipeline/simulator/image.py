"""A linked ELF as the emulator loads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from pipeline.errors import ChipfitError


@dataclass(frozen=True)
class Image:
    """What the emulator needs of a linked ELF: bytes by address, the entry's range, zeroed RAM."""

    segments: tuple[tuple[int, bytes], ...]
    zeroed: tuple[tuple[int, int], ...]
    entry: int
    entry_end: int
    symbols: tuple[tuple[int, int, str], ...]
    objects: Mapping[str, int]
    """Address of each variable by its name."""

    @classmethod
    def read(cls, path: Path, entry: str) -> "Image":
        """Raises ChipfitError for a file that is no ELF image, and when `entry` is no function of it with a size."""
        try:
            return cls._read(path, entry)
        except (ELFError, OSError) as error:
            raise ChipfitError(f"simulate: {path.name} is not a linked image: {error}") from error

    @classmethod
    def _read(cls, path: Path, entry: str) -> "Image":
        with path.open("rb") as file:
            elf = ELFFile(file)
            segments, zeroed = [], []
            for section in elf.iter_sections():
                if not section["sh_flags"] & 2 or not section["sh_size"]:
                    continue
                if section["sh_type"] == "SHT_NOBITS":
                    zeroed.append((section["sh_addr"], section["sh_size"]))
                else:
                    segments.append((section["sh_addr"], section.data()))
            table = elf.get_section_by_name(".symtab")
            named = [] if table is None else [s for s in table.iter_symbols() if s["st_info"]["type"] == "STT_FUNC"]
            known = [] if table is None else list(table.iter_symbols())
            objects = {s.name: s["st_value"] for s in known if s["st_info"]["type"] == "STT_OBJECT"}
            symbols = tuple(sorted((s["st_value"] & ~1, s["st_size"], s.name) for s in named))
        for address, size, name in symbols:
            if name == entry and size:
                return cls(tuple(segments), tuple(zeroed), address, address + size, symbols, objects)
        raise ChipfitError(f"simulate: {entry} is not a function in the linked image")

    def symbol_at(self, address: int) -> str:
        """The function that holds an address."""
        for begin, size, name in self.symbols:
            if begin <= address < begin + size:
                return name
        return "no function"

    def code_span(self) -> tuple[int, int]:
        """The addresses from the first function's first byte to the last one's last."""
        return self.symbols[0][0], max(b + s for b, s, _ in self.symbols)
