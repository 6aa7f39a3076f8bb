"""TFLite models of one operator whose scales lie at ties: which type a kernel multiplies scales in changes outputs.

`y` is a scale at which some sum or product is n + 1/2 of it, as near as float32 says it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from tflite_models import Op, T, tflite_model

from pipeline.graph.tensor import Array

Made = tuple[bytes, list[Array]]
Maker = Callable[[np.random.Generator, str], Made]


def limits(dtype: str) -> tuple[int, int]:
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def zero(rng: np.random.Generator, dtype: str) -> int:
    return 0 if dtype == "int16" else int(rng.integers(limits(dtype)[0], limits(dtype)[1] + 1))


def whole(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> Array:
    return rng.integers(limits(dtype)[0], limits(dtype)[1] + 1, shape).astype(dtype)


def each(dtype: str) -> Array:
    """Every value once, as 16 bits' share of them."""
    return np.arange(256).astype(np.uint8).view(dtype) if dtype != "int16" else np.arange(-32768, 32768, 257, np.int16)


def tie(rng: np.random.Generator, step: float, most: int) -> np.float32:
    """An output scale at which an odd multiple of `step`, at most about 2 * most, is n + 1/2."""
    return np.float32(step * (2 * int(rng.integers(1, most)) + 1) / (int(rng.integers(1, 100)) + 0.5))


def unary(code: str, options: str | None = None, output: tuple[float, int] | None = None) -> Maker:
    def make(rng: np.random.Generator, dtype: str) -> Made:
        scale, alpha = np.float32(rng.uniform(0.001, 0.2)), np.float32(rng.uniform(0.01, 0.9))
        fields = {"alpha": float(alpha)} if code == "LEAKY_RELU" else {}
        step = float(scale) * float(alpha if fields and rng.random() < 0.5 else 1)
        y = (tie(rng, step, 60), zero(rng, dtype)) if output is None else (output[0], output[1] + limits(dtype)[0])
        x = each(dtype)
        tensors = {"x": T((1, x.size), dtype, scale, zero(rng, dtype)), "y": T((1, x.size), dtype, *y)}
        return tflite_model(tensors, [Op(code, ["x"], ["y"], options, fields)], ["x"], ["y"]), [x.reshape(1, 1, -1)]

    return make


def binary(code: str, options: str) -> Maker:
    def make(rng: np.random.Generator, dtype: str) -> Made:
        a, b = np.float32(rng.uniform(0.001, 0.2, 2))
        most = 1 << 24 if dtype == "int16" else 2000
        y = tie(rng, float(a) * float(b), most) if code == "MUL" else tie(rng, float(a), 100)
        first, second = (v.reshape(1, 1, -1) for v in np.meshgrid(each(dtype), each(dtype)))
        shape = first.shape[1:]
        tensors = {n: T(shape, dtype, s, zero(rng, dtype)) for n, s in (("a", a), ("b", b), ("y", y))}
        op = Op(code, ["a", "b"], ["y"], options, {"fusedActivationFunction": int(rng.integers(0, 4))})
        return tflite_model(tensors, [op], ["a", "b"], ["y"]), [first, second]

    return make


def prelu(rng: np.random.Generator, dtype: str) -> Made:
    x, slope = np.float32(rng.uniform(0.001, 0.1, 2))
    y = tie(rng, float(x) * float(slope), 2000) if rng.random() < 0.5 else tie(rng, float(x), 100)
    slopes = whole(rng, dtype, (1, 1, 16))
    tensors = {"x": T((1, 256, 16), dtype, x, zero(rng, dtype)), "y": T((1, 256, 16), dtype, y, zero(rng, dtype))}
    tensors["a"] = T(slopes.shape, dtype, slope, zero(rng, dtype), data=slopes)
    given = np.repeat(each(dtype)[:, None], 16, 1).reshape(1, 1, 256, 16)
    return tflite_model(tensors, [Op("PRELU", ["x", "a"], ["y"], version=1)], ["x"], ["y"]), [given]


