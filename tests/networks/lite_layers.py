"""TensorFlow Lite's operators, drawn with random options, shapes and scales."""

from typing import Any

import numpy as np

from networks.drawing import Skip
from networks.lite import LiteDrawing
from pipeline.graph.tensor import Shape

SAME, VALID = 0, 1
FUSED = (0, 0, 1, 2, 3)
"""NONE twice, RELU, RELU_N1_TO_1, RELU6."""


def image(d: LiteDrawing) -> str:
    return d.pick(lambda s: len(s) == 4)


def weights(d: LiteDrawing, shape: Shape, out: int, axis: int, per_channel: bool) -> tuple[str, np.ndarray, int]:
    """Weights, their scales and their zero point: dead, near-dead and huge channels among them."""
    unsigned = d.dtype == "uint8"
    scale = d.rng.uniform(0.002, 0.01, out if per_channel and not unsigned else 1).astype(np.float32)
    values = d.rng.integers(0, 256, shape) if unsigned else d.rng.integers(-127, 128, shape)
    zero = d.one([128, 117, 0, 255, d.upto(0, 255)]) if unsigned else 0
    channels = np.moveaxis(values, axis, 0)
    kind, at = d.rng.random(), d.upto(0, out - 1)
    if kind < 0.1:
        channels[at] = zero
    elif kind < 0.2:
        channels[at] = np.clip(zero + d.rng.integers(-1, 2, channels[at].shape), 0 if unsigned else -127, 127)
    elif kind < 0.3 and len(scale) > 1:
        scale[at] *= np.float32(d.one([1e-6, 1e-3, 8.0]))
    elif kind < 0.4:
        values[d.rng.random(shape) < 0.7] = zero
    kept = scale if len(scale) > 1 else scale[0]
    return d.stored(values, kept, zero, axis, "int8" if d.dtype == "int16" else None), scale, zero


def bias(d: LiteDrawing, out: int, scale: np.ndarray, x: str) -> str:
    if d.chance(0.1):
        return ""
    reach = d.one([100, 3000, 100000])
    values = d.rng.integers(-reach, reach + 1, out)
    steps = scale * np.float32(d.scale(x))
    return d.stored(values, steps if len(steps) > 1 else steps[0], 0, 0, "int64" if d.dtype == "int16" else "int32")


def output(d: LiteDrawing, x: str, scale: np.ndarray, taps: int) -> tuple[float, int]:
    """A scale that sums of so many products fill well, or saturate."""
    reach = 70 * (150 if d.dtype == "int16" else 1) * taps**0.5
    return d.quant(d.scale(x) * float(np.median(scale)) * reach / (128 if d.dtype == "int16" else 1))


