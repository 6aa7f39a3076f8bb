"""What a network will need, before anything is quantized: exact counts, and ranges where only a build can tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.arena import Buffer, lower_bound
from pipeline.config.models import ChipSpec
from pipeline.ir import Graph
from pipeline.ops.reshape import Reshape

CYCLES_PER_MAC: Mapping[str, tuple[float, float]] = {
    # Low: the packed multiply measured on M0, 2.3 cycles per MAC. High: KWS through the portable kernels, 20.9.
    "cortex-m0": (2.3, 21.0),
    "cortex-m0plus": (2.1, 20.0),
    # Low: MLPerf Tiny entries of silicon vendors on Cortex-M4 (1.4 to 2). High: portable kernels.
    "cortex-m3": (2.5, 12.0),
    "cortex-m4": (1.4, 10.0),
    # Not measured: NEON multiplies 8 int8 values in a cycle at best; scalar code takes about two cycles.
    "cortex-a8": (0.15, 2.0),
}
"""Cycles per multiply-accumulate of a whole network, from the best known to plain kernels."""

CODE = (1536, 12288)
"""Bytes of code beside the weights: from the smallest network to one of many kinds of layers."""


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
    """Whether the chip's whole flash and RAM suffice; None for a class of chips without a size."""


def layers(graph: Graph) -> list[Layer]:
    """Every layer that computes, in order; a constant that two layers read counts for the first."""
    seen: set[str] = set()
    made = []
    for node in graph.nodes:
        own = [n for n in node.inputs if graph.is_constant(n) and n not in seen]
        seen |= set(own)
        shape = graph.tensors[node.output].shape
        size = sum(graph.tensors[o].size for o in node.outputs)
        parameters = sum(graph.tensors[n].size for n in own)
        made.append(Layer(node.name, type(node).__name__, shape, parameters, node.macs(graph), size))
    return made


def peak_activations(graph: Graph, width: int = 1) -> int:
    """The most bytes of activations that are alive at once, inputs and outputs included, `width` bytes each."""
    alias: dict[str, str] = {}
    first = {p.tensor: 0 for p in graph.inputs}
    last = dict(first)
    for index, node in enumerate(graph.nodes, start=1):
        names = [alias.get(n, n) for n in graph.activations(node)]
        last |= dict.fromkeys(names, index)
        if isinstance(node, Reshape):
            alias[node.output] = names[0]
            continue
        for output in node.outputs:
            first[output] = last[output] = index
    end = len(graph.nodes) + 1
    last |= {alias.get(p.tensor, p.tensor): end for p in graph.outputs}
    return lower_bound([Buffer(n, graph.tensors[n].size * width, at, last[n]) for n, at in first.items()])


def parameters(graph: Graph) -> int:
    """Values of constants: the bytes that they take as int8."""
    return sum(t.size for t in graph.tensors.values() if t.data is not None)


def needs(graph: Graph, chips: Sequence[ChipSpec]) -> list[Need]:
    """One row for each chip, and one for a Cortex-A8 at 1 GHz."""
    weights, ram, macs = parameters(graph), peak_activations(graph), graph.macs
    flash = (weights + CODE[0], weights + CODE[1])
    made = [
        Need(
            chip.chip,
            chip.core,
            flash,
            ram,
            _seconds(macs, chip.core, float(chip.clock)),
            flash[0] <= chip.flash.size and ram <= chip.ram.size,
        )
        for chip in chips
    ]
    return [*made, Need("1 GHz class", "cortex-a8", flash, ram, _seconds(macs, "cortex-a8", 1e9), None)]


def _seconds(macs: int, core: str, clock: float) -> tuple[float, float]:
    low, high = CYCLES_PER_MAC[core]
    return macs * low / clock, macs * high / clock