def softmax(rng: np.random.Generator, dtype: str) -> Made:
    scale, beta = 2.0 ** rng.uniform(-10, 0), float(np.float32(rng.uniform(0.2, 2)))
    tensors = {"x": T((8, 12), dtype, scale, zero(rng, dtype)), "y": T((8, 12), dtype, 1 / 256, limits(dtype)[0])}
    model = tflite_model(tensors, [Op("SOFTMAX", ["x"], ["y"], "SoftmaxOptions", {"beta": beta})], ["x"], ["y"])
    return model, [whole(rng, dtype, (20, 8, 12))]


def mean(rng: np.random.Generator, dtype: str) -> Made:
    count, scale = int(rng.integers(2, 40)), np.float32(rng.uniform(0.001, 0.2))
    tensors = {
        "x": T((1, count, 64), dtype, scale, zero(rng, dtype)), "a": T((1,), "int32", data=np.array([1])),
        "y": T((1, 64), dtype, tie(rng, float(scale) / count, 60 * count), zero(rng, dtype)),
    }  # fmt: skip
    model = tflite_model(tensors, [Op("MEAN", ["x", "a"], ["y"], "ReducerOptions", {"keepDims": False})], ["x"], ["y"])
    return model, [whole(rng, dtype, (30, 1, count, 64))]


def average(rng: np.random.Generator, dtype: str) -> Made:
    """A clamp bound at a tie; the average itself has no scale."""
    scale, at = np.float32(6 / (int(rng.integers(1, 250)) + 0.5)), zero(rng, dtype)
    fields = {
        "padding": 1, "strideH": 1, "strideW": 1, "filterHeight": 2, "filterWidth": 2,
        "fusedActivationFunction": int(rng.integers(0, 4)),
    }  # fmt: skip
    tensors = {"x": T((1, 4, 4, 8), dtype, scale, at), "y": T((1, 3, 3, 8), dtype, scale, at)}
    op = Op("AVERAGE_POOL_2D", ["x"], ["y"], "Pool2DOptions", fields, 3)
    return tflite_model(tensors, [op], ["x"], ["y"]), [whole(rng, dtype, (40, 1, 4, 4, 8))]


def concatenation(rng: np.random.Generator, dtype: str) -> Made:
    """Only uint8 may have other scales at its inputs than at its output."""
    a, b = np.float32(rng.uniform(0.001, 0.2, 2))
    y, zeros = tie(rng, float(a), 100), [zero(rng, dtype) for _ in range(3)]
    if dtype != "uint8":
        a = b = y
        zeros = zeros[:1] * 3
    x = each(dtype)
    sizes = {"a": x.size, "b": x.size, "y": 2 * x.size}
    tensors = {n: T((1, sizes[n]), dtype, s, z) for n, s, z in zip("aby", (a, b, y), zeros, strict=True)}
    op = Op("CONCATENATION", ["a", "b"], ["y"], "ConcatenationOptions", {"axis": 1})
    return tflite_model(tensors, [op], ["a", "b"], ["y"]), [x.reshape(1, 1, -1)] * 2


