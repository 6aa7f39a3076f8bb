"""Resize and Upsample: to the nearest neighbour entries picked along each axis, else one small matrix along each.

The matrices of modes linear and cubic are given by ONNX's reference evaluator.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tflite
from onnx import helper
from onnx.reference import ReferenceEvaluator

from pipeline.graph.ir import Node
from pipeline.graph.tensor import Array, QuantParams, Shape
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.model_files.tflite_node import TfliteNode
from pipeline.ops.dense import Dense
from pipeline.ops.gather import append_pick
from pipeline.ops.reshape import Reshape
from pipeline.ops.shared.samples import Sample, one_node
from pipeline.ops.transpose import Transpose

SUMMARY = "in any mode but tf_crop_and_resize"
_LARGEST = 4096
_LARGEST_SCALE = 4096


def before_resize_11(node: OnnxNode) -> bool:
    """Whether the node is of an operator that divides each position by the scale and has no other mode."""
    return node.op == "Upsample" or node.opset < 11


def coordinates(node: OnnxNode) -> str:
    """The mode that maps a position of the result to one of the input. Source: ONNX Resize 10 and 11, Upsample."""
    if before_resize_11(node):
        return "asymmetric"
    attribute = node.attr("coordinate_transformation_mode", b"half_pixel")
    return attribute.decode() if isinstance(attribute, bytes) else str(attribute)


def interpolated(node: OnnxNode, axes: Sequence[int], sizes: Sequence[int], scales: Sequence[float]) -> str:
    """The node's first input resized along each of `axes`; the name of the result."""
    x = node.inputs[0]
    for axis, size, scale in zip(axes, sizes, scales, strict=True):
        input_size = node.graph.tensors[x].shape[axis]
        if size != input_size or scale != 1.0:
            x = _apply_along(node, x, axis, _matrix(node, input_size, size, scale))
    return x


def _matrix(node: OnnxNode, input_size: int, size: int, scale: float) -> Array:
    """The matrix (size, input_size) whose row i holds the weights of the inputs in output i."""
    if input_size > _LARGEST or size > _LARGEST:
        node.refuse(f"from {input_size} to {size} entries in this mode", f"Up to {_LARGEST} are supported.")
    copied = ("mode", "coordinate_transformation_mode", "cubic_coeff_a", "exclude_outside", "antialias")
    attributes = {k: node.attributes[k] for k in copied if k in node.attributes}
    way = attributes["coordinate_transformation_mode"] = coordinates(node)
    if way == "tf_crop_and_resize":
        node.refuse("coordinate_transformation_mode tf_crop_and_resize")
    if way == "pytorch_half_pixel" and size == 1:
        return np.eye(1, input_size, dtype=np.float32)
    # This one counts the entries that there are; the evaluator, given a scale, takes fractions of one.
    counted = way == "align_corners"
    scales_input = 1 if before_resize_11(node) else 2
    by_scale = not counted and (not node.has(scales_input) or node.constant(scales_input, "scales").size > 0)
    by_scale = by_scale and (scales_input == 1 or node.has(scales_input))
    names = ["x", "", "scales"] if by_scale else ["x", "", "", "sizes"]
    parameter = {"scales": np.array([scale], np.float32)} if by_scale else {"sizes": np.array([size], np.int64)}
    proto = helper.make_node("Resize", names, ["y"], axes=[1], **attributes)
    try:
        result = ReferenceEvaluator(proto, opsets={"": 19}).run(
            None, {"x": np.eye(input_size, dtype=np.float32), **parameter}
        )
    except Exception as error:  # the evaluator raises whatever NumPy raises
        node.refuse(f"cannot be evaluated: {(str(error).splitlines() or [type(error).__name__])[0]}")
    matrix: Array = np.asarray(result[0], np.float32).T
    if matrix.shape != (size, input_size):
        node.refuse(f"{input_size} entries become {matrix.shape[0]}, expected {size}")
    return matrix


def _exact_scale(matrix: Array) -> QuantParams | None:
    """A scale at which every share is an integer of eight bits: quarters, as doubling makes them."""
    for scale in (2.0**-k for k in range(8)):
        steps = matrix / scale
        if (steps == np.rint(steps)).all() and np.abs(steps).max() <= 127:
            return QuantParams((scale,))
    return None


