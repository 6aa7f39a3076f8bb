"""What a linked library takes of the chip: flash by section, symbol and kind, RAM, and worst-case stack."""

import re
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from pipeline.errors import ChipfitError
from pipeline.footprint.stack import Code, StackUse, worst_case

_FLOAT = re.compile(
    r"__aeabi_(f|d|cf|cd|i2f|i2d|ui2f|ui2d|l2f|l2d|ul2f|ul2d|h2f)\w*|__\w*(sf|df|tf|hf)(2|3|si|di|sf|df|hf|vfp)\w*"
    r"|__(fixuns|fix|float|floatun|extend|trunc|add|sub|mul|div|neg|cmp|eq|ne|lt|le|gt|ge)\w*[sdh]f\w*"
)
_HEAP = frozenset({"malloc", "free", "calloc", "realloc", "_sbrk", "sbrk"})
_SUPPORT = re.compile(r"__aeabi_\w+|__\w+[sd]i[34]?|mem(cpy|set|move|cmp)|__gnu_\w+|__\w+di3")


@dataclass(frozen=True)
class Symbol:
    """A named piece: `kind` is code, constant or ram."""

    name: str
    size: int
    kind: str


@dataclass(frozen=True)
class Footprint:
    """Bytes. `flash` is code + constants + the load image of initialized data; `ram` is .data + .bss."""

    code: int
    constants: int
    data: int
    bss: int
    symbols: tuple[Symbol, ...]
    float_symbols: tuple[str, ...]
    heap_symbols: tuple[str, ...]
    library_calls: tuple[Symbol, ...]
    stack: StackUse

    @property
    def flash(self) -> int:
        return self.code + self.constants + self.data

    @property
    def ram(self) -> int:
        return self.data + self.bss


def measure(elf: Path, entry: str, own_prefix: str) -> Footprint:
    """Read a linked image whose only root is `entry`.

    Every function that does not begin with `own_prefix` came from the compiler's support library and is named in
    `library_calls`. Raises ChipfitError when `entry` is missing.
    """
    with elf.open("rb") as file:
        image = ELFFile(file)
        sizes = dict.fromkeys(("code", "constant", "data", "bss"), 0)
        kinds: dict[int, str] = {}
        contents: dict[int, tuple[int, bytes]] = {}
        for index, section in enumerate(image.iter_sections()):
            if not section["sh_flags"] & 2:
                continue
            kind = _kind(section)
            sizes[kind] += section["sh_size"]
            kinds[index] = kind
            if kind == "code":
                contents[index] = (section["sh_addr"], section.data())
        table = image.get_section_by_name(".symtab")
        if not isinstance(table, SymbolTableSection):
            raise ChipfitError("size-check: the linked image has no symbols")
        everything = [
            (s.name, s["st_value"], s["st_size"], s["st_shndx"], s["st_info"]["type"]) for s in table.iter_symbols()
        ]
    named = [(n, v & ~1, z, x, t) for n, v, z, x, t in everything if x in kinds]
    symbols = [Symbol(n, z, "ram" if kinds[x] in ("data", "bss") else kinds[x]) for n, _, z, x, _ in named if z]
    symbols.sort(key=lambda s: (-s.size, s.name))
    functions = _functions(named, contents)
    starts = {f.name: a for a, f in functions.items()}
    if entry not in starts:
        raise ChipfitError(f"size-check: {entry} is not in the linked image")
    names = sorted({n for n, *_ in named})
    support = tuple(s for s in symbols if s.kind == "code" and not s.name.startswith(own_prefix))
    return Footprint(
        code=sizes["code"],
        constants=sizes["constant"],
        data=sizes["data"],
        bss=sizes["bss"],
        symbols=tuple(symbols),
        float_symbols=tuple(n for n in names if _FLOAT.fullmatch(n)),
        heap_symbols=tuple(n for n in names if n in _HEAP),
        library_calls=support,
        stack=worst_case(functions, starts[entry]),
    )


def _kind(section: object) -> str:
    flags, nobits = section["sh_flags"], section["sh_type"] == "SHT_NOBITS"  # type: ignore[index]
    if flags & 4:
        return "code"
    if flags & 1:
        return "bss" if nobits else "data"
    return "constant"


def _functions(named: list[tuple[str, int, int, int, str]], contents: dict[int, tuple[int, bytes]]) -> dict[int, Code]:
    made = {}
    marks = sorted((v, n) for n, v, _, _, _ in named if n.startswith(("$t", "$d")))
    for name, address, size, index, kind in named:
        if index not in contents or kind != "STT_FUNC":
            continue
        base, data = contents[index]
        if not size:  # hand-written assembly without .size: up to the next function, or the section's end
            later = [v for _, v, _, x, t in named if x == index and t == "STT_FUNC" and v > address]
            size = min(later, default=base + len(data)) - address
        inside = [(v, n) for v, n in marks if address <= v < address + size]
        edges = [*inside[1:], (address + size, "")]
        literals = tuple((v, e) for (v, n), (e, _) in zip(inside, edges, strict=False) if n.startswith("$d"))
        made[address] = Code(name, address, data[address - base : address - base + size], literals)
    return made
