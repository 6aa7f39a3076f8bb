"""`fused_dense`: dense layers of one row, packed, in one frame: what one leaves the next reads as it is.

See kernels/armv6m/fused_dense.inc. Its macros say what an invocation costs, the formulas here how often it runs.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

import numpy as np

from pipeline.facts.cores import Core
from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.graph.kernel_params.linear import DenseParams
from pipeline.planning.variants.armv6m.im2col import widen
from pipeline.planning.variants.armv6m.macro_costs import straight
from pipeline.planning.variants.armv6m.packed_carry import packed_carry_of
from pipeline.planning.variants.armv6m.packed_narrow import packed_narrow_of
from pipeline.planning.variants.armv6m.packed_split import FRAME, SAVED, Packed, packed_of

NAME = "fused_dense"
SUMMARY = "dense layers of one row in one frame: each leaves its outputs where the next reads them"

_REACH = 254  # words that one instruction of a block reaches from the stack pointer
_CALLS = 4  # bytes that widening keeps on the stack


def offer(calls: Sequence[KernelCall], core: Core) -> Routine | None:
    """Dense layers, each the only reader of the one before, as one routine; None where one frame is too small."""
    params = [c.params for c in calls if isinstance(c.params, DenseParams) and c.params.rows == 1]
    if not 2 <= len(params) == len(calls):
        return None
    *bases, words = accumulate((p.inputs for p in params), initial=FRAME)
    if words > _REACH:
        return None
    links = [_link(c, core, c is not calls[-1]) for c in calls]
    packed = [k for k in links if k is not None]
    return _routine(packed, bases, words) if len(packed) == len(links) else None


@lru_cache(maxsize=1024)
def _link(call: KernelCall, core: Core, words: bool) -> Packed | None:
    """The layer in the scheme that is fastest on `core`; None where none applies. A layer is a link of many chains."""
    schemes = (packed_narrow_of(call), packed_of(call), packed_carry_of(call))
    made = [m for m in schemes if m is not None and len(m.chunks) == 1]
    for m in made:
        m.words_out = words
    return min(made, key=lambda m: m.blocks_executed(0).cycles(core), default=None)


def _routine(links: Sequence[Packed], bases: Sequence[int], words: int) -> Routine:
    around = straight(*_begin(links, words), *(_to(k, b) for k, b in zip(links, bases, strict=True)), f"leave {words}")
    stream = np.concatenate([k.stream() for k in links])
    return Routine(
        variant=NAME,
        includes=(*dict.fromkeys(i for k in links for i in k.includes), "fused_dense.inc"),
        shared=("im2col",),
        lines=tuple(_lines(links, bases, words)),
        tables={"packed": stream},
        executed=sum((k.blocks_executed(0) for k in links), around + widen(links[0].weights.shape[1])),
        code=sum(k.block_code(b, 0) for k in links for b in k.blocks) + 160 + 60 * len(links),
        stack=SAVED + 4 * words + _CALLS,
        least_cycles=sum(k.least_cycles() for k in links),
        reads=stream.size,
    )


def _begin(links: Sequence[Packed], words: int) -> list[str]:
    first = links[0].weights.shape[1]
    return [f"enter {words}", "fused_dense_begin", f"packed_widen SHARED({{widen}}), {first}, {{packed}}"]


def _to(link: Packed, base: int) -> str:
    """Where a layer leaves its outputs: behind its own inputs, which begin at the frame's word `base`."""
    return f"fused_dense_to {base + link.weights.shape[1]}" if link.words_out else "fused_dense_to_output"


def _lines(links: Sequence[Packed], bases: Sequence[int], words: int) -> list[str]:
    lines = []
    for number, (link, base) in enumerate(zip(links, bases, strict=True)):
        lines.append(f"fused_dense_layer {base}, {int(link.words_out)}")
        for kind, block in enumerate(link.blocks):
            name = f"LAYER({{layer}}_{number}_{kind})"
            lines += [f"function {name}", *link.block_lines(block, 0), f"end_function {name}"]
    lines += [f"fused_dense_layer {FRAME}, 0", "function LAYER({layer})", *_begin(links, words)]
    for number, (link, base) in enumerate(zip(links, bases, strict=True)):
        lines += [_to(link, base), *link.calls_of_blocks(f"{{layer}}_{number}", 0)]
    return [*lines, f"leave {words}", "end_function LAYER({layer})"]
