"""size.json: what the linked library takes of the chip."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.measuring.footprint import Footprint


@dataclass(frozen=True)
class FlashUse:
    """Bytes: `used` is code, constants, and `data` that startup copies to RAM."""

    used: int
    limit: int
    code: int
    constants: int
    data: int


@dataclass(frozen=True)
class RamUse:
    """Bytes: `used` is `data` that startup copies there, and `bss`."""

    used: int
    limit: int
    data: int
    bss: int


@dataclass(frozen=True)
class StackNeed:
    """Bytes of the deepest `chain` of calls; None where no bound is known, for the reason `unknown`."""

    worst_case: int | None
    limit: int | None
    chain: tuple[str, ...]
    unknown: str


@dataclass(frozen=True)
class LibraryCall:
    """A function from the compiler's support library, and its bytes."""

    name: str
    size: int


@dataclass(frozen=True)
class SizedSymbol:
    """A named piece of the library: bytes, of `kind` code, constant or ram."""

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


def size_file(toolchain: str, found: Footprint, free: Free, layers: Sequence[SizedLayer]) -> SizeFile:
    """The footprint of a library that `toolchain` made, beside what is free."""
    return SizeFile(
        toolchain=toolchain,
        flash=FlashUse(found.flash, free.flash, found.code, found.constants, found.data),
        ram=RamUse(found.ram, free.ram, found.data, found.bss),
        stack=StackNeed(found.stack.worst, free.stack, found.stack.chain, found.stack.unknown),
        float_symbols=found.float_symbols,
        heap_symbols=found.heap_symbols,
        library_calls=tuple(LibraryCall(s.name, s.size) for s in found.library_calls),
        symbols=tuple(SizedSymbol(s.name, s.size, s.kind) for s in found.symbols),
        layers=tuple(layers),
    )
