"""A function on the emulated chip in a storm of interrupts: what lies below the stack pointer never survives.

An exception pushes 32 bytes below the stack pointer at any instruction, and its handler uses more, so code may rely on
nothing there. The machine itself holds canaries in r4 to r11 and guard bytes around every buffer, and checks both.
"""

from collections.abc import Sequence
from pathlib import Path

import unicorn

from pipeline.facts.cores import CORES
from pipeline.facts.errors import ChipfitError
from pipeline.measuring.machine_code.engine import register
from pipeline.measuring.machine_code.loaded import LoadedImage
from pipeline.measuring.simulator.emulator import Machine

Region = tuple[int, int]
_DEPTHS = (64, 256, 96, 160)  # bytes that one handler overwrites; they alternate


class Storm:
    """An interrupt before every `every`-th instruction of what `machine` runs."""

    def __init__(self, machine: Machine, every: int) -> None:
        self.image, self.every, self.steps, self.before, self.misaligned = machine.image, every, 0, 0, 0
        convention = machine.code.convention
        self.stack_pointer, self.alignment = (
            register(machine.code, convention.stack_pointer),
            convention.stack_alignment,
        )
        machine.engine.hook_add(unicorn.UC_HOOK_CODE, self._step)

    def _step(self, engine: unicorn.Uc, address: int, size: int, data: object) -> None:
        pointer = engine.reg_read(self.stack_pointer)
        called = self._of_entry(self.before) and not self._of_entry(address)
        if pointer % self.alignment and called and not self.misaligned:
            self.misaligned = address
        self.before = address
        self.steps += 1
        if self.steps % self.every == 0:
            count = self.steps // self.every
            depth = _DEPTHS[count % len(_DEPTHS)]
            engine.mem_write(pointer - depth, bytes([count * 37 & 0xFF]) * depth)

    def _of_entry(self, address: int) -> bool:
        return self.image.entry <= address < self.image.entry_end


def in_a_storm(
    elf: Path,
    entry: str,
    inputs: Sequence[bytes],
    output_sizes: Sequence[int],
    flash: Region,
    ram: Region,
    *,
    core: str = "cortex-m0",
    layers: int = 8,
    port_offsets: Sequence[int | None] = (),
    every: int = 1,
) -> tuple[bytes, ...]:
    """The outputs of one run, which must be those of a calm one.

    Raises ChipfitError for a register not restored, a stack pointer off, a byte changed beside a buffer or in an
    input, and a kernel that the entry calls with a stack that is no multiple of 8: it may be C, and AAPCS32 6.2.1.2
    promises C that much. Routines in assembly may do among themselves as they like; an exception aligns the stack.
    """
    machine = Machine(LoadedImage.read(elf, entry, CORES[core].isa.code), CORES[core], flash, ram, layers)
    storm = Storm(machine, every)
    outputs, _ = machine.call(inputs, output_sizes, port_offsets=port_offsets)
    if storm.misaligned:
        raise ChipfitError(f"{machine.image.symbol_at(storm.misaligned)} was called with a misaligned stack")
    return tuple(outputs)
