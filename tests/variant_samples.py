"""Layers that the variants of Armv6-M are tried on: the operators' samples, and shapes at the routines' edges."""

from collections.abc import Sequence

from pipeline.ops import samples
from pipeline.ops.shared.samples import Sample, one_node, weights

KINDS = ("Conv_", "Gemm", "MatMul", "MaxPool", "AveragePool", "GlobalAveragePool", "Add", "Sub", "Sum")
LINEAR = {s.name: s for s in samples() if s.name.startswith(KINDS)}


def dense(inputs: int, outputs: int, rows: int = 1) -> Sample:
    return one_node(
        "MatMul", {"x": (rows, inputs)}, {"w": weights(inputs, outputs)}, label=f"dense_{inputs}_{outputs}_{rows}"
    )


def conv(label: str, x: Sequence[int], kernel: Sequence[int], **attributes: object) -> Sample:
    constants = {"w": weights(*kernel), "b": weights(kernel[0], seed=3)}
    return one_node("Conv", {"x": tuple(x)}, constants, label=label, **attributes)


EXTRA = [
    *(dense(*s) for s in ((1, 1), (3, 7), (16, 6), (17, 13, 3), (240, 4), (241, 5), (600, 20), (9, 12, 2))),
    conv("two_chunks", (1, 32, 5, 4), (7, 32, 3, 3), pads=[1, 1, 1, 1]),
    conv("wide_row", (1, 24, 2, 9), (3, 24, 1, 9), pads=[0, 4, 0, 4]),
    conv("tall_dilated", (1, 3, 12, 5), (8, 3, 4, 2), dilations=[3, 1], pads=[4, 0, 3, 1], strides=[2, 2]),
    conv("left_of_the_image", (1, 2, 3, 3), (2, 2, 2, 2), pads=[3, 3, 3, 3]),
    conv("few_channels", (1, 2, 9, 11), (10, 2, 3, 5), pads=[1, 2, 0, 1], strides=[2, 3]),
    conv("one_channel_wide", (1, 1, 4, 30), (6, 1, 2, 31), pads=[0, 9, 1, 8]),
    conv("depthwise_strips", (1, 3, 40, 24), (3, 1, 3, 3), group=3, pads=[1, 1, 1, 1]),
    conv("depthwise_seven", (1, 4, 9, 7), (4, 1, 3, 5), group=4, pads=[1, 2, 1, 2]),
    conv("depthwise_stride_3", (1, 5, 11, 13), (5, 1, 3, 2), group=5, strides=[2, 3], pads=[0, 1, 1, 1]),
    conv("depthwise_dilated", (1, 2, 12, 31), (2, 1, 3, 3), group=2, dilations=[2, 3], pads=[2, 3, 2, 3]),
    conv("depthwise_far", (1, 300, 3, 3), (300, 1, 3, 3), group=300, pads=[1, 1, 1, 1]),
]
WEIGHTED = {n for n in LINEAR if n.startswith(KINDS[:3])} | {s.name for s in EXTRA}
SAMPLES = LINEAR | {s.name: s for s in EXTRA}


# Narrow weights change what linear layers do, and nothing else: of depthwise layers they are not asked.
NARROW = {n for n in WEIGHTED if not n.startswith("depthwise")}
