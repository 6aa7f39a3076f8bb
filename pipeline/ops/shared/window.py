"""The sliding window that convolution and pooling share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tflite

from pipeline.graph.tensor import Array
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.model_files.tflite_node import TfliteNode


@dataclass(frozen=True)
class Window:
    """Sizes as (y, x); `pads` as (top, left, bottom, right)."""

    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)

    def extent(self) -> tuple[int, int]:
        """Rows and columns from the first tap to the last, inclusive."""
        y, x = ((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))
        return y, x

    def output(self, height: int, width: int) -> tuple[int, int]:
        """Output height and width. Source: ONNX Conv, floor mode (a ceil mode is resolved into `pads`)."""
        y, x = self.extent()
        top, left, bottom, right = self.pads
        return (height + top + bottom - y) // self.strides[0] + 1, (width + left + right - x) // self.strides[1] + 1

    def attributes(self) -> dict[str, Any]:
        """The window as ONNX attributes."""
        return {
            "kernel_shape": list(self.kernel),
            "strides": list(self.strides),
            "pads": list(self.pads),
            "dilations": list(self.dilations),
        }

    def patches(self, x: Array, fill: float) -> Array:
        """The inputs of every window: (n, h, w, c) -> (n, oh, ow, kh, kw, c), padding filled with `fill`."""
        top, left, bottom, right = self.pads
        padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
        extent = self.extent()
        windows = np.lib.stride_tricks.sliding_window_view(padded, extent, axis=(1, 2))
        strided = windows[:, :: self.strides[0], :: self.strides[1], :, :: self.dilations[0], :: self.dilations[1]]
        return strided.transpose(0, 1, 2, 4, 5, 3)


def import_window(node: OnnxNode, kernel: Sequence[int] | None = None) -> Window:
    """Kernel, strides, pads and dilations of a Conv or pool node on its first input (n, c, spatial...).

    1-D is 2-D with a first spatial size of 1. `auto_pad` and `ceil_mode` are resolved for the input's shape.
    """
    spatial = node.shape(0)[2:]
    rank = len(spatial)
    if rank not in (1, 2):
        node.refuse(f"{rank} spatial dimensions", "1-D and 2-D are supported.")
    sizes = node.ints("kernel_shape", tuple(kernel) if kernel is not None else ())
    if len(sizes) != rank or (kernel is not None and sizes != tuple(kernel)):
        node.refuse(f"kernel_shape {list(sizes)} does not fit its weights or its input")
    strides, dilations = node.ints("strides", (1,) * rank), node.ints("dilations", (1,) * rank)
    begin, end = _pads(node, spatial, sizes, strides, dilations)
    if any(len(v) != rank for v in (strides, dilations)) or min(*sizes, *strides, *dilations) < 1:
        node.refuse("kernel_shape, strides and dilations must be positive, one for each spatial dimension")
    if max(*sizes, *strides, *dilations, *begin, *end) > 4096:
        node.refuse("a kernel, stride, dilation or pad above 4096")
    window = Window(
        kernel=_as_pair(sizes, 1),
        strides=_as_pair(strides, 1),
        pads=(*_as_pair(begin, 0), *_as_pair(end, 0)),
        dilations=_as_pair(dilations, 1),
    )
    if min(window.output(*_as_pair(spatial, 1))) < 1:
        node.refuse(f"its window {list(sizes)} is larger than the padded input {list(spatial)}")
    return window


def _as_pair(values: Sequence[int], first: int) -> tuple[int, int]:
    return (first, values[0]) if len(values) == 1 else (values[0], values[1])


def _pads(
    node: OnnxNode,
    spatial: Sequence[int],
    sizes: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> tuple[list[int], list[int]]:
    """Pads at the begin and at the end of every spatial dimension. Source: ONNX Conv, MaxPool (auto_pad, ceil_mode)."""
    rank = len(spatial)
    auto_pad = node.attr("auto_pad", "NOTSET")
    auto_pad = auto_pad.decode() if isinstance(auto_pad, bytes) else auto_pad
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        begin, end = [], []
        for i in range(rank):
            steps = -(-spatial[i] // strides[i])
            total = max(0, (steps - 1) * strides[i] + (sizes[i] - 1) * dilations[i] + 1 - spatial[i])
            less, more = total // 2, total - total // 2
            begin.append(less if auto_pad == "SAME_UPPER" else more)
            end.append(more if auto_pad == "SAME_UPPER" else less)
        return begin, end
    pads = node.ints("pads", (0,) * (2 * rank)) if auto_pad == "NOTSET" else (0,) * (2 * rank)
    if len(pads) != 2 * rank or min(pads) < 0:
        node.refuse(f"pads {list(pads)} must be {2 * rank} numbers of at least 0")
    begin, end = list(pads[:rank]), list(pads[rank:])
    if node.attr("ceil_mode", 0):
        for i in range(rank):
            extent = (sizes[i] - 1) * dilations[i] + 1
            room = spatial[i] + begin[i] + end[i] - extent
            steps = -(-room // strides[i]) + 1
            if (steps - 1) * strides[i] >= spatial[i] + begin[i]:
                steps -= 1  # a window may not begin in the padding at the end
            end[i] += max(0, (steps - 1) * strides[i] - room)
    return begin, end


def tflite_window(node: TfliteNode, kernel: Sequence[int], options: Any, dilations: tuple[int, int] = (1, 1)) -> Window:
    """The window of a TFLite convolution or pool on its first input; SAME puts the odd pad at the end."""
    strides, sizes = (options.StrideH(), options.StrideW()), (int(kernel[0]), int(kernel[1]))
    if len(node.shape(0)) != 4:
        node.refuse(f"an input of shape {node.shape(0)}, expected 4 dimensions")
    spatial = node.shape(0)[1:3]
    if min(*sizes, *strides, *dilations, *spatial) < 1 or max(*sizes, *strides, *dilations) > 4096:
        node.refuse("kernel, strides and dilations must be between 1 and 4096")
    pads = [0, 0, 0, 0]
    if options.Padding() == tflite.Padding.SAME:
        for i in range(2):
            steps = -(-spatial[i] // strides[i])
            total = max(0, (steps - 1) * strides[i] + (sizes[i] - 1) * dilations[i] + 1 - spatial[i])
            pads[i], pads[i + 2] = total // 2, total - total // 2
    elif options.Padding() != tflite.Padding.VALID:
        node.refuse(f"padding {options.Padding()}")
    window = Window(sizes, strides, (pads[0], pads[1], pads[2], pads[3]), dilations)
    if min(window.output(*spatial)) < 1:
        node.refuse(f"its window {list(sizes)} is larger than the padded input {list(spatial)}")
    return window
