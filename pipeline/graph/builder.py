"""A graph while it is being written: names kept unique, shapes inferred, unused constants dropped."""

from collections.abc import Mapping, Sequence

from pipeline.facts.errors import ChipfitError
from pipeline.graph.ir import Graph, Node
from pipeline.graph.tensor import Array, Port, QuantParams, Tensor

MAX_ACTIVATION = 1 << 24
"""Values of one tensor between layers: ten times the RAM of the largest microcontrollers."""
MAX_CONSTANTS = 1 << 26
"""Values of all constants together, including those that passes compute from them."""
_HINT = "No microcontroller holds that."


class GraphBuilder:
    """Collects tensors and nodes in execution order; `build` freezes them."""

    def __init__(self, name: str, file: str | None = None) -> None:
        """`file`: the model file as the user wrote it, for messages."""
        self.name, self._file = name, file
        self._constants = 0
        self._counts: dict[str, int] = {}
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self._aliases: dict[str, str] = {}
        self._used_names: set[str] = set()

    @classmethod
    def beside(cls, graph: Graph, tensors: Mapping[str, Tensor] | None = None) -> "GraphBuilder":
        """A builder of another graph with the inputs and constants of `graph`, as they are in `tensors` if given."""
        tensors = graph.tensors if tensors is None else tensors
        builder = cls(graph.name)
        builder.tensors.update({n: t for n, t in tensors.items() if t.data is not None})
        for port in graph.inputs:
            builder.add(tensors[port.tensor])
        return builder

    def fresh(self, hint: str) -> str:
        """A name not yet used, as close to `hint` as possible."""
        name, count = hint, self._counts.get(hint, 1)
        while name in self.tensors or name in self._used_names:
            count += 1
            name = f"{hint}.{count}"
        self._counts[hint] = count
        self._used_names.add(name)
        return name

    def alias(self, name: str, target: str) -> None:
        """Make `name` another name for the tensor `target`."""
        self._aliases[name] = target

    def resolved(self, name: str) -> str:
        """The tensor that a name of the model file means."""
        return self._aliases.get(name, name)

    def add(self, tensor: Tensor) -> str:
        """Add a tensor. Raises ChipfitError for more values than any chip or this machine should be asked for."""
        if tensor.data is not None:
            self._constants += tensor.size
            if self._constants > MAX_CONSTANTS:
                raise ChipfitError(f"has more than {MAX_CONSTANTS} constant values", place=self._file, hint=_HINT)
        elif tensor.size > MAX_ACTIVATION:
            raise ChipfitError(
                f"tensor {tensor.name!r} of shape {list(tensor.shape)} has more than {MAX_ACTIVATION} values",
                place=self._file,
                hint=_HINT,
            )
        self.tensors[tensor.name] = tensor
        return tensor.name

    def constant(self, hint: str, data: Array, quant: QuantParams | None = None) -> str:
        """A new constant tensor; returns its name."""
        return self.add(Tensor.constant(self.fresh(hint), data, quant))

    def append(self, node: Node, dtype: str = "float32", quant: QuantParams | None = None) -> str:
        """Append a node and its output tensors; the name of the first."""
        shapes = node.shapes([self.tensors[n].shape for n in node.inputs])
        for name, shape in zip(node.outputs, shapes, strict=True):
            self.add(Tensor(name, tuple(int(d) for d in shape), dtype, None, quant))
        self.nodes.append(node)
        return node.outputs[0]

    def data(self, name: str) -> Array | None:
        """The constant's data, None for an activation."""
        return self.tensors[name].data

    def constant_data(self, name: str) -> Array:
        """The data of a constant; a bug if it is not one."""
        data = self.tensors[name].data
        assert data is not None, name
        return data

    def build(self, inputs: Sequence[Port], outputs: Sequence[Port], opset: int = 0) -> Graph:
        """The frozen graph, without the nodes whose results nobody reads and without unused tensors."""
        live = {p.tensor for p in outputs}
        nodes: list[Node] = []
        for node in reversed(self.nodes):
            if live & set(node.outputs):
                nodes.append(node)
                live |= set(node.inputs) | set(node.outputs)
        live |= {p.tensor for p in inputs}
        tensors = {n: t for n, t in self.tensors.items() if n in live}
        return Graph(self.name, tensors, tuple(reversed(nodes)), tuple(inputs), tuple(outputs), opset)
