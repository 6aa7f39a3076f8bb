"""From an integer graph to a program: kernel calls in order, and a location for every activation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.arithmetic.kernel_bounds import check_overflow
from pipeline.facts.errors import ChipfitError
from pipeline.graph.ir import Graph
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.moves import CopyParams
from pipeline.ops.shared.copying import copy_call
from pipeline.planning.arena import Allocation, Buffer, allocate
from pipeline.planning.execution_order import least_memory
from pipeline.planning.memory_views import MemoryViews, memory_views_of, root


@dataclass(frozen=True)
class Location:
    """`offset` bytes into a memory: the arena, or the caller's buffer of input or output number `port`."""

    memory: Literal["arena", "input", "output"]
    offset: int = 0
    port: int = 0


@dataclass(frozen=True, eq=False)
class Program:
    """A network as kernel calls in order, with the location of each activation: what code generation writes."""

    product: str
    graph: Graph
    calls: tuple[KernelCall, ...]
    locations: Mapping[str, Location]
    arena: Allocation

    @property
    def unread(self) -> list[int]:
        """The numbers of the inputs in the caller's memory that no call reads."""
        read = [self.locations[n] for c in self.calls for n in c.inputs if n in self.locations]
        ports = {at.port for at in read if at.memory == "input"}
        given = [self.locations[p.tensor] for p in self.graph.inputs]
        return [i for i, at in enumerate(given) if at.memory == "input" and i not in ports]

    @property
    def needs_arena(self) -> bool:
        """Whether a call, fused layers taken as one, reads or writes the arena."""
        named = [n for c in self.calls for n in (*c.inputs, *c.outputs) if n in self.locations]
        return any(self.locations[n].memory == "arena" for n in named)

    @property
    def port_offsets(self) -> list[int | None]:
        """Where in the arena every input and then every output lies; None where its memory is the caller's."""
        names = [p.tensor for p in self.graph.outputs]
        ports = [self.locations[p.tensor] for p in self.graph.inputs]
        ports += [self.locations.get(f"{n}#copy", self.locations[n]) for n in names]
        return [at.offset if at.memory == "arena" else None for at in ports]


def plan(product: str, graph: Graph, *, own_inputs: bool = False, own_outputs: bool = False) -> Program:
    """The branches in the given order, or in that of least memory where the arena becomes smaller by it.

    The order is chosen before views and sharing in place are known, so only the arena itself can tell.
    `own_inputs`, `own_outputs`: they live in the arena, inputs until they are read last, outputs until the end.
    Raises ChipfitError for an output in the arena that is a view of an input in the caller's memory, and for a call
    whose kernel could overflow.
    """
    given = _planned_in_order(product, graph, own_inputs, own_outputs)
    check_overflow(given.calls, graph)
    ordered = least_memory(graph)
    if ordered is graph:
        return given
    return min(given, _planned_in_order(product, ordered, own_inputs, own_outputs), key=lambda p: p.arena.size)


def _planned_in_order(product: str, graph: Graph, own_inputs: bool, own_outputs: bool) -> Program:
    """Resolve views to the buffers behind them, share memory in place, and allocate the rest."""
    callers = {p.tensor for p in (*(() if own_inputs else graph.inputs), *(() if own_outputs else graph.outputs))}
    views = memory_views_of(graph, callers)
    calls = _calls(graph, views)
    given = {p.tensor for p in graph.inputs}
    locations: dict[str, Location] = {}
    if not own_inputs:
        locations |= {p.tensor: Location("input", port=i) for i, p in enumerate(graph.inputs)}
    for index, port in enumerate(graph.outputs):
        buffer, _ = root(views, port.tensor)
        if own_outputs:
            if buffer in locations:
                raise ChipfitError(
                    f"memory.outputs: output {port.onnx_name!r} is an input of the network, unchanged",
                    hint="Write memory.inputs: arena too.",
                )
            continue
        if buffer in locations or buffer in given:
            # The output is a view of an input, or of another output: it needs bytes of its own.
            calls.append(_copy_of_buffer(graph, port.tensor, buffer))
            locations[f"{port.tensor}#copy"] = Location("output", port=index)
            continue
        locations[buffer] = Location("output", port=index)
    ends = [p.tensor for p in graph.outputs] if own_outputs else []
    starts = [p.tensor for p in graph.inputs] if own_inputs else []
    _share_in_place(graph, calls, views, locations, ends)
    arena = allocate(_buffers(graph, calls, views, locations, starts, ends))
    locations |= {n: Location("arena", offset) for n, offset in arena.offsets.items()}
    for name, tensor in graph.tensors.items():
        buffer, offset = root(views, name)
        if tensor.data is None and buffer in locations:
            locations[name] = replace(locations[buffer], offset=locations[buffer].offset + offset)
    return Program(product, graph, tuple(calls), locations, arena)


