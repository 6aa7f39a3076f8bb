"""Machine code executed by Unicorn on the right core model, with memory as the chip has it."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import unicorn
from elftools.elf.elffile import ELFFile
from unicorn import arm_const

from pipeline.errors import ChipfitError
from pipeline.simulator.cores import CORES
from pipeline.simulator.native import Counter, library

_PAGE = 0x1000
_PAINT = 0xA5
_CPU = {
    "cortex-m0": arm_const.UC_CPU_ARM_CORTEX_M0,
    "cortex-m0plus": arm_const.UC_CPU_ARM_CORTEX_M0,
    "cortex-m3": arm_const.UC_CPU_ARM_CORTEX_M3,
    "cortex-m4": arm_const.UC_CPU_ARM_CORTEX_M4,
}
_RETURN = 0xA000_0000 - _PAGE  # executable, far from any chip's memory, and no EXC_RETURN (0xF0000000 and up)
_KEPT = [getattr(arm_const, f"UC_ARM_REG_R{i}") for i in range(4, 12)]
_STACK = 64 * 1024


@dataclass(frozen=True)
class Image:
    """What the emulator needs of a linked ELF: bytes by address, the entry's range, zeroed RAM."""

    segments: tuple[tuple[int, bytes], ...]
    zeroed: tuple[tuple[int, int], ...]
    entry: int
    entry_end: int
    symbols: tuple[tuple[int, int, str], ...]

    @classmethod
    def read(cls, path: Path, entry: str) -> "Image":
        """Raises ChipfitError when `entry` is not a function of the image."""
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
            symbols = tuple(sorted((s["st_value"] & ~1, s["st_size"], s.name) for s in named))
        for address, size, name in symbols:
            if name == entry:
                return cls(tuple(segments), tuple(zeroed), address, address + size, symbols)
        raise ChipfitError(f"simulate: {entry} is not in the linked image")

    def symbol_at(self, address: int) -> str:
        """The function that holds an address."""
        for begin, size, name in self.symbols:
            if begin <= address < begin + size:
                return name
        return "no function"

    def code_span(self) -> tuple[int, int]:
        """The addresses from the first function's first byte to the last one's last."""
        return self.symbols[0][0], max(b + s for b, s, _ in self.symbols)


