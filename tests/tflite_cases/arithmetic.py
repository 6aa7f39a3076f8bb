"""TFLite operators that compute."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from tflite_models import Op, T, tflite_model

from tflite_cases.case import NONE, RELU, RELU6, RELU_N1, SAME, VALID, Case, rng_of, unary


def activations() -> Iterator[Case]:
    whole = (1, 256)
    for scale, zero in ((0.01, 3), (0.05, -7), (0.2, -128), (0.03, 127)):
        x = T(whole, scale=scale, zero=zero)
        yield unary("LOGISTIC", x, T(whole, scale=1 / 256, zero=-128))
        yield unary("TANH", x, T(whole, scale=1 / 128, zero=0))
        for y in (T(whole, scale=0.02, zero=-100), x, T(whole, scale=0.11, zero=5)):
            yield unary("RELU", x, y)
            yield unary("RELU6", x, y)
            yield unary("RELU_N1_TO_1", x, y)
            yield unary("ELU", x, y)
            yield unary("LEAKY_RELU", x, y, "LeakyReluOptions", alpha=0.17)
            yield unary("QUANTIZE", x, y, "QuantizeOptions")
        yield unary("HARD_SWISH", x, T(whole, scale=scale * 0.7, zero=-100))
        yield unary("HARD_SWISH", x, T(whole, scale=scale * 1.4, zero=4))
    u = T(whole, "uint8", scale=0.04, zero=120)
    yield unary("LOGISTIC", u, T(whole, "uint8", scale=1 / 256, zero=0))
    yield unary("RELU6", u, T(whole, "uint8", scale=0.03, zero=0))
    yield unary("HARD_SWISH", u, T(whole, "uint8", scale=0.05, zero=30))


def softmaxes() -> Iterator[Case]:
    for scale, count, beta in ((0.01, 10, 1.0), (0.2, 3, 1.0), (0.05, 40, 0.5), (0.8, 12, 1.0), (0.1, 1, 2.0)):
        x = T((2, count), scale=scale, zero=5)
        yield unary("SOFTMAX", x, T((2, count), scale=1 / 256, zero=-128), "SoftmaxOptions", beta=beta)


def linear() -> Iterator[Case]:
    def dense(name: str, x: tuple[int, ...], out: int, dtype: str = "int8", act: int = NONE, **extra: Any) -> Case:
        rng, inputs = rng_of(name), x[-1] if not extra.get("flat") else int(np.prod(x[1:]))
        sx, sw, sy = (np.float32(v) for v in rng.uniform((0.01, 0.002, 0.03), (0.1, 0.01, 0.1)))
        u, wide = dtype == "uint8", dtype == "int16"
        w = rng.integers(0, 256, (out, inputs)) if u else rng.integers(-127, 128, (out, inputs))
        y = (*x[:-1], out) if extra.get("keep") else (int(np.prod(x)) // inputs, out)
        scale_w: Any = sw * rng.uniform(0.3, 1, out).astype(np.float32) if extra.get("per_channel") else sw
        tensors = {
            "x": T(x, dtype, sx, 0 if wide else int(rng.integers(100, 150)) if u else int(rng.integers(-128, 128))),
            "w": T((out, inputs), "int8" if wide else dtype, scale_w, 131 if u else 0, data=w),
            "b": T((out,), "int64" if wide else "int32", sx * scale_w, data=rng.integers(-3000, 3000, out)),
            "y": T(y, dtype, sy, 0 if wide else 128 if u else int(rng.integers(-60, 60))),
        }
        inputs_ = ["x", "w", "b"] if extra.get("bias", True) else ["x", "w", ""]
        fields = {"fusedActivationFunction": act, "keepNumDims": bool(extra.get("keep"))}
        op = Op("FULLY_CONNECTED", inputs_, ["y"], "FullyConnectedOptions", fields, 5)
        return Case(name, tflite_model(tensors, [op], ["x"], ["y"]), (x,), dtype)

    yield dense("FULLY_CONNECTED", (1, 33), 7)
    yield dense("FULLY_CONNECTED_relu", (1, 16), 5, act=RELU)
    yield dense("FULLY_CONNECTED_relu_n1", (3, 16), 5, act=RELU_N1)
    yield dense("FULLY_CONNECTED_no_bias", (1, 9), 4, bias=False)
    yield dense("FULLY_CONNECTED_flat", (1, 2, 3, 4), 4, flat=True)
    yield dense("FULLY_CONNECTED_keep", (1, 5, 6), 4, keep=True)
    yield dense("FULLY_CONNECTED_per_channel", (1, 20), 6, per_channel=True)
    yield dense("FULLY_CONNECTED_uint8", (1, 20), 6, "uint8", RELU6)
    yield dense("FULLY_CONNECTED_int16", (2, 20), 6, "int16", RELU)

    def conv(
        name: str,
        x: tuple[int, ...],
        kernel: tuple[int, int, int],
        *,
        depthwise: bool = False,
        padding: int = SAME,
        stride: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
        act: int = NONE,
        dtype: str = "int8",
        groups: int = 1,
        per_channel: bool = True,
    ) -> Case:
        rng, (kh, kw, out), u, wide = rng_of(name), kernel, dtype == "uint8", dtype == "int16"
        shape = (1, kh, kw, out) if depthwise else (out, kh, kw, x[3] // groups)
        sx, sy = (np.float32(v) for v in rng.uniform((0.01, 0.03), (0.1, 0.1)))
        count = out if per_channel and not u else 1
        sw = rng.uniform(0.002, 0.01, count).astype(np.float32)
        w = rng.integers(0, 256, shape) if u else rng.integers(-127, 128, shape)
        spatial = []
        for i in range(2):
            span = (kernel[i] - 1) * dilation[i] + 1
            size = x[1 + i] if padding == SAME else x[1 + i] - span + 1
            spatial.append(-(-size // stride[i]))
        tensors = {
            "x": T(x, dtype, sx, 0 if wide else 121 if u else int(rng.integers(-128, 128))),
            "w": T(shape, "int8" if wide else dtype, sw, 117 if u else 0, 3 if depthwise else 0, w),
            "b": T((out,), "int64" if wide else "int32", sw * sx, data=rng.integers(-3000, 3000, out)),
            "y": T((x[0], *spatial, out), dtype, sy, 0 if wide else 128 if u else int(rng.integers(-60, 60))),
        }
        fields = {
            "padding": padding, "strideH": stride[0], "strideW": stride[1], "fusedActivationFunction": act,
            "dilationHFactor": dilation[0], "dilationWFactor": dilation[1],
        }  # fmt: skip
        if depthwise:
            fields["depthMultiplier"] = out // x[3]
        code = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        options = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
        model = tflite_model(tensors, [Op(code, ["x", "w", "b"], ["y"], options, fields, 3)], ["x"], ["y"])
        return Case(name, model, (x,), dtype)

    yield conv("CONV_2D", (1, 5, 6, 3), (3, 3, 4))
    yield conv("CONV_2D_1x1", (1, 4, 3, 5), (1, 1, 6), act=RELU)
    yield conv("CONV_2D_stride", (1, 7, 6, 3), (3, 2, 4), stride=(2, 2), act=RELU6)
    yield conv("CONV_2D_valid", (1, 7, 6, 2), (3, 3, 3), stride=(2, 1), padding=VALID)
    yield conv("CONV_2D_dilation", (1, 9, 9, 2), (3, 3, 3), dilation=(2, 3))
    yield conv("CONV_2D_per_tensor", (2, 5, 5, 3), (2, 2, 4), per_channel=False)
    yield conv("CONV_2D_grouped", (1, 5, 5, 4), (3, 3, 6), groups=2)
    yield conv("CONV_2D_uint8", (1, 5, 6, 3), (3, 3, 4), dtype="uint8", act=RELU)
    yield conv("CONV_2D_int16", (1, 5, 6, 3), (3, 3, 4), dtype="int16")
    yield conv("DEPTHWISE_int16", (1, 6, 6, 5), (3, 3, 5), depthwise=True, act=RELU, dtype="int16")
    yield conv("DEPTHWISE", (1, 6, 6, 5), (3, 3, 5), depthwise=True, act=RELU)
    yield conv("DEPTHWISE_stride", (1, 6, 7, 4), (3, 3, 4), depthwise=True, stride=(2, 2))
    yield conv("DEPTHWISE_multiplier", (1, 5, 5, 3), (3, 3, 6), depthwise=True, padding=VALID)
    yield conv("DEPTHWISE_dilation", (1, 8, 8, 3), (3, 3, 3), depthwise=True, dilation=(2, 2))
    yield conv("DEPTHWISE_uint8", (1, 6, 6, 5), (3, 3, 5), depthwise=True, dtype="uint8")


def pools() -> Iterator[Case]:
    def pool(
        code: str, x: tuple[int, ...], size: tuple[int, int], stride: tuple[int, int], padding: int, act: int,
        dtype: str = "int8",
    ) -> Case:  # fmt: skip
        spatial = (-(-(d if padding == SAME else d - k + 1) // s) for d, k, s in zip(x[1:3], size, stride, strict=True))
        zero = 0 if dtype == "int16" else 12
        tensors = {"x": T(x, dtype, 0.05, zero), "y": T((x[0], *spatial, x[3]), dtype, 0.05, zero)}
        fields = {
            "padding": padding, "strideH": stride[0], "strideW": stride[1], "fusedActivationFunction": act,
            "filterHeight": size[0], "filterWidth": size[1],
        }  # fmt: skip
        name = f"{code}_{size}_{stride}_{padding}_{act}_{dtype}".replace(" ", "")
        return Case(
            name, tflite_model(tensors, [Op(code, ["x"], ["y"], "Pool2DOptions", fields, 3)], ["x"], ["y"]), (x,), dtype
        )

    for code in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        yield pool(code, (1, 6, 6, 3), (2, 2), (2, 2), VALID, NONE)
        yield pool(code, (1, 5, 7, 2), (3, 3), (2, 2), SAME, RELU6)
        yield pool(code, (1, 5, 5, 2), (3, 2), (1, 2), SAME, RELU_N1)
        yield pool(code, (1, 25, 5, 4), (25, 5), (25, 5), VALID, NONE)
        yield pool(code, (2, 4, 4, 2), (2, 2), (2, 2), VALID, RELU, "uint8")
        yield pool(code, (1, 5, 5, 2), (3, 2), (1, 2), SAME, NONE, "int16")


def means() -> Iterator[Case]:
    def mean(x: tuple[int, ...], axes: tuple[int, ...], keep: bool, y: float = 0.06) -> Case:
        shape = tuple(1 if i in axes else d for i, d in enumerate(x) if keep or i not in axes)
        tensors = {
            "x": T(x, scale=0.05, zero=-9), "a": T((len(axes),), "int32", data=np.array(axes)),
            "y": T(shape, scale=y, zero=17),
        }  # fmt: skip
        op = Op("MEAN", ["x", "a"], ["y"], "ReducerOptions", {"keepDims": keep})
        return Case(f"MEAN_{x}_{axes}_{keep}".replace(" ", ""), tflite_model(tensors, [op], ["x"], ["y"]), (x,))

    yield mean((1, 5, 4, 3), (1, 2), True)
    yield mean((1, 5, 4, 3), (1, 2), False, 0.02)
    yield mean((1, 3, 7), (1,), False)
    yield mean((2, 3, 7), (2,), True, 0.05)
    yield mean((1, 8), (1,), False)


def binaries() -> Iterator[Case]:
    def binary(
        code: str, a: tuple[int, ...], b: tuple[int, ...], act: int = NONE, dtype: str = "int8", **more: Any
    ) -> Case:
        rng, u = rng_of(f"{code}{a}{b}{act}{dtype}"), dtype == "uint8"
        zero = (lambda: int(rng.integers(90, 160))) if u else (lambda: int(rng.integers(-60, 60)))
        if dtype == "int16":
            zero = lambda: 0  # noqa: E731
        sa, sb, sy = (float(v) for v in rng.uniform(0.02, 0.1, 3))
        data = rng.integers(0 if u else -128, 256 if u else 128, b) if more.get("constant") else None
        tensors = {
            "a": T(a, dtype, sa, zero()), "b": T(b, dtype, sb, zero(), data=data),
            "y": T(np.broadcast_shapes(a, b), dtype, sy if code != "MUL" else sy * 0.3, zero()),
        }  # fmt: skip
        options = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions"}[code]
        op = Op(code, ["a", "b"], ["y"], options, {"fusedActivationFunction": act})
        given = ["a"] if data is not None else ["a", "b"]
        name = f"{code}_{a}_{b}_{act}_{dtype}".replace(" ", "")
        return Case(name, tflite_model(tensors, [op], given, ["y"]), (a,) if data is not None else (a, b), dtype)

    for code in ("ADD", "SUB", "MUL"):
        yield binary(code, (1, 3, 4, 5), (1, 3, 4, 5))
        yield binary(code, (1, 3, 4, 5), (1, 1, 1, 5), RELU)
        yield binary(code, (1, 7), (1, 7), RELU6)
        yield binary(code, (1, 2, 3), (3,), RELU_N1, constant=True)
        yield binary(code, (1, 6), (1, 6), NONE, "uint8")
        yield binary(code, (1, 6, 2), (1, 6, 1), RELU, "int16")


def prelus() -> Iterator[Case]:
    for alpha in ((1, 1, 4), (1,)):
        slope = rng_of(str(alpha)).integers(-128, 128, alpha)
        tensors = {
            "x": T((1, 3, 3, 4), scale=0.05, zero=-9), "a": T(alpha, scale=0.004, zero=7, data=slope),
            "y": T((1, 3, 3, 4), scale=0.04, zero=11),
        }  # fmt: skip
        yield Case(
            f"PRELU_{alpha}",
            tflite_model(tensors, [Op("PRELU", ["x", "a"], ["y"], version=1)], ["x"], ["y"]),
            ((1, 3, 3, 4),),
        )


def extrema() -> Iterator[Case]:
    def extremum(
        code: str, a: tuple[int, ...], b: tuple[int, ...], dtype: str = "int8", constant: str = "", zero: int = 0
    ) -> Case:
        limits, rng = np.iinfo(dtype), rng_of(f"{code}{a}{b}{dtype}")
        shapes = {"a": a, "b": b}
        data = rng.integers(limits.min, limits.max + 1, shapes.get(constant, ())).astype(dtype)
        tensors = {n: T(s, dtype, 0.03, zero, data=data if n == constant else None) for n, s in shapes.items()}
        tensors["y"] = T(np.broadcast_shapes(a, b), dtype, 0.03, zero)
        op = Op(code, ["a", "b"], ["y"], "MaximumMinimumOptions", {}, 3 if dtype == "int16" else 2)
        given = [n for n in shapes if n != constant]
        name = f"{code}_{a}_{b}_{dtype}_{constant}".replace(" ", "")
        return Case(name, tflite_model(tensors, [op], given, ["y"]), tuple(shapes[n] for n in given), dtype)

    for code in ("MAXIMUM", "MINIMUM"):
        yield extremum(code, (1, 2, 3, 4), (1, 2, 3, 4), zero=-17)
        yield extremum(code, (1, 3, 4), (1, 1, 4), constant="b", zero=5)
        yield extremum(code, (1, 1), (1, 9), constant="a")
        yield extremum(code, (1, 7), (), "uint8", "b", 130)
        yield extremum(code, (1, 3, 1), (1, 1, 5), "uint8", zero=128)
        yield extremum(code, (1, 6), (6,), "int16", "b")
        yield extremum(code, (1, 2, 3), (1, 2, 1), "int16")
