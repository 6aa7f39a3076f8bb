"""An affine into the linear layers behind it: its scale into their weights, its offset into their biases.

Every branch behind it has to end in such a layer, through views, pools and means, which are as linear as it is (a
maximum for positive scales), and through zeros put in. An offset stops where padding is: zeros are padded behind it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import isinf, prod

import numpy as np

from pipeline.graph.ir import Graph, Node
from pipeline.graph.tensor import Array, QuantParams
from pipeline.importing.passes.commute import LARGEST, along
from pipeline.importing.passes.editing import Editing
from pipeline.ops.affine import Affine
from pipeline.ops.average_pool import AveragePool
from pipeline.ops.conv_transpose import Spread
from pipeline.ops.max_pool import MaxPool
from pipeline.ops.mean import Mean
from pipeline.ops.pad import Pad
from pipeline.ops.reshape import Reshape
from pipeline.ops.shared.linear import Linear
from pipeline.ops.transpose import Transpose

FINEST = 16.0
"""How much of its share of int8's range an input's weights may lose at most against those of the others.

An affine that makes channels of unlike size alike belongs in front of the weights, which would take over the unlikeness
and lose the small ones to rounding; one that undoes an unlikeness of the weights belongs into them.
"""


@dataclass(frozen=True, eq=False)
class _Carried:
    """What a tensor is once the affine is taken out: tensor == scale * other + offset, arrays that broadcast to it."""

    scale: Array
    offset: Array

    def mapped(self, function: Callable[[Array], Array]) -> "_Carried":
        return _Carried(function(self.scale), function(self.offset))

    def constant_along(self, axes: tuple[int, ...]) -> bool:
        return all((v == v.take([0], axis=a)).all() for v in (self.scale, self.offset) for a in axes)


@dataclass(eq=False)
class _Plan:
    """The nodes that change when an affine goes, by their slots."""

    changed: dict[int, Node] = field(default_factory=dict)
    layers: dict[int, tuple[Array, Array]] = field(default_factory=dict)
    """Scale and offset of each input of a linear layer."""


def fold_forward(graph: Graph) -> Graph:
    """BatchNormalization and per-channel constants into the weights and biases of the layers behind them."""
    editing = Editing(graph)
    for slot in reversed(range(len(editing.nodes))):
        node = editing.nodes[slot]
        if isinstance(node, Affine) and isinf(node.low) and isinf(node.high):
            _fold(editing, slot, node)
    return editing.graph()


def _fold(editing: Editing, slot: int, affine: Affine) -> None:
    shape = editing.shape(affine.output)
    if prod(shape) > LARGEST:
        return
    values = (editing.data(n).astype(np.float64) for n in affine.inputs[1:3])
    scale, offset = (
        np.broadcast_to(v.reshape(()) if v.size == 1 else along(v, affine.axis, len(shape)), shape) for v in values
    )
    plan = _Plan()
    if not _follow(editing, affine.output, _Carried(scale, offset), plan):
        return
    folded = {at: _folded(editing, at, *given, set(plan.layers)) for at, given in plan.layers.items()}
    if any(f is None for f in folded.values()):
        return
    _apply(editing, slot, affine, plan, {at: f for at, f in folded.items() if f is not None})


def _follow(editing: Editing, name: str, carried: _Carried, plan: _Plan) -> bool:
    """Whether every reader of a tensor takes the affine in or passes it on; notes how in the plan."""
    waiting = [(name, carried)]
    while waiting:
        name, carried = waiting.pop()
        if not editing.inner(name) or not editing.readers[name]:
            return False
        for slot in editing.readers[name]:
            node = editing.node(slot)
            if name in node.inputs[1:]:
                return False
            if isinstance(node, Linear):
                given = _per_input(node, carried)
                if given is None:
                    return False
                plan.layers[slot] = given
                continue
            passed = _passed(editing, node, carried)
            if passed is None:
                return False
            plan.changed[slot], after = passed
            waiting.append((node.output, after))
    return True


def _per_input(node: Linear, carried: _Carried) -> tuple[Array, Array] | None:
    """Scale and offset of each of the layer's inputs (the last axis), None where they differ from place to place."""
    rank = carried.scale.ndim
    if not carried.constant_along(tuple(range(rank - 1))) or (node.padded and carried.offset.any()):
        return None
    first = (0,) * (rank - 1)
    return carried.scale[first], carried.offset[first]


