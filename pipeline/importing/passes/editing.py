"""A graph whose nodes can be replaced one by one, with producers and readers kept up to date."""

from collections.abc import Set
from hashlib import sha256

from pipeline.graph.builder import GraphBuilder
from pipeline.graph.ir import Graph, Node
from pipeline.graph.tensor import Array, QuantParams, Shape, Tensor
from pipeline.ops.shared.linear import Linear


class GraphEditor:
    """The nodes of a graph by slot, which is a position in execution order; a slot may become empty."""

    def __init__(self, graph: Graph) -> None:
        self.source = graph
        self.nodes: list[Node | None] = list(graph.nodes)
        self.visible = {p.tensor for p in graph.outputs}
        self.producers = {name: slot for slot, node in enumerate(graph.nodes) for name in node.outputs}
        self.readers: dict[str, list[int]] = {n: [] for n in graph.tensors}
        for slot, node in enumerate(graph.nodes):
            for name in dict.fromkeys(node.inputs):
                self.readers[name].append(slot)
        self.out = GraphBuilder(graph.name)
        self.out.tensors.update(graph.tensors)
        self.digests: dict[str, bytes] = {}
        self._layers: dict[bytes, set[int]] | None = None

    def put(self, slot: int, node: Node | None) -> None:
        """Put another node, or none, into a slot."""
        old = self.nodes[slot]
        for name in dict.fromkeys(old.inputs if old else ()):
            self.readers[name].remove(slot)
        if self._layers is not None and isinstance(old, Linear):
            self._layers[self.digest(old.weights)].remove(slot)
        self.nodes[slot] = node
        if self._layers is not None and isinstance(node, Linear):
            self._layers.setdefault(self.digest(node.weights), set()).add(slot)
        for name in dict.fromkeys(node.inputs if node else ()):
            self.readers.setdefault(name, []).append(slot)
        self.producers |= dict.fromkeys(node.outputs if node else (), slot)

    def node(self, slot: int) -> Node:
        node = self.nodes[slot]
        assert node is not None
        return node

    def producer(self, name: str) -> int | None:
        """The slot whose node computes a tensor; None for inputs and constants."""
        return self.producers.get(name)

    def is_internal(self, name: str) -> bool:
        """Whether nobody but its readers sees a tensor: it is no output, and the file prescribes no scale for it."""
        return name not in self.visible and self.out.tensors[name].quant is None

    def shape(self, name: str) -> Shape:
        return self.out.tensors[name].shape

    def data(self, name: str) -> Array:
        return self.out.constant_data(name)

    def digest(self, name: str) -> bytes:
        """A digest of a constant, the same for constants of the same shape, type and bytes."""
        if name not in self.digests:
            data = self.data(name)
            self.digests[name] = sha256(repr((data.shape, data.dtype.str)).encode() + data.tobytes()).digest()
        return self.digests[name]

    def layers_sharing_weights(self, layer: Linear) -> Set[int]:
        """The slots of layers whose weights are these: equal ones are stored once, whatever their names."""
        if self._layers is None:
            self._layers = {}
            for slot, node in enumerate(self.nodes):
                if isinstance(node, Linear):
                    self._layers.setdefault(self.digest(node.weights), set()).add(slot)
        return self._layers[self.digest(layer.weights)]

    def constant(self, hint: str, data: Array, quant: QuantParams | None = None) -> str:
        return self.out.constant(hint, data, quant)

    def fresh(self, hint: str, shape: Shape) -> str:
        """Add a new activation; its name."""
        return self.out.add(Tensor(self.out.fresh(hint), shape))

    def replacement(self, name: str) -> str:
        """Add a new activation that replaces another one, with other values; its name."""
        return self.fresh(f"{name}.moved", self.shape(name))

    def graph(self) -> Graph:
        """The graph in its present state; shapes are inferred again."""
        builder = GraphBuilder.beside(self.source, self.out.tensors)
        for node in filter(None, self.nodes):
            tensor = self.out.tensors[node.output]
            builder.append(node, tensor.dtype, tensor.quant)
        return builder.build(self.source.inputs, self.source.outputs, self.source.opset)
