"""Machine code executed by Unicorn on the core's own model, with memory as the chip has it."""

import ctypes
import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
import unicorn

from pipeline.facts.cores import Core
from pipeline.facts.errors import ChipfitError
from pipeline.facts.flash_wait_states import FlashTiming
from pipeline.measuring.families import FAMILIES
from pipeline.measuring.machine_code.decoder import instruction_at
from pipeline.measuring.machine_code.engine import new_engine, register
from pipeline.measuring.machine_code.loaded import LoadedImage
from pipeline.measuring.native import RECENT, SPANS, Counter, library

_PAGE = 0x1000
_PAINT = 0xA5
_WORD = 4
_RETURN_ADDRESS = 0xA000_0000 - _PAGE  # executable, far from any chip's memory, and no EXC_RETURN (0xF0000000 and up)
_STACK = 64 * 1024
_TRANSLATION_BYTES = 1 << 30  # bytes of address space that Unicorn reserves, hardly any of which it uses
_NO_SLOT = 2**64 - 1
_FNV = 14695981039346656037


def _check_memory() -> None:
    """Raise ChipfitError where there is no address space for translations: Unicorn would exit this process."""
    try:
        mmap.mmap(-1, _TRANSLATION_BYTES).close()
    except (OSError, ValueError) as error:
        raise _address_space_error() from error


def _address_space_error() -> ChipfitError:
    return ChipfitError(
        "simulate: this process may not have the 1 GiB of address space that the emulator reserves",
        hint="Raise the limit (ulimit -v), or run fewer builds at once.",
    )


