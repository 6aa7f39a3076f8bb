"""The order of execution whose activations have the least peak memory."""

import heapq
from collections.abc import Mapping
from dataclasses import replace

from pipeline.graph.ir import Graph

STATES = 2_000
"""How many sets of finished nodes the search looks at; beyond that a greedy order has to do."""


def least_memory(graph: Graph) -> Graph:
    """The same graph in the order of least peak memory; the given one when none is better.

    Best first over the sets of finished nodes, exact as long as STATES suffice; else what leaves the least behind comes
    next. A view shares its source's bytes.
    """
    model = _Memory(graph)
    given = model.peak(range(len(graph.nodes)))
    order = _search(model, len(graph.nodes)) or _greedy(model, len(graph.nodes))
    if model.peak(order) >= given:
        return graph
    return replace(graph, nodes=tuple(graph.nodes[i] for i in order))


class _Memory:
    """Predecessors of every node, and bytes that are alive once a set of nodes is finished."""

    def __init__(self, graph: Graph) -> None:
        root: dict[str, str] = {}
        for node in graph.nodes:
            if node.is_view:
                root[node.output] = root.get(node.inputs[0], node.inputs[0])
        self.ports = {root.get(p.tensor, p.tensor) for p in (*graph.inputs, *graph.outputs)}
        producer = {o: i for i, n in enumerate(graph.nodes) for o in n.outputs}
        self.predecessors = [frozenset(producer[n] for n in node.inputs if n in producer) for node in graph.nodes]
        self.reads = [{root.get(n, n) for n in graph.activations(node)} - self.ports for node in graph.nodes]
        self.writes = [set() if n.is_view else {o for o in n.outputs if o not in self.ports} for n in graph.nodes]
        self.bytes = {n: t.bytes for n, t in graph.tensors.items()}
        self.readers: dict[str, set[int]] = {}
        for i, names in enumerate(self.reads):
            for name in names:
                self.readers.setdefault(name, set()).add(i)

    def alive(self, done: frozenset[int]) -> set[str]:
        """Buffers that a later node reads."""
        written = {n for i in done for n in self.writes[i]}
        return {n for n in written if self.readers.get(n, set()) - done}

    def during(self, done: frozenset[int], node: int) -> int:
        """Bytes in use while `node` runs after `done`."""
        return sum(self.bytes[n] for n in self.alive(done) | self.writes[node] | self.reads[node])

    def peak(self, order: "range | tuple[int, ...]") -> int:
        done: frozenset[int] = frozenset()
        worst = 0
        for node in order:
            worst = max(worst, self.during(done, node))
            done |= {node}
        return worst


def _search(model: _Memory, count: int) -> tuple[int, ...] | None:
    queue: list[tuple[int, tuple[int, ...]]] = [(0, ())]
    seen: dict[frozenset[int], int] = {}
    predecessors: Mapping[int, frozenset[int]] = dict(enumerate(model.predecessors))
    while queue:
        peak, order = heapq.heappop(queue)
        done = frozenset(order)
        if len(order) == count:
            return order
        if seen.get(done, peak + 1) <= peak:
            continue
        seen[done] = peak
        if len(seen) > STATES:
            return None
        for node in range(count):
            if node not in done and predecessors[node] <= done:
                heapq.heappush(queue, (max(peak, model.during(done, node)), (*order, node)))
    return None


def _greedy(model: _Memory, count: int) -> tuple[int, ...]:
    """Always the ready node after which the fewest bytes are alive; the first of equals."""
    order: tuple[int, ...] = ()
    done: frozenset[int] = frozenset()
    while len(order) < count:
        ready = [n for n in range(count) if n not in done and model.predecessors[n] <= done]
        chosen = min(ready, key=lambda n: (sum(model.bytes[b] for b in model.alive(done | {n})), n))
        order, done = (*order, chosen), done | {chosen}
    return order
