"""An affine into the linear layers behind it: its scale into their weights, its offset into their biases.

Every branch behind it has to end in such a layer, through views, pools and means, which are as linear as it is (a
maximum for positive scales), and through zeros put in. An offset stops where padding is: zeros are padded behind it.
"""

from dataclasses import dataclass, field, replace
from math import isinf, prod

import numpy as np

from pipeline.graph.affine_form import AffineForm
from pipeline.graph.ir import Graph, Node
from pipeline.graph.tensor import Array, QuantParams
from pipeline.importing.passes.commute import MAX_ELEMENTS, broadcast_along
from pipeline.importing.passes.editing import GraphEditor
from pipeline.ops.affine import Affine
from pipeline.ops.shared.linear import Linear

MAX_PRECISION_LOSS = 16.0
"""The largest factor by which an input's weights may lose their share of int8's range to those of the others.

An affine that makes channels of unlike size alike belongs in front of the weights, which would take over the unlikeness
and lose the small ones to rounding; one that undoes an unlikeness of the weights belongs into them.
"""


@dataclass(eq=False)
class _FoldPlan:
    """The nodes that change when an affine is folded, by their slots."""

    changed: dict[int, Node] = field(default_factory=dict)
    layers: dict[int, tuple[Array, Array]] = field(default_factory=dict)
    """Scale and offset of each input of a linear layer."""


def fold_forward(graph: Graph) -> Graph:
    """Fold BatchNormalization and per-channel constants into the weights and biases of the layers behind them."""
    editing = GraphEditor(graph)
    for slot in reversed(range(len(editing.nodes))):
        node = editing.nodes[slot]
        if isinstance(node, Affine) and isinf(node.low) and isinf(node.high):
            _fold(editing, slot, node)
    return editing.graph()


def _fold(editing: GraphEditor, slot: int, affine: Affine) -> None:
    shape = editing.shape(affine.output)
    if prod(shape) > MAX_ELEMENTS:
        return
    values = (editing.data(n).astype(np.float64) for n in affine.inputs[1:3])
    scale, offset = (
        np.broadcast_to(v.reshape(()) if v.size == 1 else broadcast_along(v, affine.axis, len(shape)), shape)
        for v in values
    )
    plan = _FoldPlan()
    if not _plan_readers(editing, affine.output, AffineForm(scale, offset), plan):
        return
    folded = {
        slot_of_layer: _fold_into_layer(editing, slot_of_layer, *affine_form, set(plan.layers))
        for slot_of_layer, affine_form in plan.layers.items()
    }
    if any(f is None for f in folded.values()):
        return
    _apply(editing, slot, affine, plan, {slot_of_layer: f for slot_of_layer, f in folded.items() if f is not None})


def _plan_readers(editing: GraphEditor, name: str, form: AffineForm, plan: _FoldPlan) -> bool:
    """Whether every reader of a tensor takes the affine in or passes it on; notes how in the plan."""
    queue = [(name, form)]
    while queue:
        name, form = queue.pop()
        if not editing.is_internal(name) or not editing.readers[name]:
            return False
        for slot in editing.readers[name]:
            node = editing.node(slot)
            if name in node.inputs[1:]:
                return False
            if isinstance(node, Linear):
                channels = _per_input_channel(node, form)
                if channels is None:
                    return False
                plan.layers[slot] = channels
                continue
            result = node.before_affine(form, editing.shape(node.output))
            if result is None:
                return False
            plan.changed[slot], output_form = result
            queue.append((node.output, output_form))
    return True


def _per_input_channel(node: Linear, form: AffineForm) -> tuple[Array, Array] | None:
    """Scale and offset of each of the layer's inputs (the last axis), None where they differ between positions."""
    rank = form.scale.ndim
    if not form.constant_along(tuple(range(rank - 1))) or (node.padded and form.offset.any()):
        return None
    first = (0,) * (rank - 1)
    return form.scale[first], form.offset[first]


def _fold_into_layer(
    editing: GraphEditor, slot: int, scale: Array, offset: Array, layers: set[int]
) -> tuple[Array, Array, QuantParams | None] | None:
    """New weights and bias of a layer, None when that loses precision or would be a second copy of shared ones."""
    node = editing.node(slot)
    assert isinstance(node, Linear)
    if not editing.layers_sharing_weights(node) <= layers:
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
        new_kernel = (kernel * factors).astype(np.float32)
        new_bias = (bias + (kernel * offsets).reshape(len(kernel), -1).sum(axis=1)).astype(np.float32)
    if not (np.isfinite(new_kernel).all() and np.isfinite(new_bias).all()) or not _keeps_precision(
        kernel, kernel * factors, factors
    ):
        return None
    return new_kernel, new_bias, quant


def _keeps_precision(before: Array, after: Array, factors: Array) -> bool:
    """Whether no input loses more than MAX_PRECISION_LOSS of its weights' share of the range of their outputs."""
    shares = []
    for kernel in (before, after):
        rows = np.abs(kernel).reshape(len(kernel), -1, kernel.shape[-1]).max(axis=1, initial=0)
        shares.append(rows / np.maximum(rows.max(axis=1, keepdims=True, initial=0), np.finfo(np.float64).tiny))
    read = (shares[0] > 0) & (factors.reshape(len(before), -1) != 0)
    # Weights that round to nothing before are none to lose.
    read &= shares[0] > 1 / 256
    return bool((shares[1][read] * MAX_PRECISION_LOSS >= shares[0][read]).all())


def _apply(
    editing: GraphEditor, slot: int, affine: Affine, plan: _FoldPlan,
    folded: dict[int, tuple[Array, Array, QuantParams | None]],
) -> None:  # fmt: skip
    kernels: dict[tuple[str, bytes], str] = {}
    for slot_of_node, (kernel, bias, quant) in folded.items():
        node = editing.node(slot_of_node)
        assert isinstance(node, Linear)
        key = (node.weights, kernel.tobytes())
        if key not in kernels:
            kernels[key] = editing.constant(f"{node.weights}.folded", kernel, quant)
        plan.changed[slot_of_node] = replace(
            node, inputs=(node.inputs[0], kernels[key], editing.constant(f"{node.bias}.folded", bias), *node.inputs[3:])
        )
    editing.put(slot, None)
    # What views and pools make is another value now, and gets another name.
    moved_outputs = [n.output for slot_of_node, n in plan.changed.items() if slot_of_node not in folded]
    names = {affine.output: affine.inputs[0], **{n: editing.replacement(n) for n in moved_outputs}}
    for slot_of_node, node in plan.changed.items():
        editing.put(slot_of_node, node.renamed(names))
