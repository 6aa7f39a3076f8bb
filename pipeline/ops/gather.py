"""Entries picked along one axis by constant indices: Gather, and Resize and Upsample to the nearest neighbour."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import tflite

from pipeline.graph.facets import NodeQuantizer, OnnxEmitter
from pipeline.graph.ir import Graph, Node
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.moves import GatherParams
from pipeline.graph.tensor import Array, QuantParams, Shape
from pipeline.model_files.node import ImportNode
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.model_files.tflite_node import TfliteNode
from pipeline.ops.interpolation import before_resize_11, coordinates, interpolated
from pipeline.ops.reshape import Reshape
from pipeline.ops.shared.samples import Sample, one_node

SUMMARY = "by constant indices; resizing in any mode but tf_crop_and_resize"
_LARGEST_SCALE = 4096


@dataclass(frozen=True, kw_only=True)
class Gather(Node):
    """x, indices (k,) int32, all inside x -> x with axis `axis` replaced by the k entries named."""

    axis: int

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return ((*inputs[0][: self.axis], inputs[1][0], *inputs[0][self.axis + 1 :]),)

    def permuted(self, perm: tuple[int, ...], graph: Graph) -> "Gather":
        return replace(self, axis=perm[self.axis])

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        indices = emit.integers(graph.constant(self.inputs[1]).tolist())
        emit.node("Gather", [self.inputs[0], indices], self.output, axis=self.axis)

    def ties(self) -> tuple[tuple[str, str], ...]:
        return ((self.inputs[0], self.output),)

    def quantize(self, quantizer: NodeQuantizer) -> None:
        indices = quantizer.constant(self.inputs[1], quantizer.graph.constant(self.inputs[1]))
        quantizer.keep(replace(self, inputs=(self.inputs[0], indices)))

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        return (inputs[0].take(np.asarray(inputs[1]).reshape(-1), axis=self.axis + 1),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        x, indices = graph.tensors[self.inputs[0]], graph.constant(self.inputs[1])
        width = np.dtype(x.dtype).itemsize
        return [
            KernelCall(
                kernel="gather",
                node=self.name,
                inputs=self.inputs[:1],
                outputs=self.outputs,
                params=GatherParams(
                    indices=indices.astype(np.uint16),
                    outer=prod(x.shape[: self.axis]),
                    entries=x.shape[self.axis],
                    count=len(indices),
                    inner=prod(x.shape[self.axis + 1 :]) * width,
                ),
            )
        ]


def _pick(node: ImportNode, x: str, axis: int, indices: Array, dtype: str, quant: QuantParams | None) -> str:
    """An intermediate Gather of `x`; nothing when it would change nothing."""
    entries = node.graph.tensors[x].shape[axis]
    if entries > 1 << 16:
        node.refuse(f"{entries} entries along axis {axis}", f"Up to {1 << 16} are supported.")
    if np.array_equal(indices, np.arange(entries)):
        return x
    graph = node.graph
    label = graph.fresh(f"{node.name}.axis{axis}")
    name = graph.constant(f"{label}.indices", indices.astype(np.int32))
    return graph.append(Gather(name=label, inputs=(x, name), outputs=(label,), axis=axis), dtype, quant)


def import_gather(node: OnnxNode) -> None:
    """Indices of any rank; negative ones count from the end. Source: ONNX Gather."""
    given = node.shape(0)
    axis = node.axis(int(node.attr("axis", 0)), len(given))
    indices = node.constant(1, "indices")
    if not indices.size or indices.min() < -given[axis] or indices.max() >= given[axis]:
        node.refuse(f"indices outside {given[axis]} entries, or none")
    y = _pick(node, node.inputs[0], axis, indices.reshape(-1) % given[axis], "float32", None)
    shape = (*given[:axis], *indices.shape, *given[axis + 1 :])
    node.graph.append(Reshape(name=node.name, inputs=(y,), outputs=node.outputs[:1], shape=shape))


_ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda v: np.ceil(v - 0.5),
    "round_prefer_ceil": lambda v: np.floor(v + 0.5),
}


def nearest(node: OnnxNode, size: int, wanted: int, scale: float) -> Array:
    """For each of `wanted` positions the nearest of `size`. Source: ONNX Resize."""
    mode = coordinates(node)
    rounding = node.attr("nearest_mode", b"floor" if before_resize_11(node) else b"round_prefer_floor")
    rounding = rounding.decode() if isinstance(rounding, bytes) else rounding
    # In float32, as ONNX Runtime and PyTorch do: at a tie the next entry is taken, or not, by its rounding.
    at, half, ratio = np.arange(wanted, dtype=np.float32), np.float32(0.5), np.float32(scale)
    if mode == "asymmetric":
        x = at / ratio
    elif mode == "align_corners":
        x = at * np.float32(size - 1) / np.float32(wanted - 1) if wanted > 1 else at * 0
    elif mode == "half_pixel" or (mode == "pytorch_half_pixel" and wanted > 1):
        x = (at + half) / ratio - half
    elif mode == "pytorch_half_pixel":
        x = at * 0
    elif mode == "half_pixel_symmetric":
        middle = np.float32(size / 2 * (1 - wanted / (scale * size)))
        x = middle + (at + half) / ratio - half
    else:
        node.refuse(f"coordinate_transformation_mode {mode}")
    if rounding not in _ROUNDINGS:
        node.refuse(f"nearest_mode {rounding}")
    chosen: Array = np.clip(_ROUNDINGS[rounding](x), 0, size - 1).astype(np.int64)
    return chosen


def import_resize(node: OnnxNode) -> None:
    """Resize and Upsample by constant scales or sizes, on any axes."""
    mode = node.attr("mode", b"nearest")
    given = node.shape(0)
    axes = node.axes(node.attr("axes", list(range(len(given)))), len(given))
    scales, sizes = _scales_and_sizes(node, given, axes)
    if mode not in (b"nearest", "nearest"):
        y = interpolated(node, axes, sizes, scales)
        shape = node.graph.tensors[y].shape
        node.graph.append(Reshape(name=node.name, inputs=(y,), outputs=node.outputs[:1], shape=shape))
        return
    x = node.inputs[0]
    for axis in range(len(given)):
        if axis in axes:
            at = axes.index(axis)
            indices = nearest(node, given[axis], sizes[at], scales[at])
            x = _pick(node, x, axis, indices, "float32", None)
    shape = node.graph.tensors[x].shape
    node.graph.append(Reshape(name=node.name, inputs=(x,), outputs=node.outputs[:1], shape=shape))


def _scales_and_sizes(node: OnnxNode, given: Shape, axes: Sequence[int]) -> tuple[list[float], list[int]]:
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
        made = [int(np.floor(np.float32(given[a]) * np.float32(s))) for a, s in zip(axes, scales, strict=True)]
    else:
        made = [int(v) for v in node.constant(3, "sizes")]
        if len(made) != len(axes):
            node.refuse(f"sizes {made} for {len(axes)} axes")
        scales = [m / given[a] for a, m in zip(axes, made, strict=True)]
        policy = node.attr("keep_aspect_ratio_policy", b"stretch")
        if policy not in (b"stretch", "stretch"):
            ratio = (min if policy in (b"not_larger", "not_larger") else max)(scales)
            scales = [ratio] * len(axes)
            made = [int(np.floor(given[a] * ratio + 0.5)) for a in axes]
    if min(made) < 1 or max(made) > 1 << 16:
        node.refuse(f"a result of sizes {made}")
    return [float(s) for s in scales], made


def import_tflite_resize(node: TfliteNode) -> None:
    """float32 arithmetic. Source: TFLite reference_ops::ResizeNearestNeighbor, GetNearestNeighbor."""
    options, wanted, given = node.options(tflite.ResizeNearestNeighborOptions), node.constant(1, "size"), node.shape(0)
    if wanted.size != 2 or len(given) != 4 or wanted.min() < 1 or wanted.max() > 4096:
        node.refuse(f"size {wanted.tolist()} of {list(given)}")
    x, dtype, quant = node.inputs[0], node.dtype, node.declared[0].quant
    for axis in (1, 2):
        size, out = given[axis], int(wanted.reshape(-1)[axis - 1])
        align, half = options.AlignCorners() and out > 1, np.float32(0.5 if options.HalfPixelCenters() else 0.0)
        scale = np.float32(size - 1) / np.float32(out - 1) if align else np.float32(size) / np.float32(out)
        at = (np.arange(out).astype(np.float32) + half) * scale
        picked = np.floor(at.astype(np.float64) + 0.5) if options.AlignCorners() else np.floor(at)
        x = _pick(node, x, axis, np.clip(picked, 0, size - 1).astype(np.int64), dtype, quant)
    node.emit(Reshape(name=node.name, inputs=(x,), outputs=node.outputs, shape=node.graph.tensors[x].shape))


ONNX = {"Gather": import_gather, "Resize": import_resize, "Upsample": import_resize}
TFLITE = {"RESIZE_NEAREST_NEIGHBOR": import_tflite_resize}
NODES = (Gather,)


def samples() -> Iterator[Sample]:
    yield one_node("Gather", {"x": (1, 5, 3)}, {"i": [[4, 0], [-2, 1]]}, label="Gather_rank_2", axis=1)
    yield one_node("Gather", {"x": (1, 5)}, {"i": 3}, label="Gather_scalar", axis=1)
    up = {"roi": np.zeros(0, np.float32), "scales": np.array([1, 1, 2, 2], np.float32)}
    yield one_node("Resize", {"x": (1, 3, 2, 3)}, up, label="Resize_2x", mode="nearest")
    down = {"roi": np.zeros(0, np.float32), "scales": np.zeros(0, np.float32), "sizes": [1, 2, 3, 7]}
    yield one_node("Resize", {"x": (1, 2, 5, 4)}, down, label="Resize_sizes", mode="nearest", nearest_mode="floor")
    linear = {"roi": np.zeros(0, np.float32), "scales": np.array([1, 1, 2, 1.5], np.float32)}
    yield one_node("Resize", {"x": (1, 2, 3, 4)}, linear, label="Resize_linear", mode="linear")
    scales = {"scales": np.array([1, 1, 2, 3], np.float32)}
    yield one_node("Upsample", {"x": (1, 2, 2, 2)}, scales, opset=9, mode="nearest")
