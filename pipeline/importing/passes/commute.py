"""Clamps and affines in front of what only moves values, so that they meet the layer that can take them in.

Conv, Flatten, Relu is Conv, Relu, Flatten; Conv, MaxPool, Relu is Conv, Relu, MaxPool, for a maximum of clamped values
is the clamped maximum. What nobody can take in stays where it is: behind a MaxPool there is less of it to compute.
"""

from dataclasses import replace
from math import isinf, prod

import numpy as np

from pipeline.graph.ir import ClampedNode, Graph, Node
from pipeline.graph.tensor import Array, Shape
from pipeline.importing.passes.editing import GraphEditor
from pipeline.ops.affine import Affine
from pipeline.ops.clamp import Clamp
from pipeline.ops.max_pool import MaxPool
from pipeline.ops.reshape import Reshape
from pipeline.ops.shared.linear import Linear
from pipeline.ops.transpose import Transpose

MAX_PATH = 16
"""Nodes past which a clamp moves; no real network has more of them in a row."""
MAX_ELEMENTS = 1 << 22
"""Elements of a tensor through which channels are followed."""


def commute(graph: Graph) -> Graph:
    """The same network with every clamp and affine directly behind the layer that can take it in."""
    editing = GraphEditor(graph)
    for slot in range(len(editing.nodes)):
        _move_before_path(editing, slot)
    return editing.graph()


def _move_before_path(editing: GraphEditor, slot: int) -> None:
    node = editing.node(slot)
    if not isinstance(node, Clamp | Affine):
        return
    path: list[int] = []
    name = node.inputs[0]
    while len(path) < MAX_PATH and (producer := editing.producer(name)) is not None:
        if not editing.is_internal(name) or len(editing.readers[name]) != 1:
            return
        moving = editing.node(producer)
        if not moving.commutes_with_clamp:
            break
        path.insert(0, producer)
        name = moving.inputs[0]
    if producer is None or not path or producer in path:
        return
    moved_node = _as_root_consumer(editing, node, [editing.node(s) for s in path], editing.node(producer))
    if moved_node is None:
        return
    moved_output = editing.fresh(f"{node.output}.early", editing.shape(name))
    slots = [*path, slot]
    nodes = [
        moved_node.renamed({moved_node.inputs[0]: name, node.output: moved_output}),
        *(editing.node(s) for s in path),
    ]
    # What the path makes is another value now, and gets another name.
    names = {editing.node(s).output: editing.replacement(editing.node(s).output) for s in path[:-1]}
    names |= {name: moved_output, node.inputs[0]: node.output}
    nodes[1:] = [n.renamed(names) for n in nodes[1:]]
    for index, new_node in zip(slots, nodes, strict=True):
        editing.put(index, new_node)


def _as_root_consumer(editing: GraphEditor, node: Node, path: list[Node], root: Node) -> Node | None:
    """`node` as it works on the root's output, None when the root cannot take it in."""
    if isinstance(node, Clamp):
        return node if isinstance(root, ClampedNode) else None
    if not isinstance(node, Affine) or not isinstance(root, Linear):
        return None
    if not (isinf(root.low) and isinf(root.high)):
        return None
    scale = editing.data(node.inputs[1])
    if any(not isinstance(n, Reshape | Transpose) and not (isinstance(n, MaxPool) and (scale > 0).all()) for n in path):
        return None
    if scale.size == 1:
        return replace(node, axis=len(editing.shape(root.output)) - 1)
    axis = _axis_before(editing, node, path)
    return None if axis is None else replace(node, axis=axis)


def _axis_before(editing: GraphEditor, node: Affine, path: list[Node]) -> int | None:
    """The axis of the path's first input that is the node's axis behind the path."""
    shape = editing.shape(node.inputs[0])
    if prod(shape) > MAX_ELEMENTS:
        return None
    index = np.broadcast_to(broadcast_along(np.arange(shape[node.axis]), node.axis, len(shape)), shape)
    for view in reversed(path):
        before = editing.shape(view.inputs[0])
        if isinstance(view, Reshape):
            index = index.reshape(before)
        elif isinstance(view, Transpose):
            index = index.transpose(np.argsort(view.perm))
        else:  # MaxPool keeps its four axes; only the last can be followed through its window
            if (index != index[:1, :1, :1]).any():
                return None
            index = np.broadcast_to(index[:1, :1, :1], before)
    return axis_of(index, shape[node.axis])


def broadcast_along(values: Array, axis: int, rank: int) -> Array:
    return values.reshape([-1 if i == axis else 1 for i in range(rank)])


def axis_of(index: Array, count: int) -> int | None:
    """The axis along which an array counts from 0 to `count` - 1, the same everywhere else; None when there is none."""
    shape: Shape = index.shape
    for axis, size in enumerate(shape):
        if size == count and (index == broadcast_along(np.arange(size), axis, len(shape))).all():
            return axis
    return None