def _apply_along(node: OnnxNode, x: str, axis: int, matrix: Array) -> str:
    """Append `matrix` applied to every line of `x` along `axis`; the name of the result."""
    graph, rank = node.graph, len(node.graph.tensors[x].shape)
    perm = (*(i for i in range(rank) if i != axis), axis)
    label = graph.fresh(f"{node.name}.axis{axis}")
    constants = (
        graph.constant(f"{label}.weights", matrix, _exact_scale(matrix)),
        graph.constant(f"{label}.bias", np.zeros(len(matrix), np.float32)),
    )
    last = axis == rank - 1
    if not last:
        moved = graph.fresh(f"{label}.moved")
        x = graph.append(Transpose(name=moved, inputs=(x,), outputs=(moved,), perm=perm))
    y = graph.append(Dense(name=label, inputs=(x, *constants), outputs=(label,)))
    if last:
        return y
    back = tuple(int(i) for i in np.argsort(perm))
    moved = graph.fresh(f"{label}.back")
    return graph.append(Transpose(name=moved, inputs=(y,), outputs=(moved,), perm=back))


_ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda v: np.ceil(v - 0.5),
    "round_prefer_ceil": lambda v: np.floor(v + 0.5),
}


def nearest(node: OnnxNode, size: int, output_size: int, scale: float) -> Array:
    """The nearest of `size` positions for each of `output_size`. Source: ONNX Resize."""
    mode = coordinates(node)
    rounding = node.attr("nearest_mode", b"floor" if before_resize_11(node) else b"round_prefer_floor")
    rounding = rounding.decode() if isinstance(rounding, bytes) else rounding
    # In float32, as ONNX Runtime and PyTorch do: at a tie the next entry is taken, or not, by its rounding.
    outputs, half, ratio = np.arange(output_size, dtype=np.float32), np.float32(0.5), np.float32(scale)
    if mode == "asymmetric":
        x = outputs / ratio
    elif mode == "align_corners":
        x = outputs * np.float32(size - 1) / np.float32(output_size - 1) if output_size > 1 else outputs * 0
    elif mode == "half_pixel" or (mode == "pytorch_half_pixel" and output_size > 1):
        x = (outputs + half) / ratio - half
    elif mode == "pytorch_half_pixel":
        x = outputs * 0
    elif mode == "half_pixel_symmetric":
        middle = np.float32(size / 2 * (1 - output_size / (scale * size)))
        x = middle + (outputs + half) / ratio - half
    else:
        node.refuse(f"coordinate_transformation_mode {mode}")
    if rounding not in _ROUNDINGS:
        node.refuse(f"nearest_mode {rounding}")
    chosen: Array = np.clip(_ROUNDINGS[rounding](x), 0, size - 1).astype(np.int64)
    return chosen


def import_resize(node: OnnxNode) -> None:
    """Resize and Upsample by constant scales or sizes, on any axes."""
    mode = node.attr("mode", b"nearest")
    input_shape = node.shape(0)
    axes = node.axes(node.attr("axes", list(range(len(input_shape)))), len(input_shape))
    scales, sizes = _scales_and_sizes(node, input_shape, axes)
    if mode not in (b"nearest", "nearest"):
        y = interpolated(node, axes, sizes, scales)
        shape = node.graph.tensors[y].shape
        node.graph.append(Reshape(name=node.name, inputs=(y,), outputs=node.outputs[:1], shape=shape))
        return
    x = node.inputs[0]
    for axis in range(len(input_shape)):
        if axis in axes:
            at = axes.index(axis)
            indices = nearest(node, input_shape[axis], sizes[at], scales[at])
            x = append_pick(node, x, axis, indices, "float32", None)
    shape = node.graph.tensors[x].shape
    node.graph.append(Reshape(name=node.name, inputs=(x,), outputs=node.outputs[:1], shape=shape))