class Machine:
    """One emulated chip with one image in it. `call` runs the entry once from a cold state."""

    def __init__(self, image: Image, core: str, flash: tuple[int, int], ram: tuple[int, int], layers: int) -> None:
        self.image = image
        self.engine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self.engine.ctl_set_cpu_model(_CPU[core])
        top = max(
            [
                flash[0] + flash[1],
                *(a + len(d) for a, d in image.segments if a < ram[0] or a >= ram[0] + ram[1]),
            ]
        )
        self._map(flash[0], top, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
        used = max(
            [
                ram[0],
                *(a + n for a, n in image.zeroed),
                *(a + len(d) for a, d in image.segments if a >= ram[0]),
            ]
        )
        self.buffers = -(-used // 64) * 64 + 64
        self.ram = ram[0]
        self.ram_end = self._round(max(ram[0] + ram[1], self.buffers + (1 << 20)) + _STACK)
        self._map(ram[0], self.ram_end, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE)
        self._map(_RETURN, _RETURN + _PAGE, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
        self.engine.mem_write(_RETURN, b"\xfe\xe7")  # b .
        self.stack_top = self.ram_end - 256
        for address, data in image.segments:
            self.engine.mem_write(address, data)
        self._count(layers, flash, watch_alignment=not CORES[core].armv7m)

    @staticmethod
    def _round(address: int) -> int:
        return -(-address // _PAGE) * _PAGE

    def _map(self, begin: int, end: int, rights: int) -> None:
        begin = begin // _PAGE * _PAGE
        self.engine.mem_map(begin, self._round(end) - begin, rights)

    def _count(self, layers: int, flash: tuple[int, int], watch_alignment: bool) -> None:
        begin, end = self.image.code_span()
        words = (end - begin + 1) // 2
        self.executed = np.zeros((layers + 1, words), np.uint64)
        self.left = np.zeros((layers + 1, words), np.uint64)
        self.sizes = np.zeros(words, np.uint16)
        self.reads = np.zeros(layers + 1, np.uint64)
        self.counter = Counter(
            code_begin=begin,
            code_end=begin + 2 * words,
            entry_begin=self.image.entry,
            entry_end=self.image.entry_end,
            layers=layers + 1,
            executed=self.executed.ctypes.data,
            left=self.left.ctypes.data,
            sizes=self.sizes.ctypes.data,
            reads=self.reads.ctypes.data,
        )
        self._hook(unicorn.UC_HOOK_BLOCK, library().chipfit_block, 1, 0)
        self._hook(unicorn.UC_HOOK_MEM_READ, library().chipfit_read, flash[0], flash[0] + flash[1] - 1)
        # Unicorn lets an Armv6-M core read across a word where the real one faults. Addresses do not depend on
        # data, so watching one run is enough, and the others stay fast.
        self._alignment = None
        if watch_alignment:
            both = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
            self._alignment = self._hook(both, library().chipfit_align, 1, 0)

    def _hook(self, kind: int, function: Any, first: int, last: int) -> ctypes.c_size_t:
        """Give Unicorn a machine-code callback on [first, last]; everywhere when first > last."""
        handle = ctypes.c_size_t()
        status = unicorn.unicorn_py3.unicorn.uclib.uc_hook_add(
            self.engine._uch,
            ctypes.byref(handle),
            ctypes.c_int(kind),
            ctypes.cast(function, ctypes.c_void_p),
            ctypes.byref(self.counter),
            ctypes.c_uint64(first),
            ctypes.c_uint64(last),
        )
        assert status == unicorn.UC_ERR_OK, status
        return handle

    def call(self, inputs: Sequence[bytes], outputs: Sequence[int]) -> tuple[list[bytes], int]:
        """Run once; returns the output buffers and the deepest byte of stack used.

        RAM is painted before, .bss zeroed, guard bytes lie between the buffers. Raises ChipfitError on a fault, on a
        register or byte changed that the calling standard (AAPCS) keeps, and on a runaway.
        """
        engine = self.engine
        painted = bytes([_PAINT]) * (self.ram_end - self.ram)
        engine.mem_write(self.ram, painted)
        for address, size in self.image.zeroed:
            engine.mem_write(address, bytes(size))
        for address, data in self.image.segments:
            if address >= self.ram:
                engine.mem_write(address, data)
        arguments, at = [], self.buffers
        for data in (*inputs, *(bytes([_PAINT]) * n for n in outputs)):
            engine.mem_write(at, data)
            arguments.append(at)
            at = -(-(at + len(data)) // 16) * 16 + 16
        stack = self.stack_top - 4 * max(0, len(arguments) - 4)
        for i, value in enumerate(arguments[4:]):
            engine.mem_write(stack + 4 * i, value.to_bytes(4, "little"))
        for register, value in zip((arm_const.UC_ARM_REG_R0, arm_const.UC_ARM_REG_R1, arm_const.UC_ARM_REG_R2,
                                    arm_const.UC_ARM_REG_R3), arguments[:4], strict=False):  # fmt: skip
            engine.reg_write(register, value)
        for i, register in enumerate(_KEPT):
            engine.reg_write(register, 0x1111_1111 * (i + 1))
        engine.reg_write(arm_const.UC_ARM_REG_SP, stack)
        engine.reg_write(arm_const.UC_ARM_REG_LR, _RETURN | 1)
        self._begin()
        self._run()
        self._check(stack)
        if self._alignment is not None:
            unicorn.unicorn_py3.unicorn.uclib.uc_hook_del(self.engine._uch, self._alignment)
            self._alignment = None
        return self._results(arguments, inputs, outputs, stack, at)

    def _begin(self) -> None:
        for table in (self.executed, self.left, self.reads):
            table[...] = 0
        self.counter.layer = self.counter.row = self.counter.outside = 0
        self.counter.last_slot, self.counter.last_end = 2**64 - 1, 0

    def _run(self) -> None:
        try:
            self.engine.emu_start(self.image.entry | 1, _RETURN, timeout=600_000_000)
        except unicorn.UcError as error:
            pc = self.engine.reg_read(arm_const.UC_ARM_REG_PC)
            where = self.image.symbol_at(pc)
            raise ChipfitError(f"simulate: the emulated chip faulted at {pc:#x} in {where}: {error}") from error
        if self.engine.reg_read(arm_const.UC_ARM_REG_PC) != _RETURN:
            raise ChipfitError("simulate: the emulated chip did not return within 10 minutes")

    def _check(self, stack: int) -> None:
        if self.engine.reg_read(arm_const.UC_ARM_REG_SP) != stack:
            raise ChipfitError("simulate: the stack pointer was not restored")
        for i, register in enumerate(_KEPT):
            if self.engine.reg_read(register) != 0x1111_1111 * (i + 1):
                raise ChipfitError(f"simulate: register r{i + 4} was not preserved")
        if self.counter.misaligned:
            raise ChipfitError(f"simulate: unaligned access to {self.counter.misaligned:#x}, which this core faults on")
        if self.counter.outside:
            raise ChipfitError("simulate: code ran that the block counter could not attribute")

    def _results(
        self, arguments: Sequence[int], inputs: Sequence[bytes], outputs: Sequence[int], stack: int, end: int
    ) -> tuple[list[bytes], int]:
        memory = bytes(self.engine.mem_read(self.buffers - 64, self.ram_end - self.buffers + 64))
        base, paint = self.buffers - 64, bytes([_PAINT])
        edges = [(self.buffers - 64, self.buffers)]
        results = []
        for address, size in zip(arguments, (*map(len, inputs), *outputs), strict=True):
            edges.append((address + size, -(-(address + size) // 16) * 16 + 16))
        for begin, stop in edges:
            if memory[begin - base : stop - base] != paint * (stop - begin):
                raise ChipfitError("simulate: a byte beside a buffer was overwritten")
        for address, size in zip(arguments[len(inputs) :], outputs, strict=True):
            results.append(memory[address - base : address - base + size])
        for address, data in zip(arguments, inputs, strict=False):
            if memory[address - base : address - base + len(data)] != data:
                raise ChipfitError("simulate: an input buffer was overwritten")
        below = np.frombuffer(memory[end - base : stack - base], np.uint8)
        changed = np.flatnonzero(below != _PAINT)
        return results, 0 if not len(changed) else stack - (end + int(changed[0]))
