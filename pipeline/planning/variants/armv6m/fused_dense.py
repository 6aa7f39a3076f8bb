"""`fused_dense`: dense layers of one row, packed, in one frame: what one leaves the next reads as it is.

See kernels/armv6m/fused_dense.inc. Its macros say what an invocation costs.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate

import numpy as np

from pipeline.facts.cores import Core
from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.graph.kernel_params.linear import DenseParams
from pipeline.planning.variants.armv6m import packed_carry, packed_narrow, packed_split
from pipeline.planning.variants.armv6m.im2col import widen
from pipeline.planning.variants.armv6m.loops import CostedLines, Step, executed_by, lines_of
from pipeline.planning.variants.armv6m.macro_costs import executed_once
from pipeline.planning.variants.armv6m.packed import FRAME, SAVED, Scheme, block_functions, calls_of, planned_code
from pipeline.planning.variants.armv6m.shared_routines import IM2COL

NAME = "fused_dense"
SUMMARY = "dense layers of one row in one frame: each leaves its outputs where the next reads them"

_LOAD_RANGE = 254  # words that one instruction of a block reaches from the stack pointer
_WIDEN_STACK = 4  # bytes that widening keeps on the stack


def offer(calls: Sequence[KernelCall], core: Core) -> Routine | None:
    """Dense layers, each the only reader of the one before, as one routine; None where one frame is too small."""
    params = [c.params for c in calls if isinstance(c.params, DenseParams) and c.params.rows == 1]
    if not 2 <= len(params) == len(calls):
        return None
    *bases, words = accumulate((p.inputs for p in params), initial=FRAME)
    if words > _LOAD_RANGE:
        return None
    schemes = [_fastest_scheme(c, core, c is not calls[-1]) for c in calls]
    applicable = [s for s in schemes if s is not None]
    return _routine(applicable, bases, words) if len(applicable) == len(schemes) else None


@lru_cache(maxsize=1024)
def _fastest_scheme(call: KernelCall, core: Core, words_out: bool) -> Scheme | None:
    """The layer in the scheme that is fastest on `core`; None where none applies. A layer is part of many routines."""
    offered = (packed_narrow.scheme_of(call), packed_split.scheme_of(call), packed_carry.scheme_of(call))
    applicable = [replace(s, words_out=words_out) for s in offered if s is not None and len(s.chunks) == 1]
    return min(applicable, key=lambda s: calls_of(s, 0, 0).executed.cycles(core), default=None)


def _routine(schemes: Sequence[Scheme], bases: Sequence[int], words: int) -> Routine:
    functions: list[str] = []
    for number, (scheme, base) in enumerate(zip(schemes, bases, strict=True)):
        functions += [f"fused_dense_layer {base}, {int(scheme.words_out)}", *block_functions(scheme, 0, number)]
    steps = [f"enter {words}", "fused_dense_begin", *_steps(schemes, bases), f"leave {words}"]
    entry_function = ["function LAYER({layer})", *lines_of(steps), "end_function LAYER({layer})"]
    stream = np.concatenate([s.stream for s in schemes])
    return Routine(
        variant=NAME,
        includes=(*dict.fromkeys(i for s in schemes for i in s.includes), "fused_dense.inc"),
        shared=(IM2COL,),
        lines=(*functions, f"fused_dense_layer {FRAME}, 0", *entry_function),
        tables={"packed": stream},
        executed=executed_by(_steps(schemes, bases))
        + executed_once(f"enter {words}", "fused_dense_begin", f"leave {words}"),
        code=planned_code(schemes),
        stack=SAVED + 4 * words + _WIDEN_STACK,
        least_cycles=sum(s.least_cycles for s in schemes),
        reads=stream.size,
    )


def _steps(schemes: Sequence[Scheme], bases: Sequence[int]) -> list[Step]:
    """The inputs of the first layer widened, and then each layer behind its own inputs, the last in the output."""
    inputs = schemes[0].linear.weights.shape[1]
    line = f"packed_widen SHARED({{widen}}), {inputs}, {{packed}}"
    steps: list[Step] = [CostedLines((line,), executed_once(line) + widen(inputs))]
    for number, (scheme, base) in enumerate(zip(schemes, bases, strict=True)):
        behind = base + scheme.linear.weights.shape[1]
        steps.append(f"fused_dense_to {behind}" if scheme.words_out else "fused_dense_to_output")
        steps.append(calls_of(scheme, 0, number))
    return steps
