"""`unrolled_sparse`: weights as instructions, so that what is zero costs nothing.

See kernels/armv6m/unrolled_sparse.inc. Its macros say what an invocation costs, the formulas here how often it runs.
"""

import numpy as np

from pipeline.facts.cores import Executed
from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.graph.kernel_params.linear import Conv2dParams, DenseParams, weight_rows
from pipeline.graph.tensor import Array
from pipeline.planning.variants.armv6m.assembler import symbols
from pipeline.planning.variants.armv6m.im2col import Contiguous, inputs_of
from pipeline.planning.variants.armv6m.macro_costs import looped, size, straight
from pipeline.planning.variants.armv6m.requantize import Epilogue, epilogue_of, int32

NAME = "unrolled_sparse"
SUMMARY = "weights as instructions: zeros are free, a position's weights are straight-line code"

_REACH = 31  # bytes from the output's pointer that one instruction reaches
_MOST_CODE = 1 << 18
_WEIGHT_UNIT, _WEIGHT_ZERO, _NEGATIVE = (symbols()[s] for s in ("WEIGHT_UNIT", "WEIGHT_ZERO", "NEGATIVE"))


def offer(call: KernelCall) -> Routine | None:
    """The call as instructions; None for more than 256 inputs, or windows of more than one position."""
    return _offer(call, shifts=False)


def without_multiplications(call: KernelCall) -> Routine | None:
    """The same of shifts and additions."""
    return _offer(call, shifts=True)


def _offer(call: KernelCall, *, shifts: bool) -> Routine | None:
    if not isinstance(call.params, Conv2dParams | DenseParams) or call.params.weights.dtype != np.int8:
        return None
    weights = weight_rows(call.params)
    inputs = inputs_of(call)
    if not isinstance(inputs, Contiguous) or weights.shape[1] > 256 or np.count_nonzero(weights) * 10 > _MOST_CODE:
        return None
    epilogue = epilogue_of(call)
    return None if epilogue is None else _Sparse(inputs, weights.astype(np.int64), epilogue, shifts).routine()


class _Sparse:
    def __init__(self, inputs: Contiguous, weights: Array, epilogue: Epilogue, shifts: bool) -> None:
        self.inputs, self.weights, self.epilogue, self.shifts = inputs, weights, epilogue, shifts
        self.variant = "unrolled_shift" if shifts else NAME
        self.alive: Array = np.count_nonzero(weights, axis=1) > 0

    def routine(self) -> Routine:
        outputs, inputs = self.weights.shape
        alive, positions, lines = int(self.alive.sum()), self.inputs.positions, self._lines()
        return Routine(
            variant=self.variant,
            includes=("frame.inc", "requantize.inc", "unrolled.inc", f"{self.variant}.inc"),
            shared=(),
            lines=tuple(lines),
            tables={"constants": self._stream() if alive else np.zeros(1, np.int32)},  # C knows no empty array
            executed=self._position() * positions + straight(self._enter()) + looped(positions, self._positions()),
            code=size(lines),
            stack=28,
            least_cycles=positions * 2 * ((outputs + 1) // 2) * inputs,
            reads=positions * self._stream().size,
        )

    def _position(self) -> Executed:
        """Of one position's weights. Which input a weight has makes no difference."""
        weights, times = np.unique(self.weights[self.weights != 0], return_counts=True)
        one = np.zeros(1, np.int64)
        made = straight(
            *(line for line in self._weights_lines() if line.startswith(("unrolled_advance", "unrolled_return")))
        )
        for weight, count in zip(weights.tolist(), times.tolist(), strict=True):
            made += straight(*self._terms(one + weight)) * count
        alive = int(self.alive.sum())
        made += (
            straight("unrolled_output") + straight(f"{self.epilogue.macro} value, 0, {self.epilogue.arguments}")
        ) * alive
        return made + straight("unrolled_constant 0, 0") * (len(self.weights) - alive)

    def _stream(self) -> Array:
        words = np.concatenate([self.epilogue.start[:, None], self.epilogue.constants], axis=1)
        return int32(words[self.alive].reshape(-1))

    def _enter(self) -> str:
        return f"unrolled_enter {self.inputs.positions}"

    def _positions(self) -> str:
        return f"unrolled_positions {{constants}}, LAYER({{layer}}_weights), {self.weights.shape[1]}"

    def _lines(self) -> list[str]:
        weights = ["function LAYER({layer}_weights)", *self._weights_lines(), "end_function LAYER({layer}_weights)"]
        whole = ["function LAYER({layer})", self._enter(), self._positions(), "end_function LAYER({layer})"]
        return [*weights, *whole]

    def _weights_lines(self) -> list[str]:
        lines = []
        place = 0
        for output, row in enumerate(self.weights):
            if place > _REACH:
                lines.append(f"unrolled_advance {place}")
                place = 0
            if self.alive[output]:
                lines += ["unrolled_output", *self._terms(row)]
                lines.append(f"{self.epilogue.macro} value, {place}, {self.epilogue.arguments}")
            else:
                lines.append(f"unrolled_constant {self.epilogue.constant(output) & 255}, {place}")
            place += 1
        return [*lines, f"unrolled_advance {place}", "unrolled_return"]

    def _terms(self, row: Array) -> list[str]:
        used = np.flatnonzero(row).tolist()
        if not self.shifts:
            entries = ", ".join(str(i + _WEIGHT_UNIT * (int(row[i]) + _WEIGHT_ZERO)) for i in used)
            return [f"unrolled_sparse_terms {entries}"]
        return [f"unrolled_shift_term {', '.join(str(n) for n in (i, *digits(int(row[i]))))}" for i in used]


def digits(weight: int) -> list[int]:
    """The signed digits of a weight, fewest possible: shift + NEGATIVE where negative. Source: non-adjacent form."""
    made, shift = [], 0
    while weight:
        if weight & 1:
            digit = 2 - (weight & 3)
            made.append(shift + (_NEGATIVE if digit < 0 else 0))
            weight -= digit
        weight >>= 1
        shift += 1
    return made
