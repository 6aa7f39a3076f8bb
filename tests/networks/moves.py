"""Layers that move values: views, slices, joins, paddings and tables of indices."""

from math import prod
from typing import Any

import numpy as np

from networks.drawing import Drawing, Skip


def reshape(d: Drawing) -> str:
    x = d.pick()
    shape = d.shapes[x]
    size = prod(shape)
    kind = d.upto(0, 3)
    if kind == 0:
        factors = [f for f in range(1, 14) if size % f == 0]
        a = d.one(factors)
        b = d.one([f for f in factors if size // a % f == 0])
        out = d.one([(1, a, size // a), (1, a, b, size // a // b), (1, size), (a, size // a), (1, b, size // b)])
        return d.emit("Reshape", [x, d.ints(minus_one(d, out))], out)
    if kind == 1:
        axis = d.upto(1, len(shape)) if shape else 0
        written = axis - len(shape) if d.opset >= 11 and axis < len(shape) and d.chance(0.5) else axis
        fields = {} if axis == 1 and d.chance(0.5) else {"axis": written}
        return d.emit("Flatten", [x], (prod(shape[:axis]), prod(shape[axis:])), **fields)
    if kind == 2:
        ones = [i for i, s in enumerate(shape) if s == 1 and (i or d.chance(0.1))]
        if not ones:
            raise Skip
        axes = [a for a in ones if d.chance(0.6)] or ones[:1]
        out = tuple(s for i, s in enumerate(shape) if i not in axes)
        written = [a - len(shape) if d.opset >= 11 and d.chance(0.3) else a for a in axes]
        if d.opset >= 13:
            return d.emit("Squeeze", [x, d.ints(written)], out)
        return d.emit("Squeeze", [x], out, axes=written)
    if len(shape) > 4:
        raise Skip
    at = d.upto(0 if d.chance(0.1) else 1, len(shape)) if shape else 0
    out = (*shape[:at], 1, *shape[at:])
    written = [at - len(out) if d.opset >= 11 and d.chance(0.3) else at]
    if d.opset >= 13:
        return d.emit("Unsqueeze", [x, d.ints(written)], out)
    return d.emit("Unsqueeze", [x], out, axes=written)


def minus_one(d: Drawing, shape: tuple[int, ...]) -> list[int]:
    written = list(shape)
    if d.chance(0.5):
        written[d.upto(0, len(written) - 1)] = -1
    return written


def nothing(d: Drawing) -> str:
    x = d.pick()
    if d.chance(0.5):
        return d.emit("Identity", [x], d.shapes[x])
    if d.opset < 12:
        return d.emit("Dropout", [x], d.shapes[x], ratio=0.4)
    return d.emit("Dropout", [x, d.constant(0.4)], d.shapes[x])


def transpose(d: Drawing) -> str:
    x = d.pick(lambda s: len(s) >= 2)
    shape = d.shapes[x]
    perm = [0, *(int(i) + 1 for i in d.rng.permutation(len(shape) - 1))]
    if d.chance(0.1):
        perm = [int(i) for i in d.rng.permutation(len(shape))]
    if d.chance(0.05):
        return d.emit("Transpose", [x], shape[::-1])
    return d.emit("Transpose", [x], tuple(shape[p] for p in perm), perm=perm)


def concat(d: Drawing) -> str:
    x = d.pick(lambda s: len(s) >= 2)
    shape = d.shapes[x]
    axis = d.axis(len(shape), 0 if d.chance(0.05) else 1)
    at = axis % len(shape)
    around = (shape[:at], shape[at + 1 :])
    same = (n for n, s in d.shapes.items() if len(s) == len(shape) and (s[:at], s[at + 1 :]) == around)
    fits = [n for n in same if n not in d.kinds]
    names = [x] + [d.one(fits) for _ in range(d.upto(1, 3))]
    if d.chance(0.15):
        own = tuple(d.upto(1, 3) if i == at else s for i, s in enumerate(shape))
        names.insert(d.upto(0, len(names)), d.constant(d.rng.normal(0, 1, own)))
    total = sum((d.shapes[n] if n in d.shapes else d.constants[n].shape)[at] for n in names)
    return d.emit("Concat", names, tuple(total if i == at else s for i, s in enumerate(shape)), axis=axis)


def slice_(d: Drawing) -> str:
    x = d.pick(lambda s: len(s) >= 1 and max(s) > 1)
    shape = d.shapes[x]
    axes = [i for i, s in enumerate(shape) if s > 1 and d.chance(0.5)]
    if not axes:
        raise Skip
    starts, ends, steps, out = [], [], [], list(shape)
    for axis in axes:
        size = shape[axis]
        step = d.one([1, 1, 1, 2, 3, -1, -2]) if d.opset >= 10 else 1
        start = d.upto(0, size - 1)
        end = d.upto(start + 1, size) if step > 0 else d.upto(-1, start - 1)
        out[axis] = len(range(start, end, step))
        if end < 0:
            end = d.one([-(2**31), -size - 1])
        elif end == size and d.chance(0.5):
            end = 2**31 - 1
        elif d.chance(0.3) and end < size:
            end -= size
        starts.append(start - size if d.chance(0.3) else start)
        ends.append(end)
        steps.append(step)
    if d.opset < 10:
        return d.emit("Slice", [x], tuple(out), starts=starts, ends=ends, axes=axes)
    written_axes = [a - len(shape) if d.opset >= 11 and d.chance(0.3) else a for a in axes]
    names = [x, d.ints(starts), d.ints(ends), d.ints(written_axes)]
    if any(s != 1 for s in steps) or d.chance(0.3):
        names.append(d.ints(steps))
    return d.emit("Slice", names, tuple(out))


def split(d: Drawing) -> str:
    x = d.pick(lambda s: len(s) >= 2 and max(s[1:]) > 1)
    shape = d.shapes[x]
    axis = d.axis(len(shape), 1)
    at = axis % len(shape)
    size = shape[at]
    if size < 2:
        raise Skip
    equal = [k for k in (2, 3) if size % k == 0]
    fields: dict[str, Any] = {"axis": axis}
    names = [x]
    if equal and d.chance(0.4):
        count = d.one(equal)
        parts = [size // count] * count
        if d.opset >= 18:
            fields["num_outputs"] = count
    else:
        first = d.upto(1, size - 1)
        parts = [first, size - first]
        if d.opset >= 13:
            names.append(d.ints(parts))
        else:
            fields["split"] = parts
    return d.emit("Split", names, [tuple(p if i == at else s for i, s in enumerate(shape)) for p in parts], **fields)


def pad(d: Drawing) -> str:
    x = d.pick(lambda s: len(s) >= 2)
    shape = d.shapes[x]
    mode = d.one(["constant", "constant", "constant", "reflect", "edge"])
    first = 1 if d.chance(0.2) else 2
    limit = [0 if i < first or d.chance(0.3) else 2 for i in range(len(shape))]
    if len(shape) == 2:
        limit[1] = 2
    if mode == "reflect":
        limit = [min(m, s - 1) for m, s in zip(limit, shape, strict=True)]
    before, behind = ([d.upto(0, m) for m in limit] for _ in range(2))
    out = tuple(s + a + b for s, a, b in zip(shape, before, behind, strict=True))
    fields = {} if mode == "constant" and d.chance(0.5) else {"mode": mode}
    value = d.one([0.0, 0.0, d.real(-2, 2)])
    if d.opset < 11:
        return d.emit("Pad", [x], out, pads=before + behind, **fields, **({"value": value} if value else {}))
    names = [x, d.ints(before + behind)]
    if mode == "constant" and (value or d.chance(0.3)):
        names.append(d.constant(value))
    return d.emit("Pad", names, out, **fields)


def gather(d: Drawing) -> str:
    x = d.pick(lambda s: len(s) >= 2)
    shape = d.shapes[x]
    axis = d.axis(len(shape), 1)
    size = shape[axis % len(shape)]
    least = -size if d.opset >= 11 else 0
    indices = d.rng.integers(least, size, d.one([(), (d.upto(1, 4),), (2, 2)]))
    at = axis % len(shape)
    out = (*shape[:at], *indices.shape, *shape[at + 1 :])
    return d.emit("Gather", [x, d.constant(indices, "int64")], out, axis=axis)


TABLES = ("Expand", "Tile", "Trilu", "CenterCropPad", "GatherElements", "GatherND", "ReverseSequence", "Compress")


def table(d: Drawing) -> str:
    """The operators that become a table of indices."""
    op = d.one(
        ["Expand", "Tile", "Trilu", "CenterCropPad", "GatherElements", "GatherND", "ReverseSequence", "Compress"]
    )
    x = d.pick(lambda s: len(s) in (2, 3, 4))
    shape = d.shapes[x]
    rank = len(shape)
    if op == "Expand":
        ones = [i for i in range(1, rank) if shape[i] == 1]
        if not ones:
            raise Skip
        at = d.one(ones)
        out = tuple(d.upto(2, 4) if i == at else s for i, s in enumerate(shape))
        written_shape = [s if i == at or d.chance(0.5) else 1 for i, s in enumerate(out)]
        return d.emit(op, [x, d.ints(written_shape)], out)
    if op == "Tile":
        repeats = [1, *(d.one([1, 1, 2, 3]) for _ in shape[1:])]
        return d.emit(op, [x, d.ints(repeats)], tuple(s * r for s, r in zip(shape, repeats, strict=True)))
    if op == "Trilu":
        return d.emit(op, [x, d.ints(d.upto(-2, 2))], shape, upper=d.upto(0, 1))
    if op == "CenterCropPad":
        axes = list(range(1, rank))
        sizes = [max(1, shape[a] + d.upto(-3, 3)) for a in axes]
        return d.emit(op, [x, d.ints(sizes)], (shape[0], *sizes), axes=axes)
    if op == "GatherElements":
        axis = d.upto(1, rank - 1)
        indices = d.rng.integers(0, shape[axis], (*shape[:axis], d.upto(1, 4), *shape[axis + 1 :]))
        return d.emit(op, [x, d.constant(indices, "int64")], indices.shape, axis=axis)
    if op == "GatherND":
        indices = np.stack([d.rng.integers(0, s, (1, d.upto(1, 4))) for s in shape[:2]][:1], axis=-1)
        wide = np.concatenate([indices, d.rng.integers(0, shape[1], indices.shape)], axis=-1)
        return d.emit(op, [x, d.constant(wide, "int64")], (*wide.shape[:-1], *shape[2:]))
    if op == "ReverseSequence":
        lengths = [d.upto(1, shape[0]) for _ in range(shape[1])]
        return d.emit(op, [x, d.ints(lengths)], shape, time_axis=0, batch_axis=1)
    axis = d.upto(1, rank - 1)
    condition = d.rng.random(shape[axis]) < 0.6
    condition[d.upto(0, len(condition) - 1)] = True
    out = tuple(int(condition.sum()) if i == axis else s for i, s in enumerate(shape))
    return d.emit(op, [x, d.constant(condition, "bool")], out, axis=axis)


LAYERS = {
    reshape: 5.0,
    nothing: 0.7,
    transpose: 2.5,
    concat: 4.0,
    slice_: 2.0,
    split: 1.5,
    pad: 2.0,
    gather: 1.0,
    table: 1.5,
}