def _scales_and_sizes(node: OnnxNode, input_shape: Shape, axes: Sequence[int]) -> tuple[list[float], list[int]]:
    at = 1 if node.op == "Upsample" or node.opset < 11 else 2
    scales: Any = node.attr("scales") if node.op == "Upsample" and node.opset < 9 else None
    if scales is None and node.has(at):
        scales = node.constant(at, "scales").tolist() or None
    if scales is not None:
        if len(scales) != len(axes) or not all(s > 0 for s in scales):
            node.refuse(f"scales {scales} for {len(axes)} axes")
        if max(scales, default=0) >= _LARGEST_SCALE:
            node.refuse(f"scales {scales}: the result is too large", f"Scales below {_LARGEST_SCALE} are supported.")
        # In float32, as ONNX Runtime does: 10 * 1.3 is 13.
        output_sizes = [
            int(np.floor(np.float32(input_shape[a]) * np.float32(s))) for a, s in zip(axes, scales, strict=True)
        ]
    else:
        output_sizes = [int(v) for v in node.constant(3, "sizes")]
        if len(output_sizes) != len(axes):
            node.refuse(f"sizes {output_sizes} for {len(axes)} axes")
        scales = [m / input_shape[a] for a, m in zip(axes, output_sizes, strict=True)]
        policy = node.attr("keep_aspect_ratio_policy", b"stretch")
        if policy not in (b"stretch", "stretch"):
            ratio = (min if policy in (b"not_larger", "not_larger") else max)(scales)
            scales = [ratio] * len(axes)
            output_sizes = [int(np.floor(input_shape[a] * ratio + 0.5)) for a in axes]
    if min(output_sizes) < 1 or max(output_sizes) > 1 << 16:
        node.refuse(f"a result of sizes {output_sizes}")
    return [float(s) for s in scales], output_sizes


def import_tflite_resize(node: TfliteNode) -> None:
    """RESIZE_NEAREST_NEIGHBOR in float32. Source: TFLite reference_ops::ResizeNearestNeighbor, GetNearestNeighbor."""
    options, output_size, input_shape = (
        node.options(tflite.ResizeNearestNeighborOptions),
        node.constant(1, "size"),
        node.shape(0),
    )
    if output_size.size != 2 or len(input_shape) != 4 or output_size.min() < 1 or output_size.max() > 4096:
        node.refuse(f"size {output_size.tolist()} of {list(input_shape)}")
    x, dtype, quant = node.inputs[0], node.dtype, node.declared[0].quant
    for axis in (1, 2):
        size, out = input_shape[axis], int(output_size.reshape(-1)[axis - 1])
        align, half = options.AlignCorners() and out > 1, np.float32(0.5 if options.HalfPixelCenters() else 0.0)
        scale = np.float32(size - 1) / np.float32(out - 1) if align else np.float32(size) / np.float32(out)
        at = (np.arange(out).astype(np.float32) + half) * scale
        picked = np.floor(at.astype(np.float64) + 0.5) if options.AlignCorners() else np.floor(at)
        x = append_pick(node, x, axis, np.clip(picked, 0, size - 1).astype(np.int64), dtype, quant)
    node.emit(Reshape(name=node.name, inputs=(x,), outputs=node.outputs, shape=node.graph.tensors[x].shape))


ONNX = {"Resize": import_resize, "Upsample": import_resize}
TFLITE = {"RESIZE_NEAREST_NEIGHBOR": import_tflite_resize}
NODES: tuple[type[Node], ...] = ()


def samples() -> Iterator[Sample]:
    up = {"roi": np.zeros(0, np.float32), "scales": np.array([1, 1, 2, 2], np.float32)}
    yield one_node("Resize", {"x": (1, 3, 2, 3)}, up, label="Resize_2x", mode="nearest")
    down = {"roi": np.zeros(0, np.float32), "scales": np.zeros(0, np.float32), "sizes": [1, 2, 3, 7]}
    yield one_node("Resize", {"x": (1, 2, 5, 4)}, down, label="Resize_sizes", mode="nearest", nearest_mode="floor")
    linear = {"roi": np.zeros(0, np.float32), "scales": np.array([1, 1, 2, 1.5], np.float32)}
    yield one_node("Resize", {"x": (1, 2, 3, 4)}, linear, label="Resize_linear", mode="linear")
    scales = {"scales": np.array([1, 1, 2, 3], np.float32)}
    yield one_node("Upsample", {"x": (1, 2, 2, 2)}, scales, opset=9, mode="nearest")
