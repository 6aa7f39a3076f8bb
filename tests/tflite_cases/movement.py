"""TFLite operators that move values, and those of several inputs or outputs."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from tflite_models import Op, T, tflite_model

from tflite_cases.case import NONE, SAME, VALID, Case, rng_of


def moves() -> Iterator[Case]:
    def one(
        name: str, code: str, x: tuple[int, ...], y: tuple[int, ...] | list[tuple[int, ...]],
        constants: dict[str, Any] | None = None, options: Any = None, order: str = "", version: int = 2,
        **fields: Any,
    ) -> Case:  # fmt: skip
        outputs = y if isinstance(y, list) else [y]
        tensors = {"x": T(x, scale=0.05, zero=-9)}
        for key, value in (constants or {}).items():
            array = np.asarray(value)
            typed = T(array.shape, "int8", 0.05, -9, data=array) if key == "v" else T(array.shape, "int32", data=array)
            tensors[key] = typed
        tensors |= {f"y{i}": T(s, scale=0.05, zero=-9) for i, s in enumerate(outputs)}
        inputs = order.split() or ["x", *(constants or {})]
        names = [f"y{i}" for i in range(len(outputs))]
        return Case(
            name, tflite_model(tensors, [Op(code, inputs, names, options, fields, version)], ["x"], names), (x,)
        )

    yield one(
        "RESHAPE", "RESHAPE", (1, 2, 6), (1, 3, 4), {"s": [1, 3, 4]}, "ReshapeOptions", newShape=[1, 3, 4], version=1
    )
    yield one("SQUEEZE", "SQUEEZE", (1, 2, 1, 3), (1, 2, 3), None, "SqueezeOptions", squeezeDims=[2])
    yield one("EXPAND_DIMS", "EXPAND_DIMS", (1, 3), (1, 1, 3), {"a": 1}, "ExpandDimsOptions", version=1)
    yield one("TRANSPOSE", "TRANSPOSE", (1, 2, 3, 4), (1, 4, 2, 3), {"p": [0, 3, 1, 2]}, "TransposeOptions")
    yield one("PAD", "PAD", (1, 2, 3, 2), (1, 4, 4, 2), {"p": [[0, 0], [1, 1], [0, 1], [0, 0]]}, "PadOptions")
    yield one("PADV2", "PADV2", (1, 3), (1, 6), {"p": [[0, 0], [1, 2]], "v": [33]}, "PadV2Options")
    yield one("SLICE", "SLICE", (1, 5, 4), (1, 2, 3), {"b": [0, 1, 1], "s": [1, 2, -1]}, "SliceOptions")
    bounds = {"b": [0, 4, 0], "e": [1, 0, 4], "s": [1, -2, 2]}
    yield one("STRIDED_SLICE", "STRIDED_SLICE", (1, 5, 4), (1, 2, 2), bounds, "StridedSliceOptions")
    yield one(
        "STRIDED_SLICE_masks", "STRIDED_SLICE", (1, 5, 4), (1, 4), {"b": [0, -2, 1], "e": [0, 0, 2], "s": [1, 1, 1]},
        "StridedSliceOptions", beginMask=5, endMask=5, shrinkAxisMask=2,
    )  # fmt: skip
    yield one("SPLIT", "SPLIT", (1, 6, 2), [(1, 2, 2)] * 3, {"a": 1}, "SplitOptions", "a x", numSplits=3)
    yield one("UNPACK", "UNPACK", (1, 3, 2), [(1, 2)] * 3, None, "UnpackOptions", num=3, axis=1)
    yield one(
        "RESIZE_2x",
        "RESIZE_NEAREST_NEIGHBOR",
        (1, 3, 2, 2),
        (1, 6, 4, 2),
        {"s": [6, 4]},
        "ResizeNearestNeighborOptions",
    )
    for align, half in ((True, False), (False, True)):
        yield one(
            f"RESIZE_{align}_{half}", "RESIZE_NEAREST_NEIGHBOR", (1, 4, 5, 2), (1, 7, 3, 2), {"s": [7, 3]},
            "ResizeNearestNeighborOptions", version=3, alignCorners=align, halfPixelCenters=half,
        )  # fmt: skip


def many() -> Iterator[Case]:
    def concat(name: str, axis: int, scales: tuple[float, ...], dtype: str, act: int) -> Case:
        shapes = [(1, 2, 3, 2 + i) if axis == 3 else (1, 1 + i, 3, 2) for i in range(2)]
        out = (1, 2, 3, 5) if axis == 3 else (1, 3, 3, 2)
        tensors = {f"x{i}": T(s, dtype, scales[i], 100) for i, s in enumerate(shapes)} | {
            "y": T(out, dtype, scales[2], 100)
        }
        op = Op(
            "CONCATENATION", ["x0", "x1"], ["y"], "ConcatenationOptions", {"axis": axis, "fusedActivationFunction": act}
        )
        return Case(name, tflite_model(tensors, [op], ["x0", "x1"], ["y"]), tuple(shapes), dtype)

    yield concat("CONCATENATION", 3, (0.05,) * 3, "int8", NONE)
    yield concat("CONCATENATION_1", 1, (0.05,) * 3, "int8", NONE)
    yield concat("CONCATENATION_uint8", 3, (0.05, 0.07, 0.06), "uint8", NONE)
    tensors = {"a": T((1, 3), scale=0.05), "b": T((1, 3), scale=0.05), "y": T((1, 2, 3), scale=0.05)}
    pack = Op("PACK", ["a", "b"], ["y"], "PackOptions", {"valuesCount": 2, "axis": 1})
    yield Case("PACK", tflite_model(tensors, [pack], ["a", "b"], ["y"]), ((1, 3), (1, 3)))
    tensors = {"x": T((1, 9), scale=0.05), "a": T((), "int32", data=np.array(1)), "y": T((1,), "int64")}
    arg = Op("ARG_MAX", ["x", "a"], ["y"], "ArgMaxOptions", {"outputType": 4})
    yield Case("ARG_MAX", tflite_model(tensors, [arg], ["x"], ["y"]), ((1, 9),))
    for padding, stride, size in ((SAME, 2, (8, 6)), (VALID, 2, (9, 7)), (SAME, 1, (4, 3))):
        rng = rng_of(str((padding, stride)))
        scale = rng.uniform(0.002, 0.01, 4).astype(np.float32)
        tensors = {
            "s": T((4,), "int32", data=np.array([1, *size, 4])),
            "w": T((4, 3, 3, 2), scale=scale, data=rng.integers(-127, 128, (4, 3, 3, 2))),
            "x": T((1, 4, 3, 2), scale=0.05, zero=-9),
            "b": T((4,), "int32", scale * np.float32(0.05), data=rng.integers(-2000, 2000, 4)),
            "y": T((1, *size, 4), scale=0.06, zero=7),
        }
        fields = {"padding": padding, "strideH": stride, "strideW": stride}
        op = Op("TRANSPOSE_CONV", ["s", "w", "x", "b"], ["y"], "TransposeConvOptions", fields, 3)
        yield Case(f"TRANSPOSE_CONV_{padding}_{stride}", tflite_model(tensors, [op], ["x"], ["y"]), ((1, 4, 3, 2),))
    # A shape chain as converters write it: SHAPE, STRIDED_SLICE, PACK, RESHAPE.
    tensors = {
        "x": T((1, 2, 6), scale=0.05), "n": T((3,), "int32"), "b": T((1,), "int32", data=np.array([0])),
        "e": T((1,), "int32", data=np.array([1])), "o": T((1,), "int32", data=np.array([1])),
        "f": T((), "int32"), "c": T((), "int32", data=np.array(12)), "t": T((2,), "int32"),
        "y": T((1, 12), scale=0.05),
    }  # fmt: skip
    ops = [
        Op("SHAPE", ["x"], ["n"], "ShapeOptions", {"outType": 2}, 1),
        Op("STRIDED_SLICE", ["n", "b", "e", "o"], ["f"], "StridedSliceOptions", {"shrinkAxisMask": 1}),
        Op("PACK", ["f", "c"], ["t"], "PackOptions", {"valuesCount": 2, "axis": 0}),
        Op("RESHAPE", ["x", "t"], ["y"], "ReshapeOptions", {"newShape": [1, 12]}, 1),
    ]
    yield Case("SHAPE_chain", tflite_model(tensors, ops, ["x"], ["y"]), ((1, 2, 6),))
