"""Resize in modes linear and cubic: one small constant matrix along each axis, given by ONNX's reference evaluator."""

from collections.abc import Sequence

import numpy as np
from onnx import helper
from onnx.reference import ReferenceEvaluator

from pipeline.graph.tensor import Array, QuantParams
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.ops.dense import Dense
from pipeline.ops.transpose import Transpose

_LARGEST = 4096


def before_resize_11(node: OnnxNode) -> bool:
    """Whether the node is of those that divide each position by the scale and know no other way."""
    return node.op == "Upsample" or node.opset < 11


def coordinates(node: OnnxNode) -> str:
    """How a position of the result becomes one of the input. Source: ONNX Resize, its versions 10 and 11; Upsample."""
    if before_resize_11(node):
        return "asymmetric"
    given = node.attr("coordinate_transformation_mode", b"half_pixel")
    return given.decode() if isinstance(given, bytes) else str(given)


def interpolated(node: OnnxNode, axes: Sequence[int], sizes: Sequence[int], scales: Sequence[float]) -> str:
    """The node's first input resized along each of `axes`; the name of the result."""
    x = node.inputs[0]
    for axis, size, scale in zip(axes, sizes, scales, strict=True):
        given = node.graph.tensors[x].shape[axis]
        if size != given or scale != 1.0:
            x = _along(node, x, axis, _matrix(node, given, size, scale))
    return x


def _matrix(node: OnnxNode, given: int, size: int, scale: float) -> Array:
    """(size, given): row i says how output i is made of the inputs."""
    if given > _LARGEST or size > _LARGEST:
        node.refuse(f"from {given} to {size} entries in this mode", f"Up to {_LARGEST} are supported.")
    kept = ("mode", "coordinate_transformation_mode", "cubic_coeff_a", "exclude_outside", "antialias")
    attributes = {k: node.attributes[k] for k in kept if k in node.attributes}
    way = attributes["coordinate_transformation_mode"] = coordinates(node)
    if way == "tf_crop_and_resize":
        node.refuse("coordinate_transformation_mode tf_crop_and_resize")
    if way == "pytorch_half_pixel" and size == 1:
        return np.eye(1, given, dtype=np.float32)
    # This one counts the entries that there are; the evaluator, given a scale, takes fractions of one.
    counted = way == "align_corners"
    at = 1 if before_resize_11(node) else 2
    by_scale = not counted and (not node.has(at) or node.constant(at, "scales").size > 0)
    by_scale = by_scale and (at == 1 or node.has(at))
    names = ["x", "", "scales"] if by_scale else ["x", "", "", "sizes"]
    parameter = {"scales": np.array([scale], np.float32)} if by_scale else {"sizes": np.array([size], np.int64)}
    proto = helper.make_node("Resize", names, ["y"], axes=[1], **attributes)
    try:
        result = ReferenceEvaluator(proto, opsets={"": 19}).run(
            None, {"x": np.eye(given, dtype=np.float32), **parameter}
        )
    except Exception as error:  # the evaluator raises whatever NumPy raises
        node.refuse(f"cannot be evaluated: {(str(error).splitlines() or [type(error).__name__])[0]}")
    matrix: Array = np.asarray(result[0], np.float32).T
    if matrix.shape != (size, given):
        node.refuse(f"{given} entries become {matrix.shape[0]}, expected {size}")
    return matrix


def _exact(matrix: Array) -> QuantParams | None:
    """A scale at which every share is an integer of eight bits: quarters, as doubling makes them."""
    for scale in (2.0**-k for k in range(8)):
        steps = matrix / scale
        if (steps == np.rint(steps)).all() and np.abs(steps).max() <= 127:
            return QuantParams((scale,))
    return None


def _along(node: OnnxNode, x: str, axis: int, matrix: Array) -> str:
    """`matrix` applied to every line of `x` along `axis`."""
    graph, rank = node.graph, len(node.graph.tensors[x].shape)
    perm = (*(i for i in range(rank) if i != axis), axis)
    label = graph.fresh(f"{node.name}.axis{axis}")
    constants = (
        graph.constant(f"{label}.weights", matrix, _exact(matrix)),
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
