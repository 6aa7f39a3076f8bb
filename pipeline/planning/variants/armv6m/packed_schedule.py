"""Packed layers whose lanes are split before they could overflow: the order of inputs that needs the fewest splits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.graph.tensor import Array
from pipeline.planning.variants.armv6m.assembler import symbols
from pipeline.planning.variants.armv6m.im2col import Contiguous
from pipeline.planning.variants.armv6m.packed import (
    FRAME,
    LANE,
    Block,
    BlockRoutine,
    Chunk,
    LinearLayer,
    Scheme,
    blocks_of,
    chunks_of,
    pair_words,
    position_loops,
    rows_by_block,
)
from pipeline.planning.variants.armv6m.requantize import int32

INPUT, FIRST, LAST = (symbols()[s] for s in ("INPUT", "FIRST_OF_GROUP", "LAST_OF_GROUP"))
"""Fields of an entry: the number of its input; a bit where lanes begin anew; a bit where they are split behind it."""


@dataclass(frozen=True, eq=False)
class Part:
    """One kind of block on one chunk of the inputs, in the order of `entries`; is it the first chunk, the last?"""

    linear: LinearLayer
    block: Block
    entries: Sequence[int]
    first: bool
    last: bool

    @property
    def words(self) -> int:
        """Words that one block reads from the stream: starts with the first chunk, constants with the last."""
        constants = self.block.outputs * self.linear.epilogue.constants.shape[1] if self.last else 0
        return self.block.pairs * (len(self.entries) + 2 * self.first) + constants

    @property
    def entry_list(self) -> str:
        return ", ".join(str(e) for e in self.entries)


@dataclass(frozen=True)
class Splits:
    """What schemes with splits differ in: outputs of a block, its routine, the order of its accumulators' starts."""

    variant: str
    includes: tuple[str, ...]
    outputs: int
    routine: Callable[[Part], BlockRoutine]
    start_words: Callable[[Array], Array]


def scheme(splits: Splits, linear: LinearLayer) -> Scheme | None:
    """The layer with its splits planned; None for a weight that a lane does not hold.

    Weights may have nine bits: one product alone always fits a lane.
    """
    if np.abs(linear.weights).max(initial=0) > LANE:
        return None
    blocks, bounds = tuple(blocks_of(len(linear.weights), splits.outputs)), chunks_of(linear)
    orders = [schedule(linear.weights[:, begin:end]) for begin, end in bounds]
    sums = FRAME + max(end - begin for begin, end in bounds)
    last = len(bounds) - 1
    chunks = tuple(
        Chunk(
            begin,
            end,
            tuple(splits.routine(Part(linear, b, orders[k], k == 0, k == last)) for b in blocks),
            before=(f"packed_sums {sums}",) if last else (),
            after=("packed_keep_stream",) if k < last else (),
        )
        for k, (begin, end) in enumerate(bounds)
    )
    inputs = [[begin + (e & INPUT) for e in order] for (begin, _), order in zip(bounds, orders, strict=True)]
    return Scheme(
        splits.variant,
        splits.includes,
        linear,
        chunks,
        tables={"packed": stream(linear, blocks, inputs, splits.start_words)},
        words=sums + (2 * sum(b.count * b.pairs for b in blocks) if last else 0),
        walk=position_loops,
        stream_in_register=isinstance(linear.inputs, Contiguous) and not last,
    )


def stream(
    linear: LinearLayer, blocks: Sequence[Block], inputs: Sequence[Sequence[int]], start_words: Callable[[Array], Array]
) -> Array:
    """For each chunk, whose inputs are in the order of their multiplication, and block: starts, weights, constants.

    Starts with the first chunk, constants with the last.
    """
    words: list[Array] = []
    start = np.append(linear.epilogue.start, 0)
    for number, order in enumerate(inputs):
        for first, outputs, rows in rows_by_block(linear, blocks):
            if number == 0:
                words.append(start_words(start[np.minimum(np.arange(first, first + len(rows)), len(start) - 1)]))
            words.append(pair_words(rows[:, order]))
            if number == len(inputs) - 1:
                words.append(linear.epilogue.constants[first : first + outputs].reshape(-1))
    return int32(np.concatenate(words))


def schedule(weights: Array) -> list[int]:
    """The order of the inputs (outputs, inputs) and where lanes begin (+ FIRST) and are split (+ LAST).

    Best fit, largest first: as few groups as found in which no output's |w| sum to more than a lane holds.
    """
    sizes = np.abs(weights)
    group_sums = np.zeros((0, len(weights)), np.int64)
    members: list[list[int]] = []
    for tap in np.lexsort((-sizes.sum(axis=0), -sizes.max(axis=0))).tolist():
        largest_sums = (group_sums + sizes[:, tap]).max(axis=1) if len(group_sums) else np.zeros(0, np.int64)
        fits = np.flatnonzero(largest_sums <= LANE)
        if not len(fits):
            group_sums = np.vstack([group_sums, sizes[:, tap]])
            members.append([tap])
            continue
        chosen = int(fits[np.argmax(largest_sums[fits])])
        group_sums[chosen] += sizes[:, tap]
        members[chosen].append(tap)
    entries_in_order = []
    for group in members:
        entries = sorted(group)
        entries[0] += FIRST
        entries[-1] += LAST
        entries_in_order += entries
    return entries_in_order
