"""Channels-last without run-time transposes: every view is postponed until something really needs it.

One walk in execution order keeps, for each tensor, how it is stored: as `name` permuted by `perm`, perhaps with
further axes of size 1. So a Transpose is taken in, and a Reshape that only adds or drops axes of size 1 (every 1-D
operator stands between two of them). Operators that work in any layout take the permutation along, weights of a dense
layer after a flatten are reordered instead of its input, and a permutation that reaches an input or an output of the
network becomes part of how that port is stored. What is left over becomes a real Transpose, or a Reshape when only
axes of size 1 move.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from pipeline.graph.builder import GraphBuilder
from pipeline.graph.ir import Graph, Node
from pipeline.graph.tensor import Port, Shape
from pipeline.importing.passes.stored import Perm, Stored
from pipeline.ops.activation import Activation
from pipeline.ops.affine import Affine
from pipeline.ops.clamp import Clamp
from pipeline.ops.concat import Concat
from pipeline.ops.dense import Dense
from pipeline.ops.mean import Mean, block_of
from pipeline.ops.reduce import ReduceExtremum
from pipeline.ops.requantize import Requantize
from pipeline.ops.reshape import Reshape
from pipeline.ops.transpose import Transpose


def channels_last(graph: Graph) -> Graph:
    """The same network with spatial tensors stored channels-last and without movable transposes."""
    return _Layout(graph).run()


def layout(graph: Graph) -> Mapping[str, Stored]:
    """How `channels_last` stores each tensor of `graph`."""
    walk = _Layout(graph)
    walk.run()
    return walk.stored


class _Layout:
    def __init__(self, graph: Graph) -> None:
        self.graph, self.out = graph, GraphBuilder(graph.name)
        self.readers = graph.consumers()
        self.stored: dict[str, Stored] = {}
        self.materialized: dict[str, str] = {}
        self.ports, self.visible = ({p.tensor for p in side} for side in (graph.inputs, graph.outputs))
        self.labels: dict[str, str] = {}

    def run(self) -> Graph:
        for tensor in self.graph.tensors.values():
            if tensor.data is not None:
                self.out.add(tensor)
                self.stored[tensor.name] = Stored.as_is(tensor.name, len(tensor.shape))
        inputs = [self.input(port) for port in self.graph.inputs]
        for node in self.graph.nodes:
            self.lay_out(node)
        outputs: list[Port] = []
        for port in self.graph.outputs:
            outputs.append(self.output(port, {p.tensor for p in outputs}))
        return self.out.build(inputs, outputs, self.graph.opset)

    def input(self, port: Port) -> Port:
        """The input port, stored as its readers want it when they all begin with the same views."""
        tensor, perms = self.graph.tensors[port.tensor], self.wanted_perms(port.tensor)
        plain = tuple(range(len(tensor.shape)))
        perm, axes = next(iter(perms)) if len(perms) == 1 else (plain, plain)
        shape = tuple(tensor.shape[p] for p in perm)
        self.out.add(replace(tensor, shape=shape))
        self.stored[port.tensor] = Stored(port.tensor, tuple(int(i) for i in np.argsort(perm)), len(perm))
        if len(axes) > len(perm):
            wide_shape = [1] * len(axes)
            for size, axis in zip(shape, axes, strict=False):
                wide_shape[axis] = size
            axes = (*(axes[perm.index(a)] for a in plain), *axes[len(perm) :])
            self.stored[port.tensor] = Stored(self.view(port.tensor, port.tensor, tuple(wide_shape)), axes, len(perm))
        return replace(port, perm=perm)

    def wanted_perms(self, name: str) -> set[tuple[Perm, Perm]]:
        """The transposes that the tensor's readers begin with, looked for behind operators that take any layout.

        With each the positions of its axes behind a Reshape that follows and only adds axes, then those added.
        """
        perms: set[tuple[Perm, Perm]] = set()
        plain = tuple(range(len(self.graph.tensors[name].shape)))
        queue = [name]
        while queue:
            for node in self.readers[queue.pop()]:
                if node.follows_layout:
                    queue.append(node.output)
                elif isinstance(node, Transpose):
                    perms.add((node.perm, self.axes_after_reshape(node.output)))
                else:
                    perms.add((plain, plain))
        return perms

    def axes_after_reshape(self, name: str) -> Perm:
        """The positions of a tensor's axes once its only reader has added axes of size 1, then those added."""
        readers, shape = self.readers[name], self.graph.tensors[name].shape
        target = readers[0].shape if len(readers) == 1 and isinstance(readers[0], Reshape) else ()
        large = [i for i, d in enumerate(target) if d != 1]
        if len(target) < len(shape) or [target[i] for i in large] != [d for d in shape if d != 1]:
            return tuple(range(len(shape)))
        units = iter([i for i, d in enumerate(target) if d == 1])
        next_large = iter(large)
        return (*[next(units if d == 1 else next_large) for d in shape], *units)

    def output(self, port: Port, others: set[str]) -> Port:
        """The output port; no two outputs are one tensor, each has memory of its own."""
        stored = self.stored[port.tensor]
        if stored.order is not None:
            return replace(port, tensor=self.materialize(port.tensor))
        if len(stored.perm) > stored.rank:
            stored = self.squeeze(port.tensor, stored)
        if stored.name in others:
            shape = self.out.tensors[stored.name].shape
            stored = replace(stored, name=self.view(port.tensor, stored.name, shape))
        return replace(port, tensor=stored.name, perm=tuple(int(i) for i in np.argsort(stored.perm)))

    def lay_out(self, node: Node) -> None:
        if isinstance(node, Transpose):
            source = self.plain_order(node.inputs[0])
            perm = (*(source.perm[p] for p in node.perm), *source.perm[source.rank :])
            self.stored[node.output] = replace(source, perm=perm)
        elif isinstance(node, Reshape):
            self.reshape(node)
        elif isinstance(node, Dense) and self.stored[node.inputs[0]].order is not None:
            self.reorder_dense(node)
        else:
            self.lay_out_general(node)

    def lay_out_general(self, node: Node) -> None:
        moving = [n for n in node.inputs if not self.graph.is_constant(n)]
        first = self.stored[moving[0]]
        if first.order is not None and isinstance(node, Activation | Affine | Clamp | Requantize):
            self.emit(self.reorder_operands(node, first), first)
            return
        like = self.common_layout(moving)
        rank = None if like is None else like.rank
        if like is not None and not like.plain and all(len(self.graph.tensors[o].shape) == rank for o in node.outputs):
            permuted = node.permuted(like.perm, self.graph)
            if permuted is not None and self.reduced_axes_adjacent(permuted, self.as_layout(moving[0], like)):
                names = {n: self.as_layout(n, like) for n in moving}
                if node.elementwise or isinstance(node, Concat):
                    names |= {n: self.constant(n, like) for n in node.inputs if self.graph.is_constant(n)}
                self.emit(permuted.renamed(names), like)
                return
        self.emit(node.renamed({n: self.materialize(n) for n in moving}), None)

    def reduced_axes_adjacent(self, node: Node, name: str) -> bool:
        """Whether the axes that a reduction of the stored tensor `name` goes over lie side by side there."""
        if not isinstance(node, ReduceExtremum | Mean):
            return True
        return block_of(self.out.tensors[name].shape, node.axes) is not None

    def common_layout(self, names: Sequence[str]) -> Stored | None:
        """The layout of one of these tensors in which all can be read through views alone."""
        layouts = sorted((self.stored[n] for n in names), key=lambda s: -len(s.perm))
        return next((like for like in layouts if all(self.has_layout(n, like) for n in names)), None)

    def has_layout(self, name: str, like: Stored) -> bool:
        """Whether a tensor's bytes are what they would be if it were stored as `like` is."""
        own, shape = self.stored[name], self.graph.tensors[name].shape
        if own.order is not None or like.order is not None or own.rank != like.rank:
            return False
        axes = [a for a, d in enumerate(shape) if d != 1]
        return sorted(axes, key=lambda a: own.perm[a]) == sorted(axes, key=lambda a: like.perm[a])

    def as_layout(self, name: str, like: Stored) -> str:
        """The tensor stored as `like` is; it has to have that layout (`has_layout`)."""
        own, shape = self.stored[name], self.graph.tensors[name].shape
        like_shape = [1] * len(like.perm)
        for axis, size in zip(like.perm, shape, strict=False):
            like_shape[axis] = size
        if self.out.tensors[own.name].shape == tuple(like_shape):
            return own.name
        return self.view(name, own.name, tuple(like_shape))

    def view(self, name: str, source: str, shape: Shape) -> str:
        """A Reshape of the stored tensor `source`, which stands for `name`."""
        label = self.labels.get(name, f"{name}.view")
        reshape = Reshape(
            name=self.out.fresh(label), inputs=(source,), outputs=(self.out.fresh(f"{name}.view"),), shape=shape
        )
        tensor = self.out.tensors[source]
        return self.out.append(reshape, tensor.dtype, tensor.quant)

    def emit(self, node: Node, like: Stored | None) -> None:
        """Append `node`, whose outputs are stored the way `like` is."""
        for name in node.outputs:
            rank = len(self.graph.tensors[name].shape)
            self.stored[name] = replace(like, name=name) if like else Stored.as_is(name, rank)
        output = self.graph.tensors[node.output]
        self.out.append(node, output.dtype, output.quant)

    def constant(self, name: str, like: Stored) -> str:
        """An operand of an elementwise operator, stored as its other operand is."""
        data = self.graph.constant(name)
        if data.size == 1 and data.ndim != like.rank:
            return name
        data = data.reshape((1,) * (like.rank - data.ndim) + data.shape + (1,) * (len(like.perm) - like.rank))
        return self.out.constant(
            f"{name}.stored", data.transpose(np.argsort(like.perm)), self.graph.tensors[name].quant
        )

    def reshape(self, node: Reshape) -> None:
        source = self.stored[node.inputs[0]]
        target, output = node.shape, self.graph.tensors[node.output]
        self.labels[node.output] = node.name
        input_shape, plain = self.graph.tensors[node.inputs[0]].shape, Stored.as_is(node.output, len(target))
        order = source.order
        free = order is None and not source.plain and len(target) >= 1
        if free and input_shape and input_shape[0] == 1 and source.perm[0] == 0 and self.only_dense(node.output):
            stored_shape = self.out.tensors[source.name].shape
            flat_order = np.arange(prod(stored_shape)).reshape(stored_shape).transpose(source.perm).reshape(-1)
            order = tuple(int(i) for i in flat_order)
        if order is not None:
            self.out.append(node.renamed({node.inputs[0]: source.name}), output.dtype, output.quant)
            self.stored[node.output] = replace(plain, order=order)
            return
        viewed = self.unit_axes(node, source) if output.quant is None else None
        if viewed is not None and not (viewed.name in self.ports and node.output in self.visible):
            self.stored[node.output] = viewed
            return
        self.out.append(node.renamed({node.inputs[0]: self.materialize(node.inputs[0])}), output.dtype, output.quant)
        self.stored[node.output] = plain

    def unit_axes(self, node: Reshape, source: Stored) -> Stored | None:
        """How the result of a Reshape that only adds and drops axes of size 1 is stored; None for other ones."""
        input_shape = self.graph.tensors[node.inputs[0]].shape
        large = [a for a, d in enumerate(input_shape) if d != 1]
        if [input_shape[a] for a in large] != [d for d in node.shape if d != 1]:
            return None
        stored_shape = self.out.tensors[source.name].shape
        units = [i for i, d in enumerate(stored_shape) if d == 1]
        missing = len(node.shape) - len(large) - len(units)
        if missing > 0 and source.plain:
            return None
        if missing > 0:
            source = replace(source, name=self.view(node.output, source.name, (*stored_shape, *(1,) * missing)))
            units += range(len(stored_shape), len(stored_shape) + missing)
        next_large, next_unit = iter([source.perm[a] for a in large]), iter(units)
        perm = [next(next_unit if d == 1 else next_large) for d in node.shape]
        return Stored(source.name, (*perm, *next_unit), len(node.shape))

    def only_dense(self, name: str) -> bool:
        """Whether every reader of `name` is a dense layer of one row, or works element by element for only those."""
        queue = [name]
        while queue:
            name = queue.pop()
            shape = self.graph.tensors[name].shape
            if name in self.visible or not self.readers[name]:
                return False
            for node in self.readers[name]:
                single = isinstance(node, Affine) and self.graph.tensors[node.inputs[1]].size == 1
                if single or isinstance(node, Activation | Clamp | Requantize | Reshape):
                    queue.append(node.output)
                elif not isinstance(node, Affine | Dense) or prod(shape) != shape[-1]:
                    return False
                elif isinstance(node, Affine):
                    queue.append(node.output)
        return True

    def reorder_operands(self, node: Node, source: Stored) -> Node:
        """An operator of one activation on the stored order of its input."""
        names = {node.inputs[0]: source.name}
        for name in node.inputs[1:]:
            data = self.graph.constant(name)
            if data.size > 1:
                permuted = np.empty_like(data)
                permuted[list(source.order or ())] = data
                names[name] = self.out.constant(f"{name}.stored", permuted)
        return node.renamed(names)

    def reorder_dense(self, node: Dense) -> None:
        source = self.stored[node.inputs[0]]
        kernel = self.graph.constant(node.weights)
        # x[i] = stored[order[i]], so column order[i] of the new matrix is column i of the old one.
        permuted = np.empty_like(kernel)
        permuted[:, list(source.order or ())] = kernel
        name = self.out.constant(f"{node.weights}.stored", permuted, self.graph.tensors[node.weights].quant)
        self.emit(replace(node, inputs=(source.name, name, *node.inputs[2:])), None)

    def plain_order(self, name: str) -> Stored:
        stored = self.stored[name]
        if stored.order is None:
            return stored
        return Stored.as_is(self.materialize(name), stored.rank)

    def materialize(self, name: str) -> str:
        """The tensor in its own axis order, through a Reshape or Transpose appended once."""
        stored = self.stored[name]
        if stored.plain:
            return stored.name
        if name not in self.materialized:
            assert stored.order is None, "only dense layers read a reordered tensor"
            self.materialized[name] = self.transpose(stored, name)
        return self.materialized[name]

    def transpose(self, stored: Stored, name: str) -> str:
        shape: Shape = self.out.tensors[stored.name].shape
        large_axes = [p for p in stored.perm if shape[p] != 1]
        if large_axes != sorted(large_axes) and len(stored.perm) > stored.rank:
            stored = self.squeeze(name, stored)
        tensor = self.out.tensors[stored.name]
        output = self.out.fresh(f"{name}.plain" if name in self.out.tensors else name)
        if large_axes == sorted(large_axes):
            label = self.out.fresh(self.labels.get(name, f"{name}.transpose"))
            view = Reshape(name=label, inputs=(tensor.name,), outputs=(output,), shape=self.graph.tensors[name].shape)
            return self.out.append(view, tensor.dtype)
        label = self.out.fresh(f"{name}.transpose")
        transpose = Transpose(name=label, inputs=(tensor.name,), outputs=(output,), perm=stored.perm)
        return self.out.append(transpose, tensor.dtype)

    def squeeze(self, name: str, stored: Stored) -> Stored:
        """The stored tensor without the axes of size 1 that the tensor itself does not have."""
        axes = sorted(stored.perm[: stored.rank])
        shape = self.out.tensors[stored.name].shape
        view = self.view(name, stored.name, tuple(shape[i] for i in axes))
        return Stored(view, tuple(axes.index(p) for p in stored.perm[: stored.rank]), stored.rank)
