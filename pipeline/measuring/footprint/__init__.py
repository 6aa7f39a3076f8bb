"""Footprint of a linked library: flash by section, symbol and kind, RAM, and worst-case stack."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.facts.errors import ChipfitError
from pipeline.measuring.footprint.names import is_float, is_heap
from pipeline.measuring.footprint.reading import alias_order, read_image
from pipeline.measuring.footprint.stack import StackUse, worst_case
from pipeline.measuring.machine_code.decoded import DecodedImage, Label

__all__ = ["Footprint", "StackUse", "Symbol", "measure"]

_KINDS = {"code": "code", "constant": "constant", "data": "ram", "bss": "ram"}


@dataclass(frozen=True)
class Symbol:
    """A symbol of the image: `kind` is code, constant or ram; `aliases` are other names for the same bytes."""

    name: str
    size: int
    kind: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Footprint:
    """Bytes of flash, RAM and stack. `flash` is code + constants + data; `ram` is data + .bss.

    `data` is what startup copies from flash to RAM: variables with a value, and functions that run from RAM.
    """

    code: int
    constants: int
    data: int
    bss: int
    sections: tuple[tuple[str, int], ...]
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
    """The footprint of a linked image whose only root is `entry`.

    Every function none of whose names begins with `own_prefix` came from the compiler's support library and is
    named in `library_calls`. Raises ChipfitError when `elf` is no such image or `entry` is missing.
    """
    image = read_image(elf)
    start = next((x.address for x in image.labels if x.function and x.name == entry), None)
    if start is None:
        raise ChipfitError(f"size-check: {entry} is not in the linked image")
    sizes = dict.fromkeys(("code", "constant", "data", "bss"), 0)
    for section in image.sections:
        sizes["data" if section.copied else section.kind] += section.size
    symbols = _symbols(image)
    names = sorted({x.name for x in image.labels})
    return Footprint(
        code=sizes["code"],
        constants=sizes["constant"],
        data=sizes["data"],
        bss=sizes["bss"],
        sections=tuple((s.name, s.size) for s in image.sections),
        symbols=symbols,
        float_symbols=tuple(n for n in names if is_float(n)),
        heap_symbols=tuple(n for n in names if is_heap(n)),
        library_calls=tuple(
            s for s in symbols if s.kind == "code" and not any(n.startswith(own_prefix) for n in (s.name, *s.aliases))
        ),
        stack=worst_case(image, start),
    )


def _symbols(image: DecodedImage) -> tuple[Symbol, ...]:
    """Symbols of all labelled memory, the largest first; bytes with two names are counted once."""
    pieces: dict[tuple[int, str], list[Label]] = {}
    for label in image.labels:
        if label.function or label.size:
            pieces.setdefault((label.address, label.section.kind), []).append(label)
    symbols = []
    for (address, kind), labels in pieces.items():
        names = sorted((x.name for x in labels), key=alias_order)
        size = max(x.size for x in labels)
        if not size and address in image.functions:
            size = image.functions[address].end - address
        # A table that a compiler placed among code is data all the same.
        shown = "constant" if kind == "code" and not any(x.function for x in labels) else _KINDS[kind]
        symbols.append(Symbol(names[0], size, shown, tuple(names[1:])))
    return tuple(sorted(symbols, key=lambda s: (-s.size, s.name)))
