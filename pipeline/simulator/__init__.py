"""The linked machine code run on an emulated chip: outputs, exact cycles, layers, stack."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.simulator.cores import CORES, Core, Cost
from pipeline.simulator.emulator import Image, Machine
from pipeline.simulator.pricing import BlockPrice, price_block


@dataclass(frozen=True)
class Target:
    """The chip's facts that time depends on; flash and ram are (origin, size)."""

    core: str
    flash: tuple[int, int]
    ram: tuple[int, int]
    multiplier_cycles: int = 1
    wait_states: int = 0


@dataclass(frozen=True)
class Cycles:
    """One stretch of code. `zero_wait` is (low, high) with an ideal memory, exact on M0 and M0+ (low == high).

    `low` assumes that prefetch hides every wait state; `high` that it hides none: each 32-bit word of the
    instruction stream and each data read from flash waits in full.
    """

    zero_wait: Cost
    low: int
    high: int
    instructions: int


@dataclass(frozen=True)
class Run:
    """One inference: output buffers, the whole, and one entry per layer in order."""

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
) -> list[Run]:
    """Run `entry` once per vector (one bytes object per input buffer) in one emulated chip.

    `layers` is how many kernel calls the entry makes. Raises ChipfitError on a fault, a broken calling standard, or
    code that cannot be priced.
    """
    image = Image.read(elf, entry)
    machine = Machine(image, target.core, target.flash, target.ram, layers)
    prices: dict[int, BlockPrice] = {}
    runs = []
    for done, inputs in enumerate(vectors, start=1):
        outputs, stack = machine.call(inputs, output_sizes)
        rows = [_row(machine, image, target, prices, row) for row in range(layers + 1)]
        runs.append(Run(tuple(outputs), _sum(rows), rows[0], tuple(rows[1:]), stack))
        progress(done, len(vectors))
    return runs


def _row(machine: Machine, image: Image, target: Target, prices: dict[int, BlockPrice], row: int) -> Cycles:
    core: Core = CORES[target.core]
    origin = image.code_span()[0]
    low = high = words = instructions = 0
    executed, left = machine.executed[row], machine.left[row]
    for slot in np.flatnonzero(executed).tolist():
        if slot not in prices:
            address = origin + 2 * slot
            code = bytes(machine.engine.mem_read(address, int(machine.sizes[slot])))
            prices[slot] = price_block(code, address, core, target.multiplier_cycles)
        price, times, taken = prices[slot], int(executed[slot]), int(left[slot])
        low += times * price.stay[0] + taken * price.taken[0]
        high += times * price.stay[1] + taken * price.taken[1]
        words += times * price.words
        instructions += times * price.instructions
    waits = target.wait_states * (words + int(machine.reads[row]))
    return Cycles((low, high), low, high + waits, instructions)


def _sum(rows: Sequence[Cycles]) -> Cycles:
    return Cycles(
        (sum(r.zero_wait[0] for r in rows), sum(r.zero_wait[1] for r in rows)),
        sum(r.low for r in rows),
        sum(r.high for r in rows),
        sum(r.instructions for r in rows),
    )


__all__ = ["CORES", "Core", "Cycles", "Run", "Target", "simulate"]