def spatial(d: LiteDrawing, shape: Shape, largest: int = 4) -> tuple[list[int], list[int], list[int], int, list[int]]:
    """Kernel, strides, dilations, padding and output sizes."""
    kernel = [d.upto(1, min(largest, s)) for s in shape[1:3]]
    strides = [d.one([1, 1, 2, 3]) for _ in kernel]
    dilations = [d.one([1, 1, 1, 2, 3]) for _ in kernel]
    padding = d.one([SAME, VALID])
    out = []
    for size, k, s, p in zip(shape[1:3], kernel, strides, dilations, strict=True):
        room = size if padding == SAME else size - (k - 1) * p
        if room < 1:
            raise Skip
        out.append(-(-room // s))
    return kernel, strides, dilations, padding, out


def conv(d: LiteDrawing) -> str:
    x = image(d)
    shape = d.shapes[x]
    kernel, strides, dilations, padding, sizes = spatial(d, shape)
    fields: dict[str, Any] = {
        "padding": padding, "strideH": strides[0], "strideW": strides[1], "fusedActivationFunction": d.one(FUSED),
        "dilationHFactor": dilations[0], "dilationWFactor": dilations[1],
    }  # fmt: skip
    if d.chance(0.4):
        times = d.one([1, 1, 2, 3])
        out = shape[3] * times
        w, scale, _ = weights(d, (1, *kernel, out), out, 3, d.chance(0.7))
        quant = output(d, x, scale, kernel[0] * kernel[1])
        inputs = [x, w, bias(d, out, scale, x) or bias_of_zeros(d, out, scale, x)]
        fields |= {"depthMultiplier": times, "options": "DepthwiseConv2DOptions"}
        return d.lite("DEPTHWISE_CONV_2D", inputs, (shape[0], *sizes, out), quant, **fields)
    groups = d.one([1, 1, 1, *(g for g in (2, 3) if shape[3] % g == 0)]) if d.dtype == "int8" else 1
    out = groups * d.upto(1, 12 // groups)
    w, scale, _ = weights(d, (out, *kernel, shape[3] // groups), out, 0, d.chance(0.7))
    quant = output(d, x, scale, kernel[0] * kernel[1] * shape[3] // groups)
    inputs = [x, w, bias(d, out, scale, x) or bias_of_zeros(d, out, scale, x)]
    return d.lite("CONV_2D", inputs, (shape[0], *sizes, out), quant, options="Conv2DOptions", **fields)


def bias_of_zeros(d: LiteDrawing, out: int, scale: np.ndarray, x: str) -> str:
    steps = scale * np.float32(d.scale(x))
    kind = "int64" if d.dtype == "int16" else "int32"
    return d.stored(np.zeros(out, np.int64), steps if len(steps) > 1 else steps[0], 0, 0, kind)


def transpose_conv(d: LiteDrawing) -> str:
    if d.dtype != "int8":
        raise Skip
    x = d.pick(lambda s: len(s) == 4 and s[0] == 1)
    shape = d.shapes[x]
    kernel, strides = [d.upto(1, 4) for _ in range(2)], [d.one([1, 2, 3]) for _ in range(2)]
    padding = d.one([SAME, VALID])
    pairs = zip(shape[1:3], kernel, strides, strict=True)
    sizes = [n * s if padding == SAME else (n - 1) * s + max(k, s) for n, k, s in pairs]
    out = d.upto(1, 8)
    w, scale, _ = weights(d, (out, *kernel, shape[3]), out, 0, True)
    quant = output(d, x, scale, kernel[0] * kernel[1] * shape[3] // max(1, strides[0] * strides[1]) + 1)
    target = (1, *sizes, out)
    fields = {"padding": padding, "strideH": strides[0], "strideW": strides[1]}
    inputs = [d.indices(target), w, x, bias(d, out, scale, x) or bias_of_zeros(d, out, scale, x)]
    return d.lite("TRANSPOSE_CONV", inputs, target, quant, options="TransposeConvOptions", **fields)


def dense(d: LiteDrawing) -> str:
    x = d.pick(lambda s: len(s) >= 2)
    shape = d.shapes[x]
    keep = d.chance(0.4)
    inputs = shape[-1] if keep or d.chance(0.6) else int(np.prod(shape[1:]))
    out = d.upto(1, 12)
    rows = int(np.prod(shape)) // inputs
    w, scale, _ = weights(d, (out, inputs), out, 0, d.dtype == "int8" and d.chance(0.4))
    out_shape = (*shape[:-1], out) if keep else (rows, out)
    fields = {"fusedActivationFunction": d.one(FUSED), "keepNumDims": keep, "options": "FullyConnectedOptions"}
    quant = output(d, x, scale, inputs)
    return d.lite("FULLY_CONNECTED", [x, w, bias(d, out, scale, x)], out_shape, quant, **fields)


def pool(d: LiteDrawing) -> str:
    x = image(d)
    shape = d.shapes[x]
    kernel, strides, _, padding, _ = spatial(d, shape, 5)
    room = [s if padding == SAME else s - k + 1 for s, k in zip(shape[1:3], kernel, strict=True)]
    sizes = [-(-r // s) for r, s in zip(room, strides, strict=True)]
    fields = {
        "padding": padding, "strideH": strides[0], "strideW": strides[1], "filterHeight": kernel[0],
        "filterWidth": kernel[1], "fusedActivationFunction": d.one(FUSED), "options": "Pool2DOptions",
    }  # fmt: skip
    return d.moved(d.one(["AVERAGE_POOL_2D", "MAX_POOL_2D"]), [x], (shape[0], *sizes, shape[3]), **fields)


def mean(d: LiteDrawing) -> str:
    x = d.pick(lambda s: len(s) >= 2)
    shape = d.shapes[x]
    first = d.upto(1, len(shape) - 1)
    axes = list(range(first, d.upto(first, len(shape) - 1) + 1))
    if len(shape) == 4 and d.chance(0.5):
        axes = [1, 2]
    keep = d.chance(0.5)
    out_shape = tuple(1 if i in axes else s for i, s in enumerate(shape) if keep or i not in axes)
    written_axes = [a - len(shape) if d.chance(0.3) else a for a in axes]
    quant = d.quant_of(x) if d.chance(0.3) else d.quant(d.scale(x) * 0.6)
    return d.lite("MEAN", [x, d.indices(written_axes)], out_shape, quant, options="ReducerOptions", keepDims=keep)


def binary(d: LiteDrawing) -> str:
    op = d.one(["ADD", "ADD", "SUB", "MUL"])
    x = d.pick(lambda s: 1 <= len(s) <= 4)
    shape = d.shapes[x]
    if d.chance(0.4):
        kind = d.one([shape, (shape[-1],), (1,), ()])
        other = d.operand(kind, d.scale(x))
    else:
        other = d.same_shape(x)
    pair = [x, other] if d.chance(0.6) else [other, x]
    a, b = (d.scale(n) for n in pair)
    unit = a * b * (127 if d.dtype != "int16" else 32767) if op == "MUL" else (a + b)
    options = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions"}[op]
    return d.lite(op, pair, shape, d.quant(unit), options=options, fusedActivationFunction=d.one(FUSED))


def extremum(d: LiteDrawing) -> str:
    """Of tensors or constants with one scale."""
    if d.dtype == "int16":
        raise Skip
    x = d.pick(lambda s: 1 <= len(s) <= 4)
    shape, quant = d.shapes[x], d.quant_of(x)
    same = [n for n, s in d.shapes.items() if s == shape and n not in d.kinds and n != x and d.quant_of(n) == quant]
    low = _low(d)
    other = d.one(same) if same else d.stored(d.rng.integers(low, low + 256, d.one([shape, (shape[-1],)])), *quant)
    return d.moved(d.one(["MINIMUM", "MAXIMUM"]), [x, other], shape, options="MaximumMinimumOptions")


def activation(d: LiteDrawing) -> str:
    if d.dtype == "int16":
        raise Skip
    x = d.pick()
    low = _low(d)
    op = d.one(["RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU", "LOGISTIC", "TANH", "HARD_SWISH", "QUANTIZE"])
    if op == "LOGISTIC":
        return d.lite(op, [x], d.shapes[x], (1 / 256, low))
    if op == "TANH":
        return d.lite(op, [x], d.shapes[x], (1 / 128, low + 128))
    fields: dict[str, Any] = {}
    if op == "LEAKY_RELU":
        fields = {"options": "LeakyReluOptions", "alpha": d.real(0.0, 0.99)}
    elif op == "QUANTIZE":
        fields = {"options": "QuantizeOptions"}
    quant = d.quant_of(x) if d.chance(0.3) else d.quant(d.scale(x))
    return d.lite(op, [x], d.shapes[x], quant, **fields)


def elu(d: LiteDrawing) -> str:
    x = d.pick()
    return d.lite("ELU", [x], d.shapes[x], d.quant(d.scale(x)))


def _low(d: LiteDrawing) -> int:
    return 0 if d.dtype == "uint8" else -128


def prelu(d: LiteDrawing) -> str:
    if d.dtype == "int16":
        raise Skip
    x = d.pick(lambda s: len(s) >= 2)
    shape = d.shapes[x]
    slope = d.operand(d.one([(1,), (*(1 for _ in shape[1:-1]), shape[-1])]), 0.005)
    return d.lite("PRELU", [x, slope], shape, d.quant(d.scale(x)))


def softmax(d: LiteDrawing) -> str:
    if d.dtype != "int8":
        raise Skip
    x = d.pick(lambda s: 2 <= len(s) <= 4)
    beta = d.one([1.0, 1.0, 0.5, 2.0])
    return d.lite("SOFTMAX", [x], d.shapes[x], (1 / 256, -128), options="SoftmaxOptions", beta=beta)


def arg(d: LiteDrawing) -> str:
    if d.dtype == "int16":
        raise Skip
    x = d.pick(lambda s: 2 <= len(s) <= 4)
    shape = d.shapes[x]
    axis = d.upto(1, len(shape) - 1)
    y = d.lite(
        "ARG_MAX", [x, d.indices(axis)], shape[:axis] + shape[axis + 1 :], None, options="ArgMaxOptions", outputType=4
    )
    d.kinds[y] = "int64"
    return y


LAYERS = {
    conv: 14.0, transpose_conv: 2.0, dense: 7.0, pool: 5.0, mean: 2.0, binary: 8.0, extremum: 1.0, activation: 7.0,
    prelu: 1.0,
    softmax: 1.0, arg: 0.3,
}  # fmt: skip
