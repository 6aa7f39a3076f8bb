"""size.json: flash, RAM and stack of the linked library, beside what is free."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pipeline.facts.records import Key
from pipeline.measuring.footprint import Footprint


@dataclass(frozen=True)
class FlashUse:
    """Bytes of flash: `used` is code, constants, and `data` that startup copies to RAM."""

    used: int
    limit: int
    code: int
    constants: int
    data: int


@dataclass(frozen=True)
class RamUse:
    """Bytes of RAM: `used` is `data` that startup copies there, and `bss`."""

    used: int
    limit: int
    data: int
    bss: int


@dataclass(frozen=True)
class StackNeed:
    """Bytes of stack along the deepest `call_path`; None where no bound is known, for the reason `unknown`."""

    worst_case: int | None
    limit: int | None
    call_path: Annotated[tuple[str, ...], Key("chain")]
    unknown: str


@dataclass(frozen=True)
class LibraryCall:
    """A function from the compiler's support library, and its bytes."""

    name: str
    size: int


@dataclass(frozen=True)
class SizedSymbol:
    """A symbol of the library and its bytes, of `kind` code, constant or ram."""

    name: str
    size: int
    kind: str


@dataclass(frozen=True)
class SizedLayer:
    """A kernel call, and the bytes of its constants."""

    name: str
    kernel: str
    constants: int


@dataclass(frozen=True)
class SizeFile:
    toolchain: str
    flash: FlashUse
    ram: RamUse
    stack: StackNeed
    float_symbols: tuple[str, ...]
    heap_symbols: tuple[str, ...]
    library_calls: tuple[LibraryCall, ...]
    symbols: tuple[SizedSymbol, ...]
    layers: tuple[SizedLayer, ...]


@dataclass(frozen=True)
class Free:
    """Bytes of flash, RAM and stack that the library may take; None where nothing is asked of the stack."""

    flash: int
    ram: int
    stack: int | None


def size_file(toolchain: str, footprint: Footprint, free: Free, layers: Sequence[SizedLayer]) -> SizeFile:
    """The contents of size.json for the footprint of a library that `toolchain` linked."""
    return SizeFile(
        toolchain=toolchain,
        flash=FlashUse(footprint.flash, free.flash, footprint.code, footprint.constants, footprint.data),
        ram=RamUse(footprint.ram, free.ram, footprint.data, footprint.bss),
        stack=StackNeed(footprint.stack.worst, free.stack, footprint.stack.call_path, footprint.stack.unknown),
        float_symbols=footprint.float_symbols,
        heap_symbols=footprint.heap_symbols,
        library_calls=tuple(LibraryCall(s.name, s.size) for s in footprint.library_calls),
        symbols=tuple(SizedSymbol(s.name, s.size, s.kind) for s in footprint.symbols),
        layers=tuple(layers),
    )
