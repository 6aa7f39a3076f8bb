"""TensorFlow Lite's operators that move values."""

from math import prod

import numpy as np

from networks.drawing import Skip
from networks.lite import LiteDrawing


def view(d: LiteDrawing) -> str:
    x = d.pick(lambda s: len(s) >= 1)
    shape = d.shapes[x]
    op = d.one(["RESHAPE", "RESHAPE", "SQUEEZE", "EXPAND_DIMS"])
    if op == "SQUEEZE":
        ones = [i for i, s in enumerate(shape) if s == 1 and i > 0]
        if not ones:
            raise Skip
        at = d.one(ones)
        out_shape = shape[:at] + shape[at + 1 :]
        return d.moved(op, [x], out_shape, options="SqueezeOptions", squeezeDims=[at])
    if op == "EXPAND_DIMS":
        if len(shape) > 3:
            raise Skip
        at = d.upto(1, len(shape))
        return d.moved(op, [x, d.indices(at)], (*shape[:at], 1, *shape[at:]), options="ExpandDimsOptions")
    size = prod(shape)
    factors = [f for f in range(1, 14) if size % f == 0]
    a = d.one(factors)
    b = d.one([f for f in factors if size // a % f == 0])
    out = d.one([(1, a, size // a), (1, a, b, size // a // b), (1, size), (a, size // a)])
    if d.chance(0.2) and out == (1, size):
        return computed(d, x, size)
    return d.moved("RESHAPE", [x, d.indices(out)], out, options="ReshapeOptions", newShape=list(out))


def computed(d: LiteDrawing, x: str, size: int) -> str:
    """RESHAPE to a shape that is computed, as converters write it: SHAPE, STRIDED_SLICE, PACK."""
    shape = d.shapes[x]
    if shape[0] != 1:
        raise Skip
    n = d.lite("SHAPE", [x], (len(shape),), None, options="ShapeOptions", outType=2)
    bounds = [d.indices([v]) for v in (0, 1, 1)]
    f = d.lite("STRIDED_SLICE", [n, *bounds], (), None, options="StridedSliceOptions", shrinkAxisMask=1)
    t = d.lite("PACK", [f, d.indices(size)], (2,), None, options="PackOptions", valuesCount=2, axis=0)
    d.kinds |= dict.fromkeys((n, f, t), "int32")
    return d.moved("RESHAPE", [x, t], (1, size), options="ReshapeOptions", newShape=[1, size])


def transpose(d: LiteDrawing) -> str:
    x = d.pick(lambda s: 2 <= len(s) <= 4)
    shape = d.shapes[x]
    perm = [0, *(int(i) + 1 for i in d.rng.permutation(len(shape) - 1))]
    out_shape = tuple(shape[p] for p in perm)
    return d.moved("TRANSPOSE", [x, d.indices(perm)], out_shape, options="TransposeOptions")


def pad(d: LiteDrawing) -> str:
    x = d.pick(lambda s: 2 <= len(s) <= 4)
    shape = d.shapes[x]
    pads = [[0, 0], *([d.upto(0, 2), d.upto(0, 2)] for _ in shape[1:])]
    out_shape = tuple(s + a + b for s, (a, b) in zip(shape, pads, strict=True))
    if d.chance(0.3) and d.dtype != "int16":
        low = 0 if d.dtype == "uint8" else -128
        value = d.stored(np.array([d.upto(low, low + 255)]), *d.quant_of(x))
        return d.moved("PADV2", [x, d.indices(pads), value], out_shape, options="PadV2Options")
    return d.moved("PAD", [x, d.indices(pads)], out_shape, options="PadOptions")


def cut(d: LiteDrawing) -> str:
    x = d.pick(lambda s: 2 <= len(s) <= 4)
    shape = d.shapes[x]
    begin = [0, *(d.upto(0, s - 1) for s in shape[1:])]
    if d.chance(0.4):
        out_shape = (shape[0], *(d.upto(1, s - b) for s, b in zip(shape[1:], begin[1:], strict=True)))
        written = [-1 if b + m == s and d.chance(0.5) else m for s, b, m in zip(shape, begin, out_shape, strict=True)]
        return d.moved("SLICE", [x, d.indices(begin), d.indices(written)], out_shape, options="SliceOptions")
    starts, ends, steps, out = [0], [shape[0]], [1], [shape[0]]
    begins, closes, shrinks = 0, 0, 0
    for i, size in enumerate(shape[1:], start=1):
        step = d.one([1, 1, 2, -1])
        start = d.upto(0, size - 1)
        end = d.upto(start + 1, size) if step > 0 else d.upto(-1, start - 1)
        if end < 0 or d.chance(0.2):
            closes |= 1 << i
            end = 0
            found = range(size)[slice(start, None, step)]
        else:
            found = range(start, end, step)
        if d.chance(0.2):
            begins |= 1 << i
            found = range(size)[slice(None, None if closes >> i & 1 else end, step)]
        elif d.chance(0.15):
            shrinks |= 1 << i
            found = range(start, start + 1)
            step, closes = 1, closes & ~(1 << i)
            end = start + 1
        if not len(found):
            raise Skip
        starts.append(start - size if d.chance(0.2) and not shrinks >> i & 1 else start)
        ends.append(end)
        steps.append(step)
        if not shrinks >> i & 1:
            out.append(len(found))
    fields = {"beginMask": begins, "endMask": closes, "shrinkAxisMask": shrinks, "options": "StridedSliceOptions"}
    inputs = [x, *(d.indices(v) for v in (starts, ends, steps))]
    return d.moved("STRIDED_SLICE", inputs, tuple(out), **fields)


def split(d: LiteDrawing) -> str:
    x = d.pick(lambda s: 2 <= len(s) <= 4)
    shape = d.shapes[x]
    axis = d.upto(1, len(shape) - 1)
    size = shape[axis]
    written_axis = axis - len(shape) if d.chance(0.3) else axis
    if size in (2, 3) and d.chance(0.5):
        parts = [shape[:axis] + shape[axis + 1 :]] * size
        return d.moved("UNPACK", [x], parts, options="UnpackOptions", num=size, axis=written_axis)
    counts = [k for k in (2, 3) if size % k == 0]
    if not counts:
        raise Skip
    count = d.one(counts)
    part = (*shape[:axis], size // count, *shape[axis + 1 :])
    return d.moved("SPLIT", [d.indices(written_axis), x], [part] * count, options="SplitOptions", numSplits=count)


def join(d: LiteDrawing) -> str:
    x = d.pick(lambda s: 2 <= len(s) <= 4)
    shape = d.shapes[x]
    at = d.upto(1, len(shape) - 1)
    around = (shape[:at], shape[at + 1 :])
    quant = d.quant_of(x)
    free = d.dtype == "uint8"
    fits = [
        n for n, s in d.shapes.items()
        if n not in d.kinds and len(s) == len(shape) and (s[:at], s[at + 1 :]) == around
        and (free or d.quant_of(n) == quant)
    ]  # fmt: skip
    if d.chance(0.2) and len(shape) < 4:
        equal = [n for n in fits if d.shapes[n] == shape and d.quant_of(n) == quant]
        names = [d.one(equal) for _ in range(d.upto(2, 3))]
        axis = d.upto(1, len(shape))
        out_shape = (*shape[:axis], len(names), *shape[axis:])
        return d.moved("PACK", names, out_shape, options="PackOptions", valuesCount=len(names), axis=axis)
    names = [x, *(d.one(fits) for _ in range(d.upto(1, 3)))]
    total = sum(d.shapes[n][at] for n in names)
    out_shape = tuple(total if i == at else s for i, s in enumerate(shape))
    fields = {"axis": at - len(shape) if d.chance(0.3) else at, "fusedActivationFunction": 0}
    target = d.quant(d.scale(x)) if free and d.chance(0.5) else quant
    return d.lite("CONCATENATION", names, out_shape, target, options="ConcatenationOptions", **fields)


def resize(d: LiteDrawing) -> str:
    x = d.pick(lambda s: len(s) == 4)
    shape = d.shapes[x]
    sizes = [d.upto(1, 2 * s) for s in shape[1:3]]
    align, half = d.one([(False, False), (True, False), (False, True)])
    fields = {"alignCorners": align, "halfPixelCenters": half, "options": "ResizeNearestNeighborOptions"}
    out_shape = (shape[0], *sizes, shape[3])
    return d.moved("RESIZE_NEAREST_NEIGHBOR", [x, d.indices(sizes)], out_shape, **fields)


LAYERS = {view: 4.0, transpose: 1.5, pad: 2.0, cut: 2.5, split: 1.5, join: 4.0, resize: 1.0}
