"""Simulation of linked machine code on an emulated chip: outputs, cycles, layers, stack."""

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

_MAX_BLOCK = 1024  # half-words: Unicorn's blocks have 512 instructions at most


@dataclass(frozen=True)
class Target:
    """Facts of the chip that time depends on; `flash` and `ram` are (origin, size) in bytes."""

    core: str
    flash: tuple[int, int]
    ram: tuple[int, int]
    multiplier_cycles: int = 1
    timing: FlashTiming = field(default=FlashTiming())


@dataclass(frozen=True)
class Cycles:
    """Cycles of one stretch of code. `zero_wait` is (low, high) with an ideal memory, equal where costs are exact.

    `low` adds the lower bound of wait states, `high` the upper bound (pipeline.facts.flash_wait_states).
    """

    zero_wait: Cost
    low: int
    high: int
    instructions: int


@dataclass(frozen=True)
class Run:
    """One inference: output buffers, total cycles, those of the entry function itself and of each layer in order, and
    bytes of stack."""

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
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    time_limit: float = 600.0,
    port_offsets: Sequence[int | None] = (),
) -> list[Run]:
    """Run `entry` once per vector (one bytes object per input buffer) in one emulated chip.

    `port_offsets` says for every input and output where in the library's arena it lies, None for the caller's memory.
    `layers` is the most kernel calls that the entry may make. Raises ChipfitError on a fault, a broken calling
    standard, code that cannot be priced, or a vector that runs for more than `time_limit` seconds.
    """
    core = CORES[target.core]
    image = LoadedImage.read(elf, entry, core.isa.code)
    machine = counting = Machine(image, core, target.flash, target.ram, layers)
    if target.timing.wait_states:
        # Unicorn becomes ten times slower with a callback for every read: only the first run of each path is counted.
        counting = Machine(image, core, target.flash, target.ram, layers, target.timing)
    prices: dict[int, BlockPrice] = {}
    paths: dict[tuple[int, bytes], tuple[Cycles, tuple[Cycles, ...]]] = {}
    runs = []
    for done, inputs in enumerate(vectors, start=1):
        outputs, stack = machine.call(inputs, output_sizes, time_limit, port_offsets)
        if machine.path not in paths:
            if counting is not machine:
                counting.call(inputs, output_sizes, time_limit, port_offsets)
            paths[machine.path] = _run_cycles(counting, core, target, prices)
        total, rows = paths[machine.path]
        runs.append(Run(tuple(outputs), total, rows[0], rows[1:], stack))
        progress(done, len(vectors))
    return runs


def _run_cycles(
    machine: Machine, core: Core, target: Target, prices: dict[int, BlockPrice]
) -> tuple[Cycles, tuple[Cycles, ...]]:
    """Cycles of the last run: the total, and each row of the tables (the entry function, then the layers)."""
    rows = [_row_cycles(machine, core, target, prices, row) for row in range(machine.counter.layer + 1)]
    total = replace(_sum_cycles(rows), low=max(_sum_cycles(rows).low, flash_cycles(target.timing, _reads(machine))))
    return total, tuple(rows)


def _row_cycles(machine: Machine, core: Core, target: Target, prices: dict[int, BlockPrice], row: int) -> Cycles:
    low = high = lines = words = ends = instructions = 0
    begin, end = target.flash[0], target.flash[0] + target.flash[1]
    executed, taken_exits = machine.executed[row], machine.taken[row]
    for slot in np.flatnonzero(executed).tolist():
        if slot not in prices:
            prices[slot] = _block_price(machine, core, target, prices, slot)
        price, times, taken = prices[slot], int(executed[slot]), int(taken_exits[slot])
        low += times * price.stay[0] + taken * price.taken[0]
        high += times * price.stay[1] + taken * price.taken[1]
        instructions += times * price.instructions
        address, size = machine.image.address_of(slot), int(machine.sizes[slot])
        if begin <= address < end:
            lines += times * units_touched(address, size, target.timing.line)
            words += times * units_touched(address, size, WORD)
            ends += times if core.prefetch_unit else taken
    unaligned = int(machine.unaligned[row])
    reads = _reads(machine, row)
    reads = replace(reads, lines=lines, words=words, ends=ends, data=reads.data + unaligned)
    added = min_wait_states(target.timing, reads, core), max_wait_states(target.timing, reads, core)
    return Cycles((low, high + unaligned), low + added[0], high + unaligned + added[1], instructions)


def _reads(machine: Machine, row: int | slice = slice(None)) -> ReadCounts:
    """Reads that the callbacks counted in one row of the tables, or in all."""
    tables = (machine.reads, machine.jumps, machine.new_lines, machine.new_data)
    data, jumps, new_lines, new_data = (int(t[row].sum()) for t in tables)
    return ReadCounts(0, 0, 0, data, jumps, new_lines, new_data)


def _block_price(machine: Machine, core: Core, target: Target, prices: dict[int, BlockPrice], slot: int) -> BlockPrice:
    """The price of the block at `slot`. Unicorn cuts long code, so an IT of the block before may govern its start."""
    address, size = machine.image.address_of(slot), int(machine.sizes[slot])
    conditional = 0
    if core.isa.thumb2:
        begin = max(0, slot - _MAX_BLOCK)
        window = machine.sizes[begin:slot]
        ends = np.flatnonzero((window > 0) & (np.arange(len(window)) + window // 2 == len(window)))
        conditional = max((prices[begin + e].conditional for e in ends.tolist() if begin + e in prices), default=0)
    code = bytes(machine.engine.mem_read(address, size))
    return FAMILIES[core.isa.code.name].price_block(code, address, core, target.multiplier_cycles, conditional)


def _sum_cycles(rows: Sequence[Cycles]) -> Cycles:
    return Cycles(
        (sum(r.zero_wait[0] for r in rows), sum(r.zero_wait[1] for r in rows)),
        sum(r.low for r in rows),
        sum(r.high for r in rows),
        sum(r.instructions for r in rows),
    )


__all__ = ["CORES", "Core", "Cycles", "FlashTiming", "Run", "Target", "simulate"]
