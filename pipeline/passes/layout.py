"""Channels-last without run-time transposes: every Transpose is postponed until something really needs it.

One walk in execution order keeps, for each tensor, how it is stored: as `name` permuted by `perm`. Operators
that work in any layout take the permutation along, weights of a dense layer after a flatten are reordered
instead of its input, and a permutation that reaches an input or an output of the network becomes part of how
that port is stored. What is left over becomes a real Transpose, or a Reshape when only axes of size 1 move.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from pipeline.builder import GraphBuilder
from pipeline.ir import Array, Graph, Node, Port, Shape
from pipeline.ops.activation import Activation
from pipeline.ops.clamp import Clamp
from pipeline.ops.dense import Dense
from pipeline.ops.requantize import Requantize
from pipeline.ops.reshape import Reshape
from pipeline.ops.transpose import Transpose

Perm = tuple[int, ...]


@dataclass(frozen=True)
class Stored:
    """tensor == transpose(stored tensor `name`, perm); `order` instead: tensor[..., i] == stored[..., order[i]]."""

    name: str
    perm: Perm
    order: tuple[int, ...] | None = None

    def to_file(self, values: Array) -> Array:
        """(n, *stored shape) -> (n, *shape in the model file)."""
        if self.order is not None:
            values = values[..., list(self.order)]
        return values.transpose(0, *(1 + p for p in self.perm))

    @property
    def plain(self) -> bool:
        return self.perm == tuple(range(len(self.perm))) and self.order is None


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
        self.real: dict[str, str] = {}

    def run(self) -> Graph:
        for tensor in self.graph.tensors.values():
            if tensor.data is not None:
                self.out.add(tensor)
                self.stored[tensor.name] = Stored(tensor.name, tuple(range(len(tensor.shape))))
        inputs = [self.input(port) for port in self.graph.inputs]
        for node in self.graph.nodes:
            self.place(node)
        outputs = [self.output(port) for port in self.graph.outputs]
        return self.out.build(inputs, outputs, self.graph.opset)

    def input(self, port: Port) -> Port:
        """Stored as its readers want it when they all begin with the same transpose."""
        tensor, wanted = self.graph.tensors[port.tensor], {self.wish(n) for n in self.readers[port.tensor]}
        perm = next(iter(wanted)) if len(wanted) == 1 else None
        perm = perm or tuple(range(len(tensor.shape)))
        self.out.add(replace(tensor, shape=tuple(tensor.shape[p] for p in perm)))
        self.stored[port.tensor] = Stored(port.tensor, tuple(int(i) for i in np.argsort(perm)))
        return replace(port, perm=perm)

    def wish(self, node: Node) -> Perm | None:
        return node.perm if isinstance(node, Transpose) else None

    def output(self, port: Port) -> Port:
        stored = self.stored[port.tensor]
        if stored.order is not None:
            return replace(port, tensor=self.materialize(port.tensor))
        return replace(port, tensor=stored.name, perm=tuple(int(i) for i in np.argsort(stored.perm)))

    def place(self, node: Node) -> None:
        if isinstance(node, Transpose):
            source = self.plain_order(node.inputs[0])
            self.stored[node.output] = Stored(source.name, tuple(source.perm[p] for p in node.perm))
        elif isinstance(node, Reshape):
            self.reshape(node)
        elif isinstance(node, Dense) and self.stored[node.inputs[0]].order is not None:
            self.reordered_dense(node)
        else:
            self.general(node)

    def general(self, node: Node) -> None:
        moving = [n for n in node.inputs if not self.graph.is_constant(n)]
        first = self.stored[moving[0]]
        if first.order is not None and isinstance(node, Activation | Clamp | Requantize):
            self.emit(node.renamed({node.inputs[0]: first.name}), first)
            return
        rank = len(first.perm)
        agree = all(self.stored[n].perm == first.perm and self.stored[n].order is None for n in moving) and all(
            len(self.graph.tensors[o].shape) == rank for o in node.outputs
        )
        if agree and not first.plain:
            moved = node.permuted(first.perm, self.graph)
            if moved is not None:
                names = {n: self.stored[n].name for n in moving}
                if node.elementwise:
                    names |= {n: self.constant(n, first.perm) for n in node.inputs if self.graph.is_constant(n)}
                self.emit(moved.renamed(names), first)
                return
        self.emit(node.renamed({n: self.materialize(n) for n in moving}), None)

    def emit(self, node: Node, like: Stored | None) -> None:
        """Append `node`, whose outputs are stored the way `like` is."""
        for name in node.outputs:
            rank = len(self.graph.tensors[name].shape)
            perm = like.perm if like else tuple(range(rank))
            self.stored[name] = Stored(name, perm, like.order if like else None)
        made = self.graph.tensors[node.output]
        self.out.append(node, made.dtype, made.quant)

    def constant(self, name: str, perm: Perm) -> str:
        """An operand of an elementwise operator, stored as its other operand is."""
        data = self.graph.constant(name)
        if data.ndim == 0 or data.size == 1:
            return name
        data = data.reshape((1,) * (len(perm) - data.ndim) + data.shape)
        return self.out.constant(f"{name}.stored", data.transpose(np.argsort(perm)), self.graph.tensors[name].quant)

    def reshape(self, node: Reshape) -> None:
        source = self.stored[node.inputs[0]]
        target = node.shape
        if source.order is None and not source.plain and len(target) >= 1 and self.only_dense(node.output):
            given = self.graph.tensors[node.inputs[0]].shape
            batch = prod(target[:-1])
            if batch == 1 and given[0] == 1 and source.perm[0] == 0:
                held = self.out.tensors[source.name].shape
                order = np.arange(prod(held)).reshape(held).transpose(source.perm).reshape(-1)
                made = self.graph.tensors[node.output]
                self.out.append(node.renamed({node.inputs[0]: source.name}), made.dtype, made.quant)
                self.stored[node.output] = Stored(node.output, tuple(range(len(target))), tuple(int(i) for i in order))
                return
        made = self.graph.tensors[node.output]
        self.out.append(node.renamed({node.inputs[0]: self.materialize(node.inputs[0])}), made.dtype, made.quant)
        self.stored[node.output] = Stored(node.output, tuple(range(len(target))))

    def only_dense(self, name: str) -> bool:
        """Whether every reader of `name` is a dense layer, or an activation with only such readers."""
        if any(p.tensor == name for p in self.graph.outputs) or not self.readers[name]:
            return False
        return all(
            isinstance(n, Dense) or (isinstance(n, Activation | Clamp | Requantize) and self.only_dense(n.output))
            for n in self.readers[name]
        )

    def reordered_dense(self, node: Dense) -> None:
        source = self.stored[node.inputs[0]]
        kernel = self.graph.constant(node.weights)
        # x[i] = stored[order[i]], so column order[i] of the new matrix is column i of the old one.
        moved = np.empty_like(kernel)
        moved[:, list(source.order or ())] = kernel
        name = self.out.constant(f"{node.weights}.stored", moved, self.graph.tensors[node.weights].quant)
        self.emit(replace(node, inputs=(source.name, name, *node.inputs[2:])), None)

    def plain_order(self, name: str) -> Stored:
        stored = self.stored[name]
        if stored.order is None:
            return stored
        made = self.materialize(name)
        return Stored(made, tuple(range(len(stored.perm))))

    def materialize(self, name: str) -> str:
        """The tensor in its own axis order, through a Reshape or Transpose appended once."""
        stored = self.stored[name]
        if stored.plain:
            return stored.name
        if name not in self.real:
            assert stored.order is None, "only dense layers read a reordered tensor"
            self.real[name] = self.transpose(stored, name)
        return self.real[name]

    def transpose(self, stored: Stored, name: str) -> str:
        held: Shape = self.out.tensors[stored.name].shape
        target = tuple(held[p] for p in stored.perm)
        moving = [p for p in stored.perm if held[p] != 1]
        made = self.out.fresh(f"{name}.plain" if name in self.out.tensors else name)
        dtype = self.out.tensors[stored.name].dtype
        label = self.out.fresh(f"{name}.transpose")
        if moving == sorted(moving):
            view = Reshape(name=label, inputs=(stored.name,), outputs=(made,), shape=target)
            return self.out.append(view, dtype=dtype)
        return self.out.append(
            Transpose(name=label, inputs=(stored.name,), outputs=(made,), perm=stored.perm), dtype=dtype
        )
