"""Stage `feasibility`: a network that no setting can make fit is refused before anything is quantized."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.facts.config import Project
from pipeline.facts.errors import ChipfitError, ManyErrors
from pipeline.facts.units import show_size
from pipeline.facts.weight_bits import BITS
from stages.base import Job

if TYPE_CHECKING:
    from pipeline.graph.ir import Graph
    from pipeline.importing.lower_bounds import LowerBound

NAME = "feasibility"
READS = {"import": ("graph.json", "weights.bin")}
TARGETS = ("lower_bounds.json",)
_MANY_WEIGHTS = 1 << 22
"""Weights from which reading them takes so long that a refusal should come before."""
_FAR_FACTOR = 4
"""Factor by which RAM must be exceeded for a refusal that rests on an assumption."""
_TOO_LARGE = "No setting of chipfit makes this network fit: it needs fewer weights, or a larger chip."
_MAPS_LARGE = "No setting of chipfit makes them fit: the network needs smaller feature maps there, or a larger chip."


def settings(project: Project) -> Mapping[str, object]:
    budget, asked, memory = project.config.budget, project.config.quantization, project.config.memory
    return {
        "budget": {"flash": budget.flash or project.chip.flash.size, "ram": budget.ram or project.chip.ram.size},
        "budget.cycles": _cycles(project),
        "chip.core": project.chip.core,
        "memory": {"inputs": memory.inputs, "outputs": memory.outputs},
        "quantization": asked.model_dump(include={"weights", "layers", "activations"}),
    }


def inputs(project: Project) -> Mapping[str, Path]:
    return {}


def run(job: Job) -> dict[str, bytes]:
    from pipeline.facts.records import json_bytes
    from pipeline.graph.graph_file import load
    from pipeline.importing.lower_bounds import float_weights, lower_bound_of
    from pipeline.ops import NODES

    graph = load({n: job.read("import", n) for n in ("graph.json", "weights.bin")}, NODES)
    bound = lower_bound_of(graph, job.project.config.quantization.widths)
    _refuse_unfit(job.project, bound, "zeros", float_weights(graph), graph)
    return {"lower_bounds.json": json_bytes(bound)}


def _cycles(project: Project) -> int | None:
    limit = project.config.budget.latency
    return None if limit is None else int(limit * project.chip.clock)


def refuse_oversized(project: Project, lower_bound: "LowerBound | None") -> None:
    """Raise ManyErrors from the dimensions alone, before any weight is read, for a network that is far too large."""
    from pipeline.importing.lower_bounds import MAX_SPARSITY

    if lower_bound is not None and lower_bound.weights > _MANY_WEIGHTS:
        bits = project.config.quantization.widths.least
        _refuse_unfit(project, lower_bound.sparsest(bits), f"{MAX_SPARSITY - 1} of {MAX_SPARSITY} weights", True)


def _refuse_unfit(
    project: Project, lower_bound: "LowerBound", but: str, floats: bool, graph: "Graph | None" = None
) -> None:
    """Raise ManyErrors with every budget that no setting can meet.

    Compared are lower bounds of weights' bytes, cycles and, where there is a `graph`, RAM. `but` names the weights that
    the first two do not count, `floats` says whether fewer bits per weight are possible.
    """
    asked = project.config.quantization
    errors = []
    width = "" if asked.layers else f"as {asked.weights} "
    weights, free = lower_bound.weights, project.config.budget.flash or project.chip.flash.size
    if weights > free:
        errors.append(
            ChipfitError(
                f"budget.flash: the weights alone need {show_size(weights)} ({weights} bytes {width}without {but}), "
                f"limit {show_size(free)} ({weights / free:.1f}x)",
                place=project.place("budget.flash"),
                hint=_weights_hint(asked.weights, weights / free) if floats else _TOO_LARGE,
            )
        )
    if graph is not None:
        errors += _ram_errors(project, graph)
    cycles, core = _cycles(project), project.chip.core
    if cycles is not None:
        least = lower_bound.cycles(core)
        if least > cycles:
            errors.append(
                ChipfitError(
                    f"budget.latency: {lower_bound.macs} multiply-accumulates need at least {least} cycles on {core} "
                    f"(without {but} and padding), limit {cycles} ({least / max(cycles, 1):.1f}x)",
                    place=project.place("budget.latency"),
                    hint="No kernel comes near that: it needs a smaller network, or a faster chip.",
                )
            )
    if errors:
        raise ManyErrors(errors)


def _ram_errors(project: Project, graph: "Graph") -> list[ChipfitError]:
    """Errors for RAM that is proven not to fit, or that under an assumption is exceeded by far."""
    from pipeline.planning.least_ram import SURVIVING, least_ram

    free = project.config.budget.ram or project.chip.ram.size
    memory, dtype = project.config.memory, project.config.quantization.activations
    for surviving, limit in ((0.0, free), (SURVIVING, _FAR_FACTOR * free)):
        ram = least_ram(
            graph, dtype, own_inputs=memory.inputs == "arena", own_outputs=memory.outputs == "arena",
            surviving=surviving,
        )  # fmt: skip
        if ram.bytes > limit:
            break
    else:
        return []
    narrower = not graph.integer and dtype == "int16" and ram.bytes <= 2 * limit
    part = "" if ram.sure else ", assuming that at most half of the channels turn out to be constant"
    return [
        ChipfitError(
            f"budget.ram: the feature maps that layer {ram.layer!r} needs at once take at least "
            f"{show_size(ram.bytes)} ({ram.bytes} bytes){part}, limit {show_size(free)} ({ram.bytes / free:.1f}x)",
            place=project.place("budget.ram"),
            hint="quantization.activations: int8 might fit." if narrower else _MAPS_LARGE,
        )
    ]


def _weights_hint(width: str, excess: float) -> str:
    """Hint for weights of `width` that need `excess` times the flash."""
    narrower = next((n for n, bits in BITS.items() if bits * excess <= BITS[width]), None)
    return _TOO_LARGE if narrower is None else f"quantization.weights: {narrower} might fit, for some loss of accuracy."