def linear(code: str, options: str, *, per_channel: bool = False) -> Maker:
    """Biases that are odd multiples of one sum whose output is n + 1/2; the inputs of some samples are all zero."""

    def make(rng: np.random.Generator, dtype: str) -> Made:
        out, kind = 24, "uint8" if dtype == "uint8" else "int8"
        x, y = np.float32(rng.uniform(0.001, 0.1, 2))
        count = out if per_channel else 1
        # Sums above 2**24 tell float32 products from exact ones where the kernel rounds twice.
        peak = (
            rng.integers(1 << 8, 1 << 20, count) if code == "FULLY_CONNECTED" else rng.integers(1 << 24, 1 << 27, count)
        )
        sums = 2 * peak + 1
        w = np.float32(float(y) * (rng.integers(1, 100, count) + 0.5) / sums / float(x))
        bias = np.broadcast_to(sums, out) * (1 if per_channel else 2 * rng.integers(-2, 3, out) + 1)
        if rng.random() < 0.3:  # exact ties, of negative sums too
            x, y, w = np.float32(1 / 16), np.float32(1 / 64), np.full(count, 2.0**-12, np.float32)
            bias = 512 * (2 * rng.integers(-100, 100, out) + 1)
        dense, turned = code == "FULLY_CONNECTED", code == "TRANSPOSE_CONV"
        depth = out if code == "DEPTHWISE_CONV_2D" else 3
        given, out_shape = ((1, 3), (1, out)) if dense else ((1, 2, 2, depth), (1, 2, 2, out))
        shape = (out, 3) if dense else (1, 1, 1, out) if code == "DEPTHWISE_CONV_2D" else (out, 1, 1, 3)
        kernel = whole(rng, kind, shape)
        tensors = {
            "x": T(given, dtype, x, zero(rng, dtype)), "y": T(out_shape, dtype, y, zero(rng, dtype)),
            "w": T(shape, kind, w, zero(rng, kind) if kind == "uint8" else 0, shape.index(out), kernel),
            "b": T((out,), "int64" if dtype == "int16" else "int32", w * x, data=bias),
        }  # fmt: skip
        fields: dict[str, Any] = {} if dense else {"strideH": 1, "strideW": 1}
        if not dense and not turned:
            fields |= {"dilationHFactor": 1, "dilationWFactor": 1}
        if code == "DEPTHWISE_CONV_2D":
            fields["depthMultiplier"] = 1
        if not turned:
            fields["fusedActivationFunction"] = int(rng.integers(0, 4))
        if turned:
            tensors["s"] = T((4,), "int32", data=np.array(out_shape))
        inputs = ["s", "w", "x", "b"] if turned else ["x", "w", "b"]
        samples = whole(rng, dtype, (20, *given))
        samples[:10] = tensors["x"].zero
        return tflite_model(tensors, [Op(code, inputs, ["y"], options, fields, 3)], ["x"], ["y"]), [samples]

    return make


BYTES, ALL = ("int8", "uint8"), ("int8", "uint8", "int16")
LINEAR = {
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
}
KINDS: Mapping[str, tuple[Maker, tuple[str, ...]]] = {
    **{c: (unary(c), BYTES) for c in ("RELU", "RELU6", "RELU_N1_TO_1", "HARD_SWISH")},
    "ELU": (unary("ELU"), ("int8",)),
    "QUANTIZE": (unary("QUANTIZE", "QuantizeOptions"), BYTES),
    "LEAKY_RELU": (unary("LEAKY_RELU", "LeakyReluOptions"), BYTES),
    "LOGISTIC": (unary("LOGISTIC", None, (1 / 256, 0)), BYTES),
    "TANH": (unary("TANH", None, (1 / 128, 128)), BYTES),
    "PRELU": (prelu, BYTES),
    "SOFTMAX": (softmax, BYTES),
    **{c: (binary(c, o), ALL) for c, o in (("ADD", "AddOptions"), ("SUB", "SubOptions"), ("MUL", "MulOptions"))},
    "MEAN": (mean, ALL),
    "AVERAGE_POOL_2D": (average, ALL),
    "CONCATENATION": (concatenation, ALL),
    **{c: (linear(c, o), ALL) for c, o in LINEAR.items()},
    **{f"{c}_per_channel": (linear(c, o, per_channel=True), ("int8", "int16")) for c, o in LINEAR.items()},
}


def models(kind: str, dtype: str, count: int) -> list[Made]:
    maker = KINDS[kind][0]
    return [maker(np.random.default_rng([seed, *kind.encode()]), dtype) for seed in range(count)]
