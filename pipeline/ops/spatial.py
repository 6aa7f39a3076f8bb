"""Between ONNX's channels-first layout and ours, for the operators with spatial dimensions."""

from pipeline.importers.onnx_node import OnnxNode
from pipeline.ops.reshape import Reshape
from pipeline.ops.transpose import Transpose


def channels_last(node: OnnxNode) -> str:
    """The node's first input as (n, h, w, c), through explicit views that the layout pass takes away again."""
    graph, x = node.graph, node.inputs[0]
    rank = node.rank()
    perm = (0, *range(2, rank), 1)
    x = graph.append(Transpose(name=f"{node.name}.last", inputs=(x,), outputs=(graph.fresh(f"{x}.last"),), perm=perm))
    if rank == 3:
        n, w, c = graph.tensors[x].shape
        x = graph.append(
            Reshape(name=f"{node.name}.2d", inputs=(x,), outputs=(graph.fresh(f"{x}.2d"),), shape=(n, 1, w, c))
        )
    return x


def channels_first(node: OnnxNode, y: str) -> None:
    """The inverse of `channels_last`, into the node's first output."""
    graph, rank = node.graph, node.rank()
    if rank == 3:
        n, _, w, c = graph.tensors[y].shape
        y = graph.append(
            Reshape(name=f"{node.name}.1d", inputs=(y,), outputs=(graph.fresh(f"{y}.1d"),), shape=(n, w, c))
        )
    perm = (0, rank - 1, *range(1, rank - 1))
    graph.append(Transpose(name=f"{node.name}.first", inputs=(y,), outputs=node.outputs[:1], perm=perm))
