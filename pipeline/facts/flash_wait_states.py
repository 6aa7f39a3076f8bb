"""Flash wait states: a lower and an upper bound on what they add to a run. docs/cycles.md derives both."""

from dataclasses import dataclass
from typing import Literal

from pipeline.facts.cores import Core

Cache = Literal["none", "instructions", "all"]
WORD = 4
"""Bytes that a core fetches at a time."""
LINES_AHEAD = 3
"""Lines that may be read ahead: a core's prefetch unit holds three words, a chip's buffer up to three lines."""


@dataclass(frozen=True)
class FlashTiming:
    """Timing of the flash: every read takes `wait_states` + 1 cycles and brings `line` bytes; the chip may read lines
    ahead (`prefetch`), and may keep lines that were read before (`cache`; of instructions: apart from data)."""

    wait_states: int = 0
    line: int = WORD
    prefetch: bool = False
    cache: Cache = "none"


@dataclass(frozen=True)
class ReadCounts:
    """Reads of flash by one stretch of code; other memories are not counted.

    Summed over the basic blocks that ran: `lines` and `words` that their instructions lie in; `ends`, how often code
    read ahead may have been discarded at a block's end; `data`, accesses that are no instruction fetch. Accesses for
    which no buffer can help: `jumps` to a line not lately read, `new_lines` (run, and not lately read), `new_data`
    (read by a load, and not lately read).
    """

    lines: int
    words: int
    ends: int
    data: int
    jumps: int
    new_lines: int
    new_data: int


def units_touched(address: int, size: int, unit: int) -> int:
    """How many aligned units of `unit` bytes hold the bytes [address, address + size)."""
    return (address + size - 1) // unit - address // unit + 1


def max_wait_states(flash: FlashTiming, reads: ReadCounts, core: Core) -> int:
    """Upper bound on the cycles that a run waits for flash. Whenever the core stalls the flash makes some read, and no
    read stalls it for longer than the wait states: so the reads are counted, as many as there can be.

    Every line of every block is read anew. A data read is one more, and may displace the line that is run, which is
    then read again, though never more often than the core asks for words; a cache of instructions keeps it. What was
    read ahead when a block is left is lost: one line, or three where the chip reads ahead as well or where the core
    has a prefetch unit.
    """
    again = 0 if flash.cache == "instructions" else reads.data
    lost = reads.ends * (LINES_AHEAD if flash.prefetch or core.prefetch_unit else 1)
    return flash.wait_states * (min(reads.lines + again, reads.words) + reads.data + lost)


def min_wait_states(flash: FlashTiming, reads: ReadCounts, core: Core) -> int:
    """Lower bound on the cycles that a run waits for flash: the core stalls while a data word is read, and, without
    a prefetch unit, while the target of a jump is. A prefetch unit may have asked for it while something else was
    executed.

    Straight code proves nothing, with or without prefetch: the core itself reads ahead while it executes. What a cache
    may hold does not count.
    """
    jumps = 0 if flash.cache != "none" or core.prefetch_unit else reads.jumps
    return flash.wait_states * (jumps + (0 if flash.cache == "all" else reads.new_data))


def flash_cycles(flash: FlashTiming, reads: ReadCounts) -> int:
    """Lower bound on the cycles of a run from the flash alone, which makes one read at a time."""
    lines = reads.new_lines if flash.cache == "none" else 0
    return (flash.wait_states + 1) * (lines + (0 if flash.cache == "all" else reads.new_data))
