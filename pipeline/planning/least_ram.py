"""A lower bound on RAM: while a layer runs, what it reads and what it writes are both alive.

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
from pipeline.planning.memory_views import memory_views_of, root

SURVIVING = 0.5
"""ASSUMED, not proven: of a float network's channels that do not look dead, so many stay at the least.

Others turn out constant on integers: a Relu's that is never above zero, one whose whole range is less than a step. That
depends on the scales of activations, which only calibration chooses.
"""
SMALLEST = 1 / 1024
"""Weights of less than this part of a layer's largest are next to nothing."""
MOST_NODES = 1000
"""Nodes of a network in which tensors that outlive others' layers are looked for."""
MOST_FUSED_INPUTS = 254
"""Dense layers of one row of so many inputs may leave their outputs on the stack (the variant `fused_dense`)."""


@dataclass(frozen=True)
class LeastRam:
    """A lower bound on the bytes of the arena, and the layer that needs them."""

    bytes: int
    layer: str
    sure: bool
    """Whether no part of it is assumed."""


def least_ram(
    graph: Graph, dtype: str, *, own_inputs: bool, own_outputs: bool, surviving: float = SURVIVING
) -> LeastRam:
    """The lower bound for a canonical graph, float (its activations will be `dtype`) or integer.

    `own_inputs`, `own_outputs`: inputs and outputs of the network live in the arena too. `surviving`: which part of the
    channels that may turn out to be dead counts; nothing is assumed where it is 0, or where the graph is integer.
    """
    sure = graph.integer or not surviving
    graph = without_dead_channels(graph) if graph.integer else graph
    views = memory_views_of(graph)
    ports = (*(() if own_inputs else graph.inputs), *(() if own_outputs else graph.outputs))
    outside = {root(views, p.tensor)[0] for p in ports}
    share = {} if graph.integer else _certain_shares(graph, surviving)
    sizes = {
        name: 0 if root(views, name)[0] in outside else int(_bytes(graph, name, dtype) * share.get(name, 1.0))
        for name, tensor in graph.tensors.items()
        if tensor.data is None
    }
    buffer_of = {name: root(views, name)[0] for name in sizes}
    needs = [
        LeastRam(_bytes_alive_during(node, graph, sizes, buffer_of, alive_across), node.name, sure)
        for node, alive_across in zip(graph.nodes, _tensors_alive_across(graph), strict=True)
    ]
    return max(needs, key=lambda n: n.bytes, default=LeastRam(0, "", sure))


def _bytes(graph: Graph, name: str, dtype: str) -> int:
    tensor = graph.tensors[name]
    kind = tensor.dtype if tensor.dtype != "float32" else tensor.quant.dtype if tensor.quant else dtype
    return tensor.size * np.dtype(kind).itemsize


def _tensors_alive_across(graph: Graph) -> list[set[str]]:
    """For each node, the tensors that every order of execution writes before it and reads after it."""
    nodes = graph.nodes
    alive_across: list[set[str]] = [set() for _ in nodes]
    if len(nodes) > MOST_NODES:
        return alive_across
    producer = {name: i for i, node in enumerate(nodes) for name in node.outputs}
    before, after = [0] * len(nodes), [0] * len(nodes)  # bit sets of nodes
    for i, node in enumerate(nodes):
        for name in node.inputs:
            if name in producer:
                before[i] |= before[producer[name]] | 1 << producer[name]
    for i in reversed(range(len(nodes))):
        for name in nodes[i].inputs:
            if name in producer:
                after[producer[name]] |= after[i] | 1 << i
    given = {p.tensor for p in graph.inputs}
    for i, node in enumerate(nodes):
        for name in graph.activations(node):
            between = before[i] if name in given else before[i] & after[producer[name]]
            for j in (j for j in range(i) if between >> j & 1):
                alive_across[j].add(name)
    return alive_across


def _bytes_alive_during(
    node: Node, graph: Graph, sizes: Mapping[str, int], buffer_of: Mapping[str, str], alive_across: Collection[str]
) -> int:
    """A lower bound on the bytes that are alive while a node runs."""
    own = {buffer_of[n] for n in (*graph.activations(node), *node.outputs)}
    buffers: dict[str, int] = {}  # tensors in one buffer may overlap
    for name in alive_across:
        if buffer_of[name] not in own:
            buffers[buffer_of[name]] = max(buffers.get(buffer_of[name], 0), sizes[name])
    return sum(buffers.values()) + _own_bytes(node, graph, sizes, buffer_of)


def _own_bytes(node: Node, graph: Graph, sizes: Mapping[str, int], buffer_of: Mapping[str, str]) -> int:
    """A lower bound on the bytes that a node reads and writes."""
    if isinstance(node, Linear):
        shape = graph.tensors[node.weights].shape
        if len(shape) == 2 and shape[1] <= MOST_FUSED_INPUTS:
            return 0
    read: dict[str, int] = {}
    for name in graph.activations(node):
        read[buffer_of[name]] = max(read.get(buffer_of[name], 0), sizes[name])
    read_bytes, written = sum(read.values()), sum(sizes[n] for n in node.outputs)
    if node.shares_memory:
        return max(max(read.values(), default=0), written)
    if node.in_place:
        return max(read_bytes, written)
    return read_bytes + written


def _certain_shares(graph: Graph, surviving: float) -> dict[str, float]:
    """By name, the part of a tensor's bytes that is certain: all of it where channels cannot be taken out."""
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
    produced, used = _channel_shares(graph)
    shares: dict[str, float] = {}
    for members in groups.values():
        lost = (
            sum(1 - produced.get(m, 1.0) for m in members)
            + 1
            - max((used[m] for m in members if m in used), default=1.0)
        )
        shares |= dict.fromkeys(members, surviving * max(0.0, 1 - lost))
    return shares


def _channel_shares(graph: Graph) -> tuple[dict[str, float], dict[str, float]]:
    """By name, the parts of a tensor's channels that weights above SMALLEST produce, and that they use.

    A channel whose bias keeps it at an end of its clamp for all inputs from -1 to 1 is not produced.
    """
    produced: dict[str, float] = {}
    used: dict[str, float] = {}
    for node in graph.nodes:
        if not isinstance(node, Linear):
            continue
        kernel = np.abs(graph.constant(node.weights).astype(np.float64))
        large = kernel > SMALLEST * kernel.max(initial=0)
        largest, bias = kernel.reshape(len(kernel), -1).sum(axis=1), graph.constant(node.bias).astype(np.float64)
        saturated = (bias + largest <= node.low) | (bias - largest >= node.high)
        produced[node.output] = float((large.reshape(len(kernel), -1).any(axis=1) & ~saturated).mean())
        if node.channel_effect(graph) == "mixed":
            columns = float(large.reshape(-1, kernel.shape[-1]).any(axis=0).mean())
            used[node.inputs[0]] = max(used.get(node.inputs[0], 0.0), columns)
    return produced, used
