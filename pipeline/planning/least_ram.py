"""What RAM no plan can go below: while a layer runs, what it reads and what it writes are both there.

Whatever the order of layers, and wherever buffers lie. Where channels may turn out to be dead once weights are
integers (`pipeline.planning.dead_channels`), only a part of them counts.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.facts.disjoint_sets import DisjointSets
from pipeline.graph.ir import Graph, Node
from pipeline.ops.shared.linear import Linear
from pipeline.planning.dead_channels import without_dead_channels
from pipeline.planning.memory_views import root, views_of

SURVIVING = 0.5
"""ASSUMED, not proven: of a float network's channels that do not look dead, so many stay at the least.

Others turn out constant on integers: a Relu's that is never above zero, one whose whole range is less than a step. That
depends on the scales of activations, which only calibration chooses.
"""
SMALLEST = 1 / 1024
"""Weights of less than this part of a layer's largest are next to nothing."""
DEEPEST = 1000
"""Nodes of a network in which tensors that outlive others' layers are looked for."""
CHAINED = 254
"""Dense layers of one row of so many inputs may leave their outputs on the stack (the variant `fused_dense`)."""


@dataclass(frozen=True)
class LeastRam:
    """Bytes of the arena at the least, and the layer that needs them."""

    bytes: int
    layer: str
    sure: bool
    """Whether no part of it is assumed."""


def least_ram(
    graph: Graph, dtype: str, *, own_inputs: bool, own_outputs: bool, surviving: float = SURVIVING
) -> LeastRam:
    """Of a canonical graph, float (its activations will be `dtype`) or integer.

    `own_inputs`, `own_outputs`: inputs and outputs of the network live in the arena too. `surviving`: which part of the
    channels that may turn out to be dead counts; nothing is assumed where it is 0, or where the graph is integer.
    """
    sure = graph.integer or not surviving
    graph = without_dead_channels(graph) if graph.integer else graph
    views = views_of(graph)
    ports = (*(() if own_inputs else graph.inputs), *(() if own_outputs else graph.outputs))
    outside = {root(views, p.tensor)[0] for p in ports}
    share = {} if graph.integer else _shares(graph, surviving)
    sizes = {
        name: 0 if root(views, name)[0] in outside else int(_bytes(graph, name, dtype) * share.get(name, 1.0))
        for name, tensor in graph.tensors.items()
        if tensor.data is None
    }
    held = {name: root(views, name)[0] for name in sizes}
    needs = [
        LeastRam(_during(node, graph, sizes, held, over), node.name, sure)
        for node, over in zip(graph.nodes, _spanning(graph), strict=True)
    ]
    return max(needs, key=lambda n: n.bytes, default=LeastRam(0, "", sure))


def _bytes(graph: Graph, name: str, dtype: str) -> int:
    tensor = graph.tensors[name]
    kind = tensor.dtype if tensor.dtype != "float32" else tensor.quant.dtype if tensor.quant else dtype
    return tensor.size * np.dtype(kind).itemsize


def _spanning(graph: Graph) -> list[set[str]]:
    """For each node, the tensors that are made before it and read after it in whatever order."""
    nodes = graph.nodes
    over: list[set[str]] = [set() for _ in nodes]
    if len(nodes) > DEEPEST:
        return over
    maker = {name: i for i, node in enumerate(nodes) for name in node.outputs}
    before, after = [0] * len(nodes), [0] * len(nodes)  # bit sets of nodes
    for i, node in enumerate(nodes):
        for name in node.inputs:
            if name in maker:
                before[i] |= before[maker[name]] | 1 << maker[name]
    for i in reversed(range(len(nodes))):
        for name in nodes[i].inputs:
            if name in maker:
                after[maker[name]] |= after[i] | 1 << i
    given = {p.tensor for p in graph.inputs}
    for i, node in enumerate(nodes):
        for name in graph.activations(node):
            between = before[i] if name in given else before[i] & after[maker[name]]
            for j in (j for j in range(i) if between >> j & 1):
                over[j].add(name)
    return over


def _during(node: Node, graph: Graph, sizes: Mapping[str, int], held: Mapping[str, str], over: Collection[str]) -> int:
    """Bytes that are alive while a node runs, at the least."""
    own = {held[n] for n in (*graph.activations(node), *node.outputs)}
    buffers: dict[str, int] = {}  # tensors in one buffer may overlap
    for name in over:
        if held[name] not in own:
            buffers[held[name]] = max(buffers.get(held[name], 0), sizes[name])
    return sum(buffers.values()) + _itself(node, graph, sizes, held)


def _itself(node: Node, graph: Graph, sizes: Mapping[str, int], held: Mapping[str, str]) -> int:
    """Bytes of what a node reads and writes, at the least."""
    if isinstance(node, Linear):
        shape = graph.tensors[node.weights].shape
        if len(shape) == 2 and shape[1] <= CHAINED:
            return 0
    read: dict[str, int] = {}
    for name in graph.activations(node):
        read[held[name]] = max(read.get(held[name], 0), sizes[name])
    given, made = sum(read.values()), sum(sizes[n] for n in node.outputs)
    if node.shares_memory:
        return max(max(read.values(), default=0), made)
    if node.in_place:
        return max(given, made)
    return given + made


def _shares(graph: Graph, surviving: float) -> dict[str, float]:
    """By name, which part of a tensor is surely there: all of it where channels cannot be taken out."""
    sets = DisjointSets(n for n, t in graph.tensors.items() if t.data is None)
    fixed = {p.tensor for p in (*graph.inputs, *graph.outputs)}
    for node in graph.nodes:
        moving = graph.activations(node)
        if len(moving) > 1 or node.channel_effect(graph) == "joined":
            fixed |= {*moving, *node.outputs}
        elif node.channel_effect(graph) != "mixed":
            for name in node.outputs:
                sets.join(moving[0], name)
    groups = sets.groups()
    for name in fixed:
        groups.pop(sets.find(name), None)
    made, used = _weighed(graph)
    shares: dict[str, float] = {}
    for members in groups.values():
        lost = (
            sum(1 - made.get(m, 1.0) for m in members) + 1 - max((used[m] for m in members if m in used), default=1.0)
        )
        shares |= dict.fromkeys(members, surviving * max(0.0, 1 - lost))
    return shares


def _weighed(graph: Graph) -> tuple[dict[str, float], dict[str, float]]:
    """Which part of a tensor's channels is made, and which is used, by weights that are not next to nothing.

    A channel whose bias keeps it at an end of its clamp for all inputs from -1 to 1 is not made.
    """
    made: dict[str, float] = {}
    used: dict[str, float] = {}
    for node in graph.nodes:
        if not isinstance(node, Linear):
            continue
        kernel = np.abs(graph.constant(node.weights).astype(np.float64))
        large = kernel > SMALLEST * kernel.max(initial=0)
        reach, bias = kernel.reshape(len(kernel), -1).sum(axis=1), graph.constant(node.bias).astype(np.float64)
        held = (bias + reach <= node.low) | (bias - reach >= node.high)
        made[node.output] = float((large.reshape(len(kernel), -1).any(axis=1) & ~held).mean())
        if node.channel_effect(graph) == "mixed":
            columns = float(large.reshape(-1, kernel.shape[-1]).any(axis=0).mean())
            used[node.inputs[0]] = max(used.get(node.inputs[0], 0.0), columns)
    return made, used
