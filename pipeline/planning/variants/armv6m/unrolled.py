"""Dense layers and 1x1 convolutions whose weights are instructions: what `unrolled_sparse` and `unrolled_shift` share.

See kernels/armv6m/unrolled.inc. Its macros say what an invocation costs, the formulas here how often it runs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.facts.cores import Executed
from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.graph.kernel_params.linear import Conv2dParams, DenseParams, weight_rows
from pipeline.graph.tensor import Array
from pipeline.planning.variants.armv6m.im2col import Contiguous, inputs_of
from pipeline.planning.variants.armv6m.macro_costs import code_size, executed_loop, executed_once
from pipeline.planning.variants.armv6m.requantize import Epilogue, epilogue_of, int32

_STORE_RANGE = 31  # bytes from the output's pointer that one instruction reaches
_MOST_CODE = 1 << 18

Terms = Callable[[Array], list[str]]
"""The invocations that multiply one output's weights (inputs) that are not 0."""


def unrolled(call: KernelCall, variant: str, terms: Terms) -> Routine | None:
    """The call as instructions; None for more than 256 inputs, or windows of more than one position."""
    if not isinstance(call.params, Conv2dParams | DenseParams) or call.params.weights.dtype != np.int8:
        return None
    weights, inputs = weight_rows(call.params), inputs_of(call)
    if not isinstance(inputs, Contiguous) or weights.shape[1] > 256 or np.count_nonzero(weights) * 10 > _MOST_CODE:
        return None
    epilogue = epilogue_of(call)
    return None if epilogue is None else _routine(_Layer(weights.astype(np.int64), epilogue, terms), variant, inputs)


@dataclass(frozen=True, eq=False)
class _Layer:
    """`weights` (outputs, inputs)."""

    weights: Array
    epilogue: Epilogue
    terms: Terms

    @property
    def has_inputs(self) -> Array:
        """Whether each output has a weight that is not 0: booleans (outputs,)."""
        return np.count_nonzero(self.weights, axis=1) > 0


def _routine(layer: _Layer, variant: str, inputs: Contiguous) -> Routine:
    outputs, positions, stream = len(layer.weights), inputs.positions, _stream(layer)
    enter = f"unrolled_enter {positions}"
    loop = f"unrolled_positions {{constants}}, LAYER({{layer}}_weights), {inputs.inputs}"
    weights = ("function LAYER({layer}_weights)", *_position_lines(layer), "end_function LAYER({layer}_weights)")
    lines = (*weights, "function LAYER({layer})", enter, loop, "end_function LAYER({layer})")
    return Routine(
        variant=variant,
        includes=("frame.inc", "requantize.inc", "unrolled.inc", f"{variant}.inc"),
        shared=(),
        lines=lines,
        tables={"constants": stream if stream.size else np.zeros(1, np.int32)},  # C knows no empty array
        executed=_executed_position(layer) * positions + executed_once(enter) + executed_loop(positions, loop),
        code=code_size(lines),
        stack=28,
        least_cycles=positions * 2 * ((outputs + 1) // 2) * inputs.inputs,
        reads=positions * stream.size,
    )


def _stream(layer: _Layer) -> Array:
    words = np.concatenate([layer.epilogue.start[:, None], layer.epilogue.constants], axis=1)
    return int32(words[layer.has_inputs].reshape(-1))


def _executed_position(layer: _Layer) -> Executed:
    """Instructions of one position's weights. Which input a weight has makes no difference."""
    values, times = np.unique(layer.weights[layer.weights != 0], return_counts=True)
    between = ("unrolled_advance", "unrolled_return")
    total = executed_once(*(line for line in _position_lines(layer) if line.startswith(between)))
    for value, count in zip(values.tolist(), times.tolist(), strict=True):
        total += executed_once(*layer.terms(np.array([value]))) * count
    has_inputs, end = int(layer.has_inputs.sum()), f"{layer.epilogue.macro} value, 0, {layer.epilogue.arguments}"
    total += executed_once("unrolled_output", end) * has_inputs
    return total + executed_once("unrolled_constant 0, 0") * (len(layer.weights) - has_inputs)


def _position_lines(layer: _Layer) -> list[str]:
    lines: list[str] = []
    offset, epilogue = 0, layer.epilogue
    for output, (row, has_inputs) in enumerate(zip(layer.weights, layer.has_inputs, strict=True)):
        if offset > _STORE_RANGE:
            lines.append(f"unrolled_advance {offset}")
            offset = 0
        if has_inputs:
            lines += ["unrolled_output", *layer.terms(row)]
            lines.append(f"{epilogue.macro} value, {offset}, {epilogue.arguments}")
        else:
            lines.append(f"unrolled_constant {epilogue.constant(output) & 255}, {offset}")
        offset += 1
    return [*lines, f"unrolled_advance {offset}", "unrolled_return"]