class Machine:
    """One emulated chip with one image in it. `call` runs the entry once from a cold state."""

    def __init__(
        self,
        image: LoadedImage,
        core: Core,
        flash: tuple[int, int],
        ram: tuple[int, int],
        layers: int,
        timing: FlashTiming = FlashTiming(),  # noqa: B008
    ) -> None:
        self.image, self.core, self.code, self.family = image, core, core.isa.code, FAMILIES[core.isa.code.name]
        _check_memory()
        self.engine = new_engine(core)
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
        self.ram, self.used = ram[0], used
        self.ram_end = self._round_to_page(max(ram[0] + ram[1], self.buffers + (1 << 20)) + _STACK)
        runs_code = any(ram[0] <= a < self.ram_end for a, _ in image.code)
        rights = unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE | (unicorn.UC_PROT_EXEC if runs_code else 0)
        self._map(ram[0], self.ram_end, rights)
        self._map(_RETURN_ADDRESS, _RETURN_ADDRESS + _PAGE, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
        self.engine.mem_write(_RETURN_ADDRESS, self.code.branch_to_self)
        self.stack_top = self.ram_end - 256
        for address, data in image.segments:
            self.engine.mem_write(address, data)
        self._add_counters(layers, flash, timing)

    @staticmethod
    def _round_to_page(address: int) -> int:
        return -(-address // _PAGE) * _PAGE

    def _map(self, begin: int, end: int, rights: int) -> None:
        begin = begin // _PAGE * _PAGE
        try:
            self.engine.mem_map(begin, self._round_to_page(end) - begin, rights)
        except unicorn.UcError as error:
            if error.errno == unicorn.UC_ERR_NOMEM:
                raise _address_space_error() from error
            raise

    def _add_counters(self, layers: int, flash: tuple[int, int], timing: FlashTiming) -> None:
        words, code = self.image.count_half_words(), self.image.code
        assert len(code) <= SPANS
        self.executed = np.zeros((layers + 1, words), np.uint64)
        self.taken = np.zeros((layers + 1, words), np.uint64)
        self.sizes = np.zeros(words, np.uint16)
        self.reads = np.zeros(layers + 1, np.uint64)
        self.jumps = np.zeros(layers + 1, np.uint64)
        self.new_lines = np.zeros(layers + 1, np.uint64)
        self.new_data = np.zeros(layers + 1, np.uint64)
        self.unaligned = np.zeros(layers + 1, np.uint64)
        self.unaligned_at = np.zeros(words, np.uint8)
        self.counter = Counter(
            code_begin=(ctypes.c_uint64 * SPANS)(*(begin for begin, _ in code)),
            code_end=(ctypes.c_uint64 * SPANS)(*(begin + (end - begin + 1) // 2 * 2 for begin, end in code)),
            entry_begin=self.image.entry,
            entry_end=self.image.entry_end,
            layers=layers + 1,
            executed=self.executed.ctypes.data,
            taken=self.taken.ctypes.data,
            sizes=self.sizes.ctypes.data,
            reads=self.reads.ctypes.data,
            jumps=self.jumps.ctypes.data,
            new_lines=self.new_lines.ctypes.data,
            new_data=self.new_data.ctypes.data,
            flash_begin=flash[0],
            flash_end=flash[0] + flash[1],
            line=timing.line if timing.wait_states else 0,
            unaligned=self.unaligned.ctypes.data,
            unaligned_at=self.unaligned_at.ctypes.data,
            register_read=ctypes.cast(unicorn.unicorn_py3.unicorn.uclib.uc_reg_read, ctypes.c_void_p).value,
            pc=register(self.code, self.code.program_counter),
        )
        self._hook(unicorn.UC_HOOK_BLOCK, library().chipfit_block, 1, 0)
        if timing.wait_states:
            self._hook(unicorn.UC_HOOK_MEM_READ, library().chipfit_read, flash[0], flash[0] + flash[1] - 1)
        # A core that faults on an unaligned access does so in its emulation; another takes longer.
        if self.core.isa.unaligned_access:
            both = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
            self._hook(both, library().chipfit_unaligned, 1, 0)

    def _hook(self, kind: int, function: Any, first: int, last: int) -> None:
        """Register a native callback with Unicorn on [first, last]; everywhere when first > last.

        Unicorn's own hook_add takes functions of Python only, which make a run a hundred times slower, and Unicorn 2.1
        has no public name for an engine's handle: hence the private one.
        """
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

    def call(
        self,
        inputs: Sequence[bytes],
        outputs: Sequence[int],
        time_limit: float = 600.0,
        port_offsets: Sequence[int | None] = (),
    ) -> tuple[list[bytes], int]:
        """Run the entry once; returns the output buffers and the number of stack bytes used.

        `port_offsets`: offsets of inputs and outputs in the library's arena, None for the caller's memory.

        RAM is painted before, .bss zeroed, guard bytes lie between the buffers. Raises ChipfitError on a fault, for a
        register or byte that the calling convention protects and that was changed, and after `time_limit` seconds.
        """
        self._write_image()
        addresses, arguments, end = self._write_buffers(inputs, outputs, port_offsets)
        stack = self._set_registers(arguments)
        self._reset_counters()
        self._run(time_limit)
        self._check_convention(stack)
        return self._results(addresses, arguments, inputs, outputs, stack, end)

    def _write_image(self) -> None:
        """RAM as startup leaves it, paint where nothing lies."""
        self.engine.mem_write(self.ram, bytes([_PAINT]) * (self.ram_end - self.ram))
        for address, size in self.image.zeroed:
            self.engine.mem_write(address, bytes(size))
        for address, data in self.image.segments:
            if address >= self.ram:
                self.engine.mem_write(address, data)

    def _write_buffers(
        self, inputs: Sequence[bytes], outputs: Sequence[int], port_offsets: Sequence[int | None]
    ) -> tuple[list[int], list[int], int]:
        """The address of every input and output, of those in the caller's memory alone, and where this ends."""
        addresses, arguments, at = [], [], self.buffers
        buffers = (*inputs, *(bytes([_PAINT]) * n for n in outputs))
        for data, offset in zip(buffers, port_offsets or [None] * len(buffers), strict=True):
            if offset is not None:
                address = (self.image.arena or 0) + offset
            else:
                address, at = at, -(-(at + len(data)) // 16) * 16 + 16
                arguments.append(address)
            addresses.append(address)
            # The library's memory may hold an output where an input lies: its paint would be over the input.
            if offset is None or len(addresses) <= len(inputs):
                self.engine.mem_write(address, data)
        return addresses, arguments, at

    def _set_registers(self, arguments: Sequence[int]) -> int:
        """Set registers and stack as a caller does that passes `arguments`; returns the stack pointer."""
        convention = self.code.convention
        count = len(convention.arguments)
        stack = self.stack_top - _WORD * len(arguments[count:])
        stack -= stack % convention.stack_alignment
        for i, value in enumerate(arguments[count:]):
            self.engine.mem_write(stack + _WORD * i, value.to_bytes(_WORD, "little"))
        values = dict(zip(convention.arguments, arguments, strict=False)) | self._canaries()
        values |= {convention.stack_pointer: stack, convention.link: _RETURN_ADDRESS | self.code.code_bit}
        for name, value in values.items():
            self.engine.reg_write(register(self.code, name), value)
        return stack

    def _canaries(self) -> dict[str, int]:
        """Values of the callee-saved registers before a call, which must be unchanged after it."""
        return {name: 0x1111_1111 * i for i, name in enumerate(self.code.convention.callee_saved, start=1)}

    def _read_register(self, name: str) -> int:
        return int(self.engine.reg_read(register(self.code, name)))

    @property
    def path(self) -> tuple[int, bytes]:
        """All that the cycles of the last run depend on: a hash of its blocks in order, and its unaligned accesses."""
        return self.counter.path, self.unaligned.tobytes()

    def _reset_counters(self) -> None:
        reads = (self.reads, self.jumps, self.new_lines, self.new_data)
        for table in (self.executed, self.taken, *reads, self.unaligned, self.unaligned_at):
            table[...] = 0
        for i in range(RECENT):
            self.counter.fetched[i] = self.counter.loaded[i] = _NO_SLOT
        self.counter.layer = self.counter.row = self.counter.outside = 0
        self.counter.last_slot, self.counter.last_end, self.counter.path = _NO_SLOT, 0, _FNV

    def _run(self, time_limit: float) -> None:
        try:
            begin = self.image.entry | self.code.code_bit
            self.engine.emu_start(begin, _RETURN_ADDRESS, timeout=int(time_limit * 1_000_000))
        except unicorn.UcError as error:
            raise self.family.fault(self.engine, self.core, self.image, str(error)) from error
        pc = self._read_register(self.code.program_counter)
        if pc != _RETURN_ADDRESS:
            where = f"{pc:#x} in {self.image.symbol_at(pc)}"
            raise ChipfitError(f"simulate: the emulated chip did not return within {time_limit:g} s: it is at {where}")
        # No block follows the last one to show that a jump ended it.
        if self.counter.last_slot != _NO_SLOT:
            self.taken.reshape(-1)[self.counter.last_slot] += 1

    def _check_convention(self, stack: int) -> None:
        if self._read_register(self.code.convention.stack_pointer) != stack:
            raise ChipfitError("simulate: the stack pointer was not restored")
        for name, value in self._canaries().items():
            if self._read_register(name) != value:
                raise ChipfitError(f"simulate: register {name} was not preserved")
        for slot in np.flatnonzero(self.unaligned_at).tolist():
            instruction = instruction_at(self.engine, self.image.address_of(slot), self.code)
            if instruction is not None and not self.family.may_be_unaligned(instruction):
                raise ChipfitError(
                    f"simulate: {instruction.mnemonic} {instruction.op_str} at {instruction.address:#x} in "
                    f"{self.image.symbol_at(instruction.address)} makes an unaligned access: {self.core.name} "
                    "allows it to loads and stores of one register only"
                )
        if self.counter.outside:
            raise ChipfitError("simulate: code ran that the block counter could not attribute")

    def _results(
        self,
        addresses: Sequence[int],
        callers: Sequence[int],
        inputs: Sequence[bytes],
        outputs: Sequence[int],
        stack: int,
        end: int,
    ) -> tuple[list[bytes], int]:
        """Output buffers and stack bytes used; raises ChipfitError where another byte of RAM was overwritten.

        `addresses`: those of all buffers, of which `callers` lie outside the library's memory.
        """
        base = self.ram
        memory = bytes(self.engine.mem_read(base, self.ram_end - base))
        edges = [(self.used, self.buffers), (end, self.ram_end - _STACK), (self.stack_top, self.ram_end)]
        results = []
        for address, size in zip(addresses, (*map(len, inputs), *outputs), strict=True):
            if address in callers:
                edges.append((address + size, -(-(address + size) // 16) * 16 + 16))
        for begin, stop in edges:
            found = np.flatnonzero(np.frombuffer(memory[begin - base : stop - base], np.uint8) != _PAINT)
            if len(found):
                raise ChipfitError(
                    f"simulate: a byte beside a buffer was overwritten, at {begin + int(found[0]):#x}: neither stack "
                    "nor memory of the library"
                )
        for address, size in zip(addresses[len(inputs) :], outputs, strict=True):
            results.append(memory[address - base : address - base + size])
        for address, data in zip(addresses, inputs, strict=False):
            if address in callers and memory[address - base : address - base + len(data)] != data:
                raise ChipfitError("simulate: an input buffer was overwritten")
        lowest = self.ram_end - _STACK
        below = np.frombuffer(memory[lowest - base : stack - base], np.uint8)
        changed = np.flatnonzero(below != _PAINT)
        # A word whose low bytes happen to be paint is in use as a whole.
        return results, 0 if not len(changed) else stack - ((lowest + int(changed[0])) & ~3)
