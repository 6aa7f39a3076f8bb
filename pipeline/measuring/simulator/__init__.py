"""The linked machine code run on an emulated chip: outputs, exact cycles, layers, stack."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pipeline.facts.cores import CORES, Core, Cost
from pipeline.facts.flash_wait_states import (
    WORD,
    FlashTiming,
    ReadCounts,
    flash_cycles,
    max_wait_states,
    min_wait_states,
    units_touched,
)
from pipeline.measuring.families import FAMILIES
from pipeline.measuring.machine_code.family import BlockPrice
from pipeline.measuring.machine_code.loaded import LoadedImage
from pipeline.measuring.simulator.emulator import Machine

_LONGEST = 1024  # half-words: Unicorn's blocks have 512 instructions at most


@dataclass(frozen=True)
class Target:
    """The chip's facts that time depends on; flash and ram are (origin, size)."""

    core: str
    flash: tuple[int, int]
    ram: tuple[int, int]
    multiplier_cycles: int = 1
    timing: FlashTiming = field(default=FlashTiming())


@dataclass(frozen=True)
class Cycles:
    """One stretch of code. `zero_wait` is (low, high) with an ideal memory, exact on M0 and M0+ (low == high).

    `low` adds the wait states that nothing can hide, `high` all that there can be (pipeline.facts.flash_wait_states).
    """

    zero_wait: Cost
    low: int
    high: int
    instructions: int


@dataclass(frozen=True)
class Run:
    """One inference: output buffers, the whole, what the entry itself took, one entry per layer that began, in
    order, and the deepest byte of stack."""

    outputs: tuple[bytes, ...]
    total: Cycles
    overhead: Cycles
    layers: tuple[Cycles, ...]
    stack: int


def simulate(
    elf: Path,
    target: Target,
    entry: str,
    layers: int,
    vectors: Sequence[Sequence[bytes]],
    output_sizes: Sequence[int],
    progress: Callable[[int, int], None] = lambda done, total: None,
    time_limit: float = 600.0,
    port_offsets: Sequence[int | None] = (),
) -> list[Run]:
    """Run `entry` once per vector (one bytes object per input buffer) in one emulated chip.

    `port_offsets` says for every input and output where in the library's arena it lies, None for the caller's memory.
    `layers` is the most kernel calls that the entry may make. Raises ChipfitError on a fault, a broken calling
    standard, code that cannot be priced, or a vector that runs for more than `time_limit` seconds.
    """
    image = LoadedImage.read(elf, entry)
    core = CORES[target.core]
    machine = counting = Machine(image, core, target.flash, target.ram, layers)
    if target.timing.wait_states:
        # Unicorn becomes ten times slower when it tells of every read: only the first run of each path is counted.
        counting = Machine(image, core, target.flash, target.ram, layers, target.timing)
    prices: dict[int, BlockPrice] = {}
    paths: dict[tuple[int, bytes], tuple[Cycles, tuple[Cycles, ...]]] = {}
    runs = []
    for done, inputs in enumerate(vectors, start=1):
        outputs, stack = machine.call(inputs, output_sizes, time_limit, port_offsets)
        if machine.path not in paths:
            if counting is not machine:
                counting.call(inputs, output_sizes, time_limit, port_offsets)
            paths[machine.path] = _priced(counting, core, target, prices)
        total, rows = paths[machine.path]
        runs.append(Run(tuple(outputs), total, rows[0], rows[1:], stack))
        progress(done, len(vectors))
    return runs


def _priced(
    machine: Machine, core: Core, target: Target, prices: dict[int, BlockPrice]
) -> tuple[Cycles, tuple[Cycles, ...]]:
    """The last run: the whole, and each row."""
    rows = [_row(machine, core, target, prices, row) for row in range(machine.counter.layer + 1)]
    total = replace(_sum(rows), low=max(_sum(rows).low, flash_cycles(target.timing, _reads(machine))))
    return total, tuple(rows)


def _row(machine: Machine, core: Core, target: Target, prices: dict[int, BlockPrice], row: int) -> Cycles:
    low = high = lines = words = ends = instructions = 0
    begin, end = target.flash[0], target.flash[0] + target.flash[1]
    executed, left = machine.executed[row], machine.left[row]
    for slot in np.flatnonzero(executed).tolist():
        if slot not in prices:
            prices[slot] = _price(machine, core, target, prices, slot)
        price, times, taken = prices[slot], int(executed[slot]), int(left[slot])
        low += times * price.stay[0] + taken * price.taken[0]
        high += times * price.stay[1] + taken * price.taken[1]
        instructions += times * price.instructions
        address, size = machine.image.address_of(slot), int(machine.sizes[slot])
        if begin <= address < end:
            lines += times * units_touched(address, size, target.timing.line)
            words += times * units_touched(address, size, WORD)
            ends += times if core.prefetch_unit else taken
    split = int(machine.unaligned[row])
    reads = _reads(machine, row)
    reads = replace(reads, lines=lines, words=words, ends=ends, data=reads.data + split)
    waits = min_wait_states(target.timing, reads, core), max_wait_states(target.timing, reads, core)
    return Cycles((low, high + split), low + waits[0], high + split + waits[1], instructions)


def _reads(machine: Machine, row: int | slice = slice(None)) -> ReadCounts:
    """What the callbacks counted in one row, or in all."""
    tables = (machine.reads, machine.jumps, machine.new_lines, machine.new_data)
    data, jumps, new_lines, new_data = (int(t[row].sum()) for t in tables)
    return ReadCounts(0, 0, 0, data, jumps, new_lines, new_data)


def _price(machine: Machine, core: Core, target: Target, prices: dict[int, BlockPrice], slot: int) -> BlockPrice:
    """Unicorn cuts long code, so a block may begin with what an instruction of the block before it may skip."""
    address, size = machine.image.address_of(slot), int(machine.sizes[slot])
    conditional = 0
    if core.isa.thumb2:
        begin = max(0, slot - _LONGEST)
        window = machine.sizes[begin:slot]
        ends = np.flatnonzero((window > 0) & (np.arange(len(window)) + window // 2 == len(window)))
        conditional = max((prices[begin + e].conditional for e in ends.tolist() if begin + e in prices), default=0)
    code = bytes(machine.engine.mem_read(address, size))
    return FAMILIES[core.isa.code.name].price_block(code, address, core, target.multiplier_cycles, conditional)


def _sum(rows: Sequence[Cycles]) -> Cycles:
    return Cycles(
        (sum(r.zero_wait[0] for r in rows), sum(r.zero_wait[1] for r in rows)),
        sum(r.low for r in rows),
        sum(r.high for r in rows),
        sum(r.instructions for r in rows),
    )


__all__ = ["CORES", "Core", "Cycles", "FlashTiming", "Run", "Target", "simulate"]
