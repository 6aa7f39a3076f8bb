"""What a network will need, before anything is quantized: exact counts, and ranges where only a build can tell."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from pipeline.facts.config.models import ChipSpec
from pipeline.facts.cores import APPLICATION, APPLICATION_RATE, CORES, Rate
from pipeline.graph.ir import Graph
from pipeline.ops.shared.linear import Linear
from pipeline.planning.arena import ALIGNMENT, Buffer, lower_bound
from pipeline.planning.execution_order import least_memory
from pipeline.planning.memory_views import memory_views_of, root

WAIT_STATE = 0.65
"""Each flash wait state adds up to so many parts of the cycles when no prefetch hides it: the worst measured is 0.62
(touch on a Cortex-M4 with five). The low end takes it that all are hidden."""


class Code(NamedTuple):
    """Flash beside the weights, bytes: for each kind of layer, each layer, and each output channel with a bias."""

    kind: int
    layer: int
    channel: int


COMPACT = Code(kind=250, layer=44, channel=4)
"""Less than any build measured: Armv6-M kernels of 310 to 918 bytes, a bias of 4 bytes in place of 1, a shift of 1."""
ROOMY = Code(kind=1200, layer=120, channel=12)
"""More than any build measured without unrolling: kernels up to 1,046 bytes; bias, multiplier and exponent are 9."""


@dataclass(frozen=True)
class Layer:
    """One node: `parameters` are values (one byte each as int8), `bytes` those of its output as int8."""

    name: str
    operator: str
    shape: tuple[int, ...]
    parameters: int
    macs: int
    bytes: int


@dataclass(frozen=True)
class Need:
    """What one chip would have to give: bytes of flash and RAM, seconds; (low, high) where it is a range."""

    chip: str
    core: str
    flash: tuple[int, int]
    ram: int
    seconds: tuple[float, float]
    fits: bool | None
    """Whether the chip's whole flash and RAM suffice; None when only a build can tell, and for a class of chips."""
    lacks: tuple[str, ...] = ()
    """Of flash and ram, what cannot suffice."""


@dataclass(frozen=True)
class Memory:
    """Activations in bytes: `arena` is the library's, at least; `ports` are the caller's inputs and outputs."""

    arena: int
    ports: int


@dataclass(frozen=True)
class Estimate:
    """What `chipfit estimate --json` prints: counts of values and products, `Memory`'s bytes, every layer and chip."""

    parameters: int
    macs: int
    arena: int
    ports: int
    layers: tuple[Layer, ...]
    chips: tuple[Need, ...]


def estimate(graph: Graph, chips: Sequence[ChipSpec], *, application: bool = True) -> Estimate:
    """Counts, memory and needs of a float or quantized graph; `application` adds a core of that class at 1 GHz."""
    memory, wanted = activations(graph), needs(graph, chips, application=application)
    return Estimate(parameters(graph), graph.macs, memory.arena, memory.ports, tuple(layers(graph)), tuple(wanted))


def layers(graph: Graph) -> list[Layer]:
    """Every layer that computes, in order; a constant that two layers read counts for the first."""
    seen: set[str] = set()
    rows = []
    for node in graph.nodes:
        own = [n for n in node.inputs if graph.is_constant(n) and n not in seen]
        seen |= set(own)
        shape = graph.tensors[node.output].shape
        size = sum(_bytes(graph, o) for o in node.outputs)
        parameters = sum(graph.tensors[n].size for n in own)
        rows.append(Layer(node.name, type(node).__name__, shape, parameters, node.macs(graph), size))
    return rows


def parameters(graph: Graph) -> int:
    """Values of constants: the bytes that they take as int8."""
    return sum(t.size for t in graph.tensors.values() if t.data is not None)


def activations(graph: Graph) -> Memory:
    """What `pipeline.planning.plan` will find of an integer graph, from a float one whose activations will be int8.

    The same order of branches, the same views, and the same sharing between an element-wise layer and its input.
    """
    tensors = {n: t if t.data is not None else replace(t, dtype=_dtype(t.dtype)) for n, t in graph.tensors.items()}
    graph = least_memory(replace(graph, tensors=tensors))
    views = memory_views_of(graph)
    ports = {root(views, p.tensor)[0] for p in (*graph.inputs, *graph.outputs)}
    nodes = [n for n in graph.nodes if not n.is_view and root(views, n.output)[0] not in n.inputs]

    def buffers_of(names: Sequence[str]) -> list[str]:
        return [root(views, n)[0] for n in names]

    last = {n: i for i, node in enumerate(nodes) for n in buffers_of((*graph.activations(node), *node.outputs))}
    for index, node in enumerate(nodes):
        if not node.in_place:
            continue
        source, *others = buffers_of(graph.activations(node))
        target = root(views, node.output)[0]
        same = graph.tensors[source].bytes == graph.tensors[target].bytes
        if same and {source, target}.isdisjoint(ports) and last[source] == index and source not in others:
            views[target] = (source, 0)
            last[source] = last.pop(target)
    first: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for name in buffers_of(node.outputs):
            first.setdefault(name, index)
    buffers = [Buffer(n, graph.tensors[n].bytes, i, last[n]) for n, i in first.items() if n not in ports]
    sizes = (graph.tensors[p.tensor].bytes for p in (*graph.inputs, *graph.outputs))
    return Memory(lower_bound(buffers), sum(-(-s // ALIGNMENT) * ALIGNMENT for s in sizes))


def flash(graph: Graph) -> tuple[int, int]:
    """Bytes of weights, tables and code with the smallest kernels: (low, high). A plan for latency takes more."""
    computing = [n for n in graph.nodes if not n.is_view]
    kinds = len({type(n) for n in computing})
    channels = sum(graph.tensors[n.bias].size for n in computing if isinstance(n, Linear))
    fixed = parameters(graph) + sum(n.table_bytes for n in computing)
    low, high = (fixed + c.kind * kinds + c.layer * len(computing) + c.channel * channels for c in (COMPACT, ROOMY))
    return low, high


def needs(graph: Graph, chips: Sequence[ChipSpec], *, application: bool = True) -> list[Need]:
    """One row for each chip, and with `application` one for a core of that class at 1 GHz."""
    (low, high), memory, macs = flash(graph), activations(graph), graph.macs
    ram = memory.arena + memory.ports
    rows = []
    for chip in chips:
        pairs = (("flash", low, chip.flash.size), ("ram", ram, chip.ram.size))
        lacks = tuple(what for what, needed, given in pairs if needed > given)
        fits = False if lacks else True if high <= chip.flash.size else None
        seconds = _seconds(macs, CORES[chip.core].cycles_per_mac, chip.clock, chip.flash.wait_states)
        rows.append(Need(chip.chip, chip.core, (low, high), ram, seconds, fits, lacks))
    if application:
        seconds = _seconds(macs, APPLICATION_RATE, 10**9, 0)
        rows.append(Need("1 GHz class", APPLICATION, (low, high), ram, seconds, None))
    return rows


def _seconds(macs: int, rate: Rate, clock: int, wait_states: int) -> tuple[float, float]:
    return macs * rate.low / clock, macs * rate.high * (1 + WAIT_STATE * wait_states) / clock


def _dtype(dtype: str) -> str:
    return "int8" if dtype == "float32" else dtype


def _bytes(graph: Graph, name: str) -> int:
    return replace(graph.tensors[name], dtype=_dtype(graph.tensors[name].dtype)).bytes
