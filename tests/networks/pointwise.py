"""Layers of one value or of two tensors with broadcasting, dense layers, reductions and softmax."""

from math import prod
from typing import Any

import numpy as np

from networks.drawing import Drawing, Skip
from pipeline.ops.activation import FUNCTIONS

DOMAINS = {
    "Acos": (-0.95, 0.95), "Asin": (-0.95, 0.95), "Atanh": (-0.9, 0.9), "Acosh": (1.05, 6.0), "Tan": (-1.2, 1.2),
    "Log": (0.1, 6.0), "Sqrt": (0.01, 9.0), "Reciprocal": (0.3, 4.0), "Exp": (-4.0, 2.0), "Cosh": (-2.0, 2.0),
    "Sinh": (-2.0, 2.0),
}  # fmt: skip
USUAL = (
    "LeakyRelu",
    "HardSigmoid",
    "HardSwish",
    "Sigmoid",
    "Tanh",
    "Elu",
    "Softplus",
    "Abs",
    "Neg",
    "Gelu",
    "Erf",
    "Swish",
)


def activation(d: Drawing) -> str:
    op = d.one(USUAL if d.chance(0.5) else sorted(FUNCTIONS))
    x = d.pick()
    if op in DOMAINS:
        x = d.clipped(x, *DOMAINS[op])
    attributes: dict[str, Any] = {}
    if op == "Gelu":
        attributes = {"approximate": d.one(["none", "tanh"])}
    else:
        for name in FUNCTIONS[op][0]:
            if d.chance(0.5):
                attributes[name] = d.real(0.1, 1.5) if name != "alpha" or op != "LeakyRelu" else d.real(-0.5, 1.5)
    return d.emit(op, [x], d.shapes[x], **attributes)


def relu(d: Drawing) -> str:
    x = d.pick()
    return d.emit("Relu", [x], d.shapes[x])


def clip(d: Drawing) -> str:
    """With both bounds or one; constant bounds may be zero, equal, or outside everything."""
    x = d.pick()
    low, high = sorted((d.real(-3, 3), d.real(-3, 3)))
    low, high = d.one([(low, high), (low, high), (0.0, 6.0), (-1.0, 1.0), (0.0, 1.0), (-1000.0, 1000.0)])
    if d.opset < 11:
        given = {k: v for k, v in (("min", low), ("max", high)) if d.chance(0.8)}
        return d.emit("Clip", [x], d.shapes[x], **given)
    inputs = [x, d.constant(low) if d.chance(0.8) else "", d.constant(high) if d.chance(0.8) else ""]
    while inputs[-1] == "":
        inputs.pop()
    return d.emit("Clip", inputs, d.shapes[x])


COMPARE = ("Greater", "Less", "Equal", "GreaterOrEqual", "LessOrEqual")


def truth(d: Drawing, x: str, depth: int = 1) -> str:
    """A comparison of x with a constant, or of several, joined; a bool tensor that no other layer picks."""
    shape = d.shapes[x]
    kind = d.one(["compare", "compare", "Not", "And", "Or", "Xor"]) if depth else "compare"
    if kind == "compare":
        pair = [x, d.constant(d.real(-1, 1))]
        output = d.emit(d.one(COMPARE), pair if d.chance(0.7) else pair[::-1], shape)
    else:
        output = d.emit(kind, [truth(d, x, depth - 1) for _ in range(1 if kind == "Not" else 2)], shape)
    d.kinds[output] = "bool"
    return output


def choice(d: Drawing) -> str:
    """Where, as exporters write what ONNX has no operator for: by a truth about x, x or a function of it."""
    if d.opset < 16:
        raise Skip
    x = d.pick()
    condition = truth(d, x, d.upto(0, 2))
    op = d.one(["Sigmoid", "Tanh", "Relu", "Neg", "Abs"])
    other = d.constant(d.real(-1, 1)) if d.chance(0.4) else d.emit(op, [x], d.shapes[x])
    pair = [x, other] if d.chance(0.5) else [other, x]
    return d.emit("Where", [condition, *pair], d.shapes[x])


def power(d: Drawing) -> str:
    x = d.pick()
    if d.chance(0.3):
        return d.emit("Pow", [d.constant(d.real(0.5, 2.0)), d.clipped(x, -2.0, 2.0)], d.shapes[x])
    exponent = d.one([2.0, 3.0, 0.5, -1.0, 1.0, 0.0, 1.5])
    x = d.clipped(x, *((0.2, 4.0) if exponent not in (2.0, 3.0, 1.0, 0.0) else (-3.0, 3.0)))
    return d.emit("Pow", [x, d.constant(exponent)], d.shapes[x])


def operand(d: Drawing, x: str) -> np.ndarray:
    """A constant that broadcasts to x: a scalar, one value per channel or feature, a plane, or everything."""
    shape = d.shapes[x]
    kind = d.upto(0, 4)
    if kind == 0 or not shape:
        operand_shape = d.one([(), (1,)]) if shape else ()
    elif kind == 1 and len(shape) > 1:
        operand_shape = (shape[1], *(1 for _ in shape[2:]))
    elif kind == 2:
        operand_shape = (shape[-1],)
    elif kind == 3:
        operand_shape = tuple(s if d.chance(0.5) else 1 for s in shape)
        operand_shape = operand_shape[d.upto(0, len(operand_shape) - 1) :] if d.chance(0.3) else operand_shape
    else:
        operand_shape = shape
    return d.rng.normal(0, 1, operand_shape)


