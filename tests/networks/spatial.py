"""Layers over windows, and those that know channels: drawn with any stride, padding, dilation and group count."""

from math import ceil, floor, gcd
from typing import Any

import numpy as np

from networks.drawing import Drawing, Skip
from pipeline.graph.tensor import Shape


def window(d: Drawing, size: int, largest: int, strided: bool = True) -> tuple[int, int, int, int, int]:
    """(kernel, stride, dilation, pad before, pad behind) that fit an axis of `size`; each pad below the kernel."""
    kernel = d.upto(1, largest)
    dilation = d.one([1, 1, 1, 2, 3]) if kernel > 1 else 1
    reach = (kernel - 1) * dilation + 1
    before, behind = d.upto(0, min(reach - 1, 3)), d.upto(0, min(reach - 1, 3))
    if d.chance(0.4):
        before = behind = (reach - 1) // 2
    if d.chance(0.3):
        before = behind = 0
    if reach > size + before + behind:
        kernel = dilation = 1
        before = behind = 0
    return kernel, d.one([1, 1, 2, 3]) if strided else 1, dilation, before, behind


def windows(d: Drawing, shape: Shape, largest: int = 4) -> dict[str, Any]:
    """Attributes of a window over the spatial axes of `shape`, and `out`, the sizes of its output."""
    found = [window(d, s, largest) for s in shape[2:]]
    kernel, strides, dilations, before, behind = (list(v) for v in zip(*found, strict=True))
    fields: dict[str, Any] = {"kernel_shape": kernel}
    if d.chance(0.15):
        fields["auto_pad"] = d.one(["SAME_UPPER", "SAME_LOWER", "VALID"])
        before = behind = [0] * len(kernel)
        dilations = [1] * len(kernel)
    elif any(before + behind) or d.chance(0.2):
        fields["pads"] = before + behind
    if max(strides) > 1 or d.chance(0.3):
        fields["strides"] = strides
    if max(dilations) > 1:
        fields["dilations"] = dilations
    out = []
    for i, size in enumerate(shape[2:]):
        reach = (kernel[i] - 1) * dilations[i] + 1
        if fields.get("auto_pad", "").startswith("SAME"):
            out.append(ceil(size / strides[i]))
            continue
        if reach > size + before[i] + behind[i]:
            raise Skip
        out.append((size + before[i] + behind[i] - reach) // strides[i] + 1)
    return fields | {"out": out}


def conv(d: Drawing) -> str:
    x = d.spatial()
    shape = d.shapes[x]
    channels = shape[1]
    fields = windows(d, shape)
    group = d.one([1, 1, 1, channels, d.one([g for g in range(1, channels + 1) if channels % g == 0])])
    out = group * d.upto(1, max(1, 13 // group)) if not d.chance(0.3) else channels
    if out % group:
        raise Skip
    kernel = fields["kernel_shape"]
    fan = channels // group
    for k in kernel:
        fan *= k
    inputs = [x, d.weights((out, channels // group, *kernel), fan)]
    if d.chance(0.7):
        inputs.append(d.bias(out))
    if group > 1:
        fields["group"] = group
    if d.chance(0.3):
        del fields["kernel_shape"]
    return d.emit("Conv", inputs, (1, out, *fields.pop("out")), **fields)


def conv_transpose(d: Drawing) -> str:
    x = d.spatial()
    shape = d.shapes[x]
    channels, dims = shape[1], len(shape) - 2
    group = d.one([1, 1, channels, gcd(channels, d.upto(1, 4))])
    own = d.upto(1, 4)
    kernel = [d.upto(1, 4) for _ in range(dims)]
    strides = [d.one([1, 2, 2, 3]) for _ in range(dims)]
    before = [d.upto(0, k - 1) if d.chance(0.4) else 0 for k in kernel]
    behind = [d.upto(0, k - 1) if d.chance(0.4) else 0 for k in kernel]
    extra = [d.upto(0, s - 1) if d.chance(0.3) else 0 for s in strides]
    out = [
        s * (n - 1) + k + e - b - a
        for s, n, k, e, b, a in zip(strides, shape[2:], kernel, extra, before, behind, strict=True)
    ]
    if min(out) < 1:
        raise Skip
    fields: dict[str, Any] = {"kernel_shape": kernel, "strides": strides}
    if any(before + behind):
        fields["pads"] = before + behind
    if any(extra):
        fields["output_padding"] = extra
    if group > 1:
        fields["group"] = group
    inputs = [x, d.weights((channels, own, *kernel), channels // group * 2, 1)]
    if d.chance(0.7):
        inputs.append(d.bias(own * group))
    return d.emit("ConvTranspose", inputs, (1, own * group, *out), **fields)


def pool(d: Drawing) -> str:
    x = d.spatial()
    shape = d.shapes[x]
    op = d.one(["MaxPool", "AveragePool"])
    given = windows(d, shape, 3)
    if d.opset < (19 if op == "AveragePool" else 10) and "dilations" in given:
        raise Skip
    if op == "AveragePool" and d.chance(0.4):
        given["count_include_pad"] = 1
    if "auto_pad" in given and any(
        a > k for a, k in zip(given.get("strides", []), given["kernel_shape"], strict=False)
    ):
        raise Skip  # ONNX Runtime refuses it
    kernel, pads = given["kernel_shape"], given.get("pads", [0] * 2 * len(given["kernel_shape"]))
    if any(p >= k for p, k in zip(pads, kernel * 2, strict=True)):
        raise Skip
    out = given.pop("out")
    if d.opset >= 10 and "auto_pad" not in given and d.chance(0.3):
        given["ceil_mode"] = 1
        out = []
        for i, size in enumerate(shape[2:]):
            stride = given.get("strides", [1, 1])[i]
            reach = (kernel[i] - 1) * given.get("dilations", [1, 1])[i] + 1
            span = size + pads[i] + pads[i + len(kernel)] - reach
            count = ceil(span / stride) + 1
            if (count - 1) * stride >= size + pads[i]:  # a window that would begin behind the image is left out
                count -= 1
            out.append(max(count, floor(span / stride) + 1))
    return d.emit(op, [x], (*shape[:2], *out), **given)


def whole(d: Drawing) -> str:
    x = d.spatial()
    shape = d.shapes[x]
    return d.emit(d.one(["GlobalAveragePool", "GlobalMaxPool"]), [x], (*shape[:2], *(1 for _ in shape[2:])))


def batchnorm(d: Drawing) -> str:
    x = d.pick(lambda s: len(s) in (2, 3, 4))
    channels = d.shapes[x][1]
    spread = d.rng.uniform(0.3, 2, channels) * d.one([1, 1, -1])
    if d.chance(0.2):
        spread[d.upto(0, channels - 1)] = d.one([0.0, 1e-20, 30.0])
    variance = d.rng.uniform(0.05, 3, channels)
    names = [d.constant(v) for v in (spread, d.rng.normal(0, 0.5, channels), d.rng.normal(0, 0.5, channels), variance)]
    attributes = {"epsilon": d.real(1e-5, 1e-2)} if d.chance(0.5) else {}
    return d.emit("BatchNormalization", [x, *names], d.shapes[x], **attributes)


def prelu(d: Drawing) -> str:
    x = d.pick(lambda s: len(s) >= 2)
    shape = d.shapes[x]
    slope = d.one([(1,), (shape[1], *(1 for _ in shape[2:])), (shape[-1],)])
    return d.emit("PRelu", [x, d.constant(d.rng.normal(0.2, 0.4, slope))], shape)


def resize(d: Drawing) -> str:
    x = d.pick(lambda s: len(s) in (3, 4) and s[0] == 1)
    shape = d.shapes[x]
    whole_ratio = d.opset < 11 or d.chance(0.4)
    ratios = [float(d.upto(1, 3)) if whole_ratio else d.one([0.5, 0.6, 1.0, 1.3, 1.5, 2.0]) for _ in shape[2:]]
    out = [floor(s * r) for s, r in zip(shape[2:], ratios, strict=True)]
    if min(out) < 1 or (out == [*shape[2:]] and set(ratios) != {1.0}):
        raise Skip  # ONNX Runtime copies where no size changes, whatever the scale
    result = (*shape[:2], *out)
    scales = [1.0, 1.0, *ratios]
    mode = d.one(["nearest", "linear"])
    if d.opset < 9:
        return d.emit("Upsample", [x], result, mode=mode, scales=scales)
    if d.opset < 10:
        return d.emit("Upsample", [x, d.constant(scales)], result, mode=mode)
    if d.opset < 11:
        return d.emit("Resize", [x, d.constant(scales)], result, mode=mode)
    fields: dict[str, Any] = {"mode": d.one(["nearest", "linear", "cubic"])}
    if fields["mode"] == "cubic" and len(shape) == 3:
        fields["mode"] = "linear"
    ways = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]
    fields["coordinate_transformation_mode"] = d.one(ways)
    if fields["mode"] == "nearest":
        fields["nearest_mode"] = d.one(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
    roi = d.constant(np.zeros(0)) if d.opset < 13 or d.chance(0.2) else ""
    if d.chance(0.4):
        unused = d.constant(np.zeros(0)) if d.opset < 13 else ""
        return d.emit("Resize", [x, roi, unused, d.ints([*result])], result, **fields)
    return d.emit("Resize", [x, roi, d.constant(scales)], result, **fields)


def depth(d: Drawing) -> str:
    x = d.ranked(4)
    n, c, h, w = d.shapes[x]
    block = d.one([2, 3])
    if c % block**2 == 0 and d.chance(0.7):
        fields = {"mode": d.one(["DCR", "CRD"])} if d.opset >= 11 and d.chance(0.5) else {}
        shape = (n, c // block**2, h * block, w * block)
        return d.emit("DepthToSpace", [x], shape, blocksize=block, **fields)
    if h % block or w % block:
        raise Skip
    return d.emit("SpaceToDepth", [x], (n, c * block**2, h // block, w // block), blocksize=block)


LAYERS = {
    conv: 14.0,
    conv_transpose: 2.5,
    pool: 5.0,
    whole: 1.0,
    batchnorm: 3.0,
    prelu: 1.0,
    resize: 2.0,
    depth: 1.0,
}