def _passed(editing: Editing, node: Node, carried: _Carried) -> tuple[Node, _Carried] | None:
    """The node without the affine in front of it, and what is then behind it; None when it cannot pass."""
    shape = editing.shape(node.output)
    if isinstance(node, Reshape):
        return node, carried.mapped(lambda v: v.reshape(shape))
    if isinstance(node, Transpose):
        return node, carried.mapped(lambda v: v.transpose(node.perm))
    if isinstance(node, Pad):
        return _padded(node, carried)
    if isinstance(node, Mean):
        alike = carried.constant_along(node.axes) and isinf(node.low) and isinf(node.high)
        count = prod(editing.shape(node.inputs[0])[a] for a in node.axes) if node.total else 1
        after = carried.mapped(lambda v: _first(v, node.axes))
        return (node, _Carried(after.scale, after.offset * count)) if alike else None
    if not isinstance(node, Spread | MaxPool | AveragePool) or not carried.constant_along((1, 2)):
        return None
    if isinstance(node, Spread):
        passes = not carried.offset.any()
    elif isinstance(node, MaxPool):
        passes = bool((carried.scale > 0).all())
    else:
        passes = isinf(node.low) and isinf(node.high) and not (any(node.counted) and carried.offset.any())
    return (node, carried.mapped(lambda v: np.broadcast_to(_first(v, (1, 2)), shape))) if passes else None


def _first(values: Array, axes: tuple[int, ...]) -> Array:
    return values[tuple(slice(0, 1) if a in axes else slice(None) for a in range(values.ndim))]


def _padded(node: Pad, carried: _Carried) -> tuple[Node, _Carried] | None:
    """Padding with the value that the affine makes the old one of."""
    scale, offset, value = carried.scale.flat[0], carried.offset.flat[0], node.value
    around = list(zip(node.begin, node.end, strict=True))
    if value or carried.offset.any():
        if not carried.constant_along(tuple(range(carried.scale.ndim))) or not scale:
            return None
        value = float((value - offset) / scale)
        if not np.isfinite(np.float32(value)):
            return None
    return replace(node, value=value), carried.mapped(lambda v: np.pad(v, around, mode="edge"))


def _folded(
    editing: Editing, slot: int, scale: Array, offset: Array, layers: set[int]
) -> tuple[Array, Array, QuantParams | None] | None:
    """New weights and bias of a layer, None when they cannot be said well, or would be a second copy of shared ones."""
    node = editing.node(slot)
    assert isinstance(node, Linear)
    if not editing.sharers(node) <= layers:
        return None
    kernel, bias = editing.data(node.weights).astype(np.float64), editing.data(node.bias).astype(np.float64)
    quant = editing.out.tensors[node.weights].quant
    if quant is not None:
        if not (scale == scale[0]).all() or not scale[0] > 0:
            return None
        quant = replace(quant, scale=tuple(float(s * scale[0]) for s in quant.scale))
    groups = node.group_count
    factors, offsets = (
        np.repeat(v.reshape(groups, -1), len(kernel) // groups, axis=0).reshape(
            len(kernel), *(1,) * (kernel.ndim - 2), -1
        )
        for v in (scale, offset)
    )
    with np.errstate(over="ignore", invalid="ignore"):
        made = (kernel * factors).astype(np.float32)
        moved = (bias + (kernel * offsets).reshape(len(kernel), -1).sum(axis=1)).astype(np.float32)
    if not (np.isfinite(made).all() and np.isfinite(moved).all()) or not _fine(kernel, kernel * factors, factors):
        return None
    return made, moved, quant


def _fine(before: Array, after: Array, factors: Array) -> bool:
    """Whether no input loses more than FINEST of its weights' share of the range of the outputs that they go to."""
    shares = []
    for kernel in (before, after):
        rows = np.abs(kernel).reshape(len(kernel), -1, kernel.shape[-1]).max(axis=1, initial=0)
        shares.append(rows / np.maximum(rows.max(axis=1, keepdims=True, initial=0), np.finfo(np.float64).tiny))
    read = (shares[0] > 0) & (factors.reshape(len(before), -1) != 0)
    # Weights that round to nothing before are none to lose.
    read &= shares[0] > 1 / 256
    return bool((shares[1][read] * FINEST >= shares[0][read]).all())


def _apply(
    editing: Editing, slot: int, affine: Affine, plan: _Plan,
    folded: dict[int, tuple[Array, Array, QuantParams | None]],
) -> None:  # fmt: skip
    made: dict[tuple[str, bytes], str] = {}
    for at, (kernel, bias, quant) in folded.items():
        node = editing.node(at)
        assert isinstance(node, Linear)
        key = (node.weights, kernel.tobytes())
        if key not in made:
            made[key] = editing.constant(f"{node.weights}.folded", kernel, quant)
        plan.changed[at] = replace(
            node, inputs=(node.inputs[0], made[key], editing.constant(f"{node.bias}.folded", bias), *node.inputs[3:])
        )
    editing.put(slot, None)
    # What views and pools make is another value now, and gets another name.
    passing = [n.output for at, n in plan.changed.items() if at not in folded]
    names = {affine.output: affine.inputs[0], **{n: editing.renewed(n) for n in passing}}
    for at, node in plan.changed.items():
        editing.put(at, node.renamed(names))