def _calls(graph: Graph, views: MemoryViews) -> list[KernelCall]:
    """Every node's kernel calls, without the copies that views make needless."""
    nodes = (n for n in graph.nodes if not n.is_view)
    return [c for n in nodes for c in n.calls(graph) if not _copies_onto_itself(c, views)]


def _copies_onto_itself(call: KernelCall, views: MemoryViews) -> bool:
    """Whether a copy's bytes are where they belong already: the same location, not just the same buffer.

    A Concat may take one part twice, or a part and a slice of it: then one of both is in place and the other is not.
    """
    if not isinstance(call.params, CopyParams):
        return False
    (source, source_begin), (target, target_begin) = root(views, call.inputs[0]), root(views, call.outputs[0])
    return source == target and source_begin + call.params.source_offset == target_begin + call.params.target_offset


def _copy_of_buffer(graph: Graph, target: str, source: str) -> KernelCall:
    dims = (graph.tensors[target].size,)
    call = copy_call(f"copy of {source}", graph, source, target, dims=dims, source_strides=(1,), target_strides=(1,))
    return replace(call, outputs=(f"{target}#copy",))


def _last_reads(calls: list[KernelCall], views: MemoryViews, outlasting: Sequence[str]) -> dict[str, int]:
    """The last call that reads each buffer; one more than the last for `outlasting`, which outlive the run."""
    last = {root(views, n)[0]: i for i, call in enumerate(calls) for n in (*call.inputs, *call.outputs)}
    return last | {root(views, n)[0]: len(calls) for n in outlasting}


def _share_in_place(
    graph: Graph,
    calls: list[KernelCall],
    views: MemoryViews,
    locations: Mapping[str, Location],
    kept: Sequence[str],
) -> None:
    """Let an element-wise call write over its first input when nobody reads that again."""
    last = _last_reads(calls, views, kept)
    inside = {target for target, _ in views.values()}
    for index, call in enumerate(calls):
        if not call.in_place:
            continue
        (source, at), (target, to) = root(views, call.inputs[0]), root(views, call.outputs[0])
        free = source not in locations and target not in locations and not graph.is_constant(source)
        # Only whole buffers: what lies beside a part of a Concat or around a slice is still needed.
        whole_buffers = at == to == 0 and target not in {
            root(views, v)[0] for v in inside if _has_partial_view(graph, views, v)
        }
        same_size = graph.tensors[source].bytes == graph.tensors[target].bytes
        others = {root(views, n)[0] for n in call.inputs[1:]}
        if free and whole_buffers and same_size and source != target and last[source] == index and source not in others:
            views[target] = (source, 0)
            last[source] = last.pop(target)


def _has_partial_view(graph: Graph, views: MemoryViews, name: str) -> bool:
    """Whether some view is a proper part of the tensor."""
    return any(t == name and graph.tensors[v].bytes != graph.tensors[name].bytes for v, (t, _) in views.items())


def _buffers(
    graph: Graph,
    calls: list[KernelCall],
    views: MemoryViews,
    locations: Mapping[str, Location],
    starts: Sequence[str],
    outlasting: Sequence[str],
) -> list[Buffer]:
    first = {root(views, n)[0]: 0 for n in starts}
    for index, call in enumerate(calls):
        for name in call.outputs:
            first.setdefault(root(views, name)[0], index)
    last = _last_reads(calls, views, outlasting)
    return [Buffer(n, graph.tensors[n].bytes, i, last.get(n, 0)) for n, i in first.items() if n not in locations]