def binary(d: Drawing) -> str:
    op = d.one(["Add", "Add", "Add", "Sub", "Mul", "Mul", "Div", "Max", "Min"])
    x = d.pick()
    shape = d.shapes[x]
    broadcast = d.opset >= 8 or op in ("Add", "Sub", "Mul", "Div")
    if d.chance(0.5):
        value = operand(d, x)
        if not broadcast and value.shape != shape:
            raise Skip
        if op == "Div" and d.chance(0.7):
            value = np.where(value < 0, -1, 1) * (0.3 + np.abs(value))
            return d.emit(op, [x, d.constant(value)], shape)
        if op == "Div":
            return d.emit(op, [d.constant(value), d.clipped(x, 0.3, 4.0)], shape)
        pair = [x, d.constant(value)]
    else:
        other = d.same_shape(x)
        if not broadcast and d.shapes[other] != shape:
            raise Skip
        if op == "Div":
            other = d.clipped(other, 0.3, 4.0)
        pair = [x, other]
    if op != "Div" and d.chance(0.4):
        pair.reverse()
    return d.emit(op, pair, shape)


def many(d: Drawing) -> str:
    """Sum, Mean, Max and Min of one to four tensors."""
    x = d.pick()
    names = [x]
    for _ in range(d.upto(0, 3)):
        names.append(d.same_shape(x) if d.chance(0.7) else d.constant(d.rng.normal(0, 1, d.shapes[x])))
    if d.opset < 8 and any(d.shapes.get(n, d.shapes[x]) != d.shapes[x] for n in names):
        raise Skip
    return d.emit(d.one(["Sum", "Mean", "Max", "Min"]), [str(n) for n in d.rng.permutation(names)], d.shapes[x])


def gemm(d: Drawing) -> str:
    x = d.ranked(2)
    rows, inputs = d.shapes[x]
    out = d.upto(1, 13)
    fields: dict[str, Any] = {}
    if d.chance(0.6):
        fields["transB"] = 1
    if d.chance(0.2):
        fields["alpha"] = d.real(0.3, 2)
    if d.chance(0.2):
        fields["beta"] = d.real(0.3, 2)
    w = d.weights((out, inputs) if "transB" in fields else (inputs, out), inputs, 0 if "transB" in fields else 1)
    names = [x, w]
    if d.opset < 11 or d.chance(0.8):
        names.append(d.bias(out) if d.chance(0.9) else d.constant(d.rng.normal(0, 1, d.one([(1, out), (1,)]))))
    return d.emit("Gemm", names, (rows, out), **fields)


def matmul(d: Drawing) -> str:
    x = d.pick(lambda s: len(s) >= 2)
    shape = d.shapes[x]
    out = d.upto(1, 13)
    if d.chance(0.15):
        y = d.constant(d.rng.normal(0, 1 / shape[-2] ** 0.5, (out, shape[-2])))
        return d.emit("MatMul", [y, x], (*shape[:-2], out, shape[-1]))
    return d.emit("MatMul", [x, d.weights((shape[-1], out), shape[-1], 1)], (*shape[:-1], out))


def reduction(d: Drawing) -> str:
    op = d.one(
        ["ReduceMean"] * 4
        + ["ReduceMax", "ReduceMin", "ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum"]
    )
    x = d.pick(lambda s: len(s) >= 1)
    if op == "ReduceLogSum":
        x = d.clipped(x, 0.1, 4.0)
    shape = d.shapes[x]
    rank = len(shape)
    first = d.upto(0, rank - 1)
    axes = list(range(first, d.upto(first, rank - 1) + 1))
    if d.chance(0.2):
        axes = [a for a in range(rank) if d.chance(0.5)] or [0]
    if rank == 4 and d.chance(0.4):
        axes = [2, 3]
    keep = int(d.chance(0.6))
    out = tuple(1 if i in axes else s for i, s in enumerate(shape) if keep or i not in axes)
    written_axes = [a - rank if d.opset >= 13 and d.chance(0.3) else a for a in axes]
    as_input = d.opset >= 18 or (op == "ReduceSum" and d.opset >= 13)
    fields: dict[str, Any] = {} if keep and d.chance(0.3) else {"keepdims": keep}
    if len(axes) == rank and d.chance(0.3):
        return d.emit(op, [x], out, **fields)
    if as_input:
        return d.emit(op, [x, d.ints(written_axes)], out, **fields)
    return d.emit(op, [x], out, axes=written_axes, **fields)


def softmax(d: Drawing) -> str:
    x = d.pick(lambda s: len(s) >= 2)
    fields = {} if d.chance(0.3) else {"axis": d.axis(len(d.shapes[x]), 1)}
    return d.emit("Softmax", [x], d.shapes[x], **fields)


def arg(d: Drawing) -> str:
    x = d.pick(lambda s: len(s) >= 2)
    shape = d.shapes[x]
    axis = d.axis(len(shape), 1)
    keep = int(d.chance(0.5))
    out = tuple(1 if i == axis % len(shape) else s for i, s in enumerate(shape) if keep or i != axis % len(shape))
    fields = {"select_last_index": 1} if d.opset >= 12 and d.chance(0.3) else {}
    y = d.emit(d.one(["ArgMax", "ArgMin"]), [x], out, axis=axis, keepdims=keep, **fields)
    d.kinds[y] = "int64"
    return y


def cast(d: Drawing) -> str:
    x = d.pick()
    if d.opset >= 15 and d.chance(0.4):
        return d.emit("CastLike", [x, d.constant(1.0)], d.shapes[x])
    return d.emit("Cast", [x], d.shapes[x], to=1)


def elements(d: Drawing, x: str) -> int:
    return prod(d.shapes[x])


LAYERS = {
    activation: 8.0,
    relu: 6.0,
    clip: 4.0,
    power: 0.7,
    choice: 1.0,
    binary: 10.0,
    many: 2.0,
    gemm: 6.0,
    matmul: 4.0,
    reduction: 3.0,
    softmax: 1.5,
    arg: 0.4,
    cast: 0.4,
}
