"""Data movement of any kind by a table of indices, for the operators that ONNX defines as moving entries about.

Which entry goes where is asked of ONNX's reference evaluator, once, on a tensor of consecutive numbers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from onnx import helper
from onnx.reference import ReferenceEvaluator

from pipeline.graph.facets import NodeQuantizer, OnnxEmitter
from pipeline.graph.ir import Graph, Node
from pipeline.graph.kernel_call import KernelCall, suffix
from pipeline.graph.kernel_params.moves import SelectParams
from pipeline.graph.tensor import Array, Shape
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.ops.shared.samples import Sample, one_node

SUMMARY = "a table of indices"
NONE = 65535
LARGEST = 1 << 20
"""The index of an entry that is zero."""
OPERATORS = (
    "CenterCropPad", "Compress", "DepthToSpace", "Expand", "GatherElements", "GatherND", "ReverseSequence",
    "SpaceToDepth", "Tile", "Trilu",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Select(Node):
    """x, indices (k,) int32 -> y of `shape`: y[i] = x[indices[i]] in row-major order, zero where that is NONE."""

    shape: Shape

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (self.shape,)

    def permuted(self, perm: tuple[int, ...], graph: Graph) -> None:
        return None

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        indices = graph.constant(self.inputs[1])
        flat = emit.node("Reshape", [self.inputs[0], emit.integers([-1])])
        picked = emit.node("Gather", [flat, emit.integers(np.where(indices == NONE, 0, indices).tolist())], axis=0)
        masked = emit.node("Mul", [picked, emit.floats((indices != NONE).astype(np.float32))])
        emit.node("Reshape", [masked, emit.integers(self.shape)], self.output)

    def ties(self) -> tuple[tuple[str, str], ...]:
        return ((self.inputs[0], self.output),)

    def quantize(self, quantizer: NodeQuantizer) -> None:
        indices = quantizer.constant(self.inputs[1], quantizer.graph.constant(self.inputs[1]))
        quantizer.pass_through(self.renamed({self.inputs[1]: indices}))

    def _zero(self, graph: Graph) -> int:
        quant = graph.tensors[self.output].quant
        return quant.zero_point if quant else 0

    def arithmetic(self) -> str:
        return "exact"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        flat, indices = inputs[0].reshape(len(inputs[0]), -1), inputs[1].reshape(-1)
        picked = flat[:, np.where(indices == NONE, 0, indices)]
        return (np.where(indices == NONE, self._zero(graph), picked).reshape(-1, *self.shape),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        return [
            KernelCall(
                kernel="select" + suffix(graph.tensors[self.output].dtype),
                node=self.name,
                inputs=self.inputs[:1],
                outputs=self.outputs,
                params=SelectParams(
                    indices=graph.constant(self.inputs[1]).astype(np.uint16),
                    count=prod(self.shape),
                    zero=self._zero(graph),
                ),
            )
        ]


def import_select(node: OnnxNode) -> None:
    """An operator that moves the entries of its first input; the others are constants."""
    size = prod(node.shape(0))
    if size >= NONE:
        node.refuse(f"an input of {size} values", f"Fewer than {NONE} are supported.")
    if _result_size(node, size) > LARGEST:
        node.refuse(f"a result of more than {LARGEST} values")
    numbered = np.arange(1, size + 1, dtype=np.float32).reshape(node.shape(0))
    append_select(node, _gather_elements(node, numbered) if node.op == "GatherElements" else evaluated(node, numbered))


def append_select(node: OnnxNode, moved: Array) -> None:
    """Append the node's first input rearranged: `moved` numbers the entries of the result, from 1; 0: none."""
    size = prod(node.shape(0))
    if not moved.size or moved.size > LARGEST:
        node.refuse(f"a result of shape {list(moved.shape)}")
    if moved.max(initial=0) > size or moved.min(initial=0) < 0 or (moved != np.rint(moved)).any():
        node.refuse("more than moving its entries")
    indices = np.where(moved == 0, NONE, moved - 1).astype(np.int32).reshape(-1)
    name = node.graph.constant(f"{node.name}.indices", indices)
    node.graph.append(
        Select(name=node.name, inputs=(node.inputs[0], name), outputs=node.outputs[:1], shape=tuple(moved.shape))
    )


def _result_size(node: OnnxNode, size: int) -> float:
    """An upper bound on the size of the result, known before it is evaluated."""
    if node.op in ("Expand", "CenterCropPad", "Tile"):
        sizes = [abs(float(v)) for v in node.constant(1, "shape").reshape(-1)]
        return prod(max(v, 1.0) for v in sizes) * size
    return 0.0


def _gather_elements(node: OnnxNode, x: Array) -> Array:
    """GatherElements. Source: ONNX. The evaluator takes time without bound on shapes that do not fit."""
    axis, indices = node.axis(int(node.attr("axis", 0)), x.ndim), node.constant(1, "indices").astype(np.int64)
    bound = x.shape[axis]
    others = [n <= d for i, (n, d) in enumerate(zip(indices.shape, x.shape, strict=False)) if i != axis]
    if (
        indices.ndim != x.ndim
        or not all(others)
        or not indices.size
        or indices.min() < -bound
        or indices.max() >= bound
    ):
        node.refuse(f"indices of shape {list(indices.shape)} into {list(x.shape)}")
    inside = x[tuple(slice(None) if i == axis else slice(n) for i, n in enumerate(indices.shape))]
    return np.take_along_axis(inside, indices % bound, axis)


def evaluated(node: OnnxNode, x: Array) -> Array:
    """The value of the node on `x`, its other inputs being constants, by ONNX's reference evaluator."""
    feeds = {"x": x}
    names = ["x"]
    for i in range(1, len(node.inputs)):
        names.append(f"c{i}" if node.has(i) else "")
        if node.has(i):
            feeds[f"c{i}"] = node.constant(i, "parameter")
    proto = helper.make_node(node.op, names, ["y"], **{k: v for k, v in node.attributes.items() if v is not None})
    try:
        result = ReferenceEvaluator(proto, opsets={"": node.opset}).run(None, feeds)
    except Exception as error:  # the evaluator raises whatever NumPy raises
        node.refuse(f"cannot be evaluated: {(str(error).splitlines() or [type(error).__name__])[0]}")
    return np.asarray(result[0])


ONNX = dict.fromkeys(OPERATORS, import_select)
NODES = (Select,)


def samples() -> Iterator[Sample]:
    yield one_node("Expand", {"x": (1, 3, 1)}, {"s": [1, 3, 4]})
    yield one_node("Tile", {"x": (1, 2, 3)}, {"r": [1, 2, 2]})
    yield one_node("DepthToSpace", {"x": (1, 8, 2, 3)}, blocksize=2)
    yield one_node("SpaceToDepth", {"x": (1, 2, 4, 4)}, blocksize=2)
    yield one_node("Trilu", {"x": (1, 4, 5)}, {"k": 1}, upper=0)
    yield one_node("CenterCropPad", {"x": (1, 6, 5)}, {"s": [4, 8]}, opset=18, axes=[1, 2])
    yield one_node("GatherElements", {"x": (1, 3, 3)}, {"i": [[[0, 2, 1], [2, 0, 0]]]}, label="GatherElements", axis=1)
    yield one_node("GatherND", {"x": (1, 2, 3)}, {"i": [[0, 1], [0, 0]]}, label="GatherND")
    yield one_node("ReverseSequence", {"x": (4, 2)}, {"l": [4, 2]}, time_axis=0, batch_axis=1)
    condition = {"c": np.array([False, True, True])}
    yield one_node("Compress", {"x": (1, 3, 2)}, condition, axis=1)
