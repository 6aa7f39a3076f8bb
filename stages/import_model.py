"""Stage `import`: a model file becomes the canonical float graph."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.facts.config import Project
from pipeline.facts.errors import ChipfitError, ManyErrors
from pipeline.facts.files import absence_reason, is_file
from pipeline.facts.units import show_size
from pipeline.facts.weight_bits import BITS
from pipeline.graph.ir import Graph
from pipeline.importing.readers import READERS, SUFFIXES, reader_of
from stages.base import Job
from stages.samples import model_files, model_path

if TYPE_CHECKING:
    from pipeline.importing.lower_bounds import LowerBound

NAME = "import"
AFTER = ("export",)
TARGETS = ("graph.json", "weights.bin")
_GIANT = 1 << 22
"""Weights from which reading them takes longer than a wait for one's answer should."""
_FAR = 4
"""So many times the RAM that there is must be needed for a refusal that rests on an assumption."""
_LAYERS = 2000
"""Planning takes more than twice as long for twice the layers; networks for microcontrollers have some dozens."""
_LARGER = "No setting of chipfit makes this network fit: it needs fewer weights, or a larger chip."
_SMALLER_MAPS = "No setting of chipfit makes them fit: the network needs smaller feature maps there, or a larger chip."
_PICKLES = (
    "A pickle can run any code. Load it where you trained it and run: program = torch.export.export(model.eval(), "
    "(example_input,)); torch.export.save(program, 'net.pt2'); then write source: net.pt2."
)


def keys(project: Project) -> Any:
    budget, asked = project.config.budget, project.config.quantization
    limits = [budget.flash or project.chip.flash.size, budget.ram or project.chip.ram.size, _cycles(project)]
    maps = [project.config.memory.inputs, project.config.memory.outputs, asked.activations]
    return [project.config.product, *limits, *maps, project.chip.core, asked.weights, asked.model_dump()["layers"]]


def _cycles(project: Project) -> int | None:
    limit = project.config.budget.latency
    return None if limit is None else int(limit * project.chip.clock)


def inputs(project: Project) -> Mapping[str, Path]:
    return model_files(project)


def run(job: Job) -> dict[str, bytes]:
    from pipeline.graph.graph_file import save
    from pipeline.importing.lower_bounds import float_weights, lower_bound_of

    project = job.project
    written = project.config.model.source
    path = project.file("model.source", written)
    reader = reader_of(path)
    if reader is None:
        raise ChipfitError(
            f"model.source: {written} is not one of {', '.join(SUFFIXES)}",
            place=project.place("model.source"),
            hint=_PICKLES if path.suffix in (".pt", ".pth", ".pkl") else "Export the network to ONNX.",
        )
    path = model_path(job)
    if not is_file(path):
        raise ChipfitError(f"model.source: {written} {absence_reason(path)}", place=project.place("model.source"))
    _refuse_giants(project, reader.least(path, written))
    graph = read_model(path, written, project.config.product)
    lower_bound = lower_bound_of(graph, project.config.quantization.widths)
    _refuse_hopeless(project, lower_bound, "zeros", float_weights(graph), graph)
    return save(graph)


def _refuse_giants(project: Project, lower_bound: "LowerBound | None") -> None:
    """What the dimensions say before any weight is looked at: what is far too large is refused in a second."""
    from pipeline.importing.lower_bounds import MAX_SPARSITY

    if lower_bound is not None and lower_bound.weights > _GIANT:
        bits = project.config.quantization.widths.least
        _refuse_hopeless(project, lower_bound.sparsest(bits), f"{MAX_SPARSITY - 1} of {MAX_SPARSITY} weights", True)


def _refuse_hopeless(
    project: Project, lower_bound: "LowerBound", but: str, floats: bool, graph: Graph | None = None
) -> None:
    """Say at once, and all of it, what no setting can mend.

    That is the fewest bits per weight, the fewest cycles per MAC, and, where there is a `graph`, the least RAM. `but`
    is what was left out of the first two counts, `floats` whether the weights may be narrowed.
    """
    asked = project.config.quantization
    found = []
    width = "" if asked.layers else f"as {asked.weights} "
    weights, free = lower_bound.weights, project.config.budget.flash or project.chip.flash.size
    if weights > free:
        found.append(
            ChipfitError(
                f"budget.flash: the weights alone need {show_size(weights)} ({weights} bytes {width}without {but}), "
                f"limit {show_size(free)} ({weights / free:.1f}x)",
                place=project.place("budget.flash"),
                hint=_smaller(asked.weights, weights / free) if floats else _LARGER,
            )
        )
    if graph is not None:
        found += _hopeless_ram(project, graph)
    cycles, core = _cycles(project), project.chip.core
    if cycles is not None:
        least = lower_bound.cycles(core)
        if least > cycles:
            found.append(
                ChipfitError(
                    f"budget.latency: {lower_bound.macs} multiply-accumulates need at least {least} cycles on {core} "
                    f"(without {but} and padding), limit {cycles} ({least / max(cycles, 1):.1f}x)",
                    place=project.place("budget.latency"),
                    hint="No kernel comes near that: it needs a smaller network, or a faster chip.",
                )
            )
    if found:
        raise ManyErrors(found)


def _hopeless_ram(project: Project, graph: Graph) -> list[ChipfitError]:
    """What is proven not to fit; and what rests on an assumption only where it is far from fitting."""
    from pipeline.planning.least_ram import SURVIVING, least_ram

    free = project.config.budget.ram or project.chip.ram.size
    memory, dtype = project.config.memory, project.config.quantization.activations
    for surviving, limit in ((0.0, free), (SURVIVING, _FAR * free)):
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
            hint="quantization.activations: int8 might fit." if narrower else _SMALLER_MAPS,
        )
    ]


def _smaller(width: str, excess: float) -> str:
    """What would help weights that need `excess` times the flash at this width."""
    narrower = next((n for n, bits in BITS.items() if bits * excess <= BITS[width]), None)
    return _LARGER if narrower is None else f"quantization.weights: {narrower} might fit, for some loss of accuracy."


def read_model(path: Path, written: str, product: str) -> Graph:
    """The canonical graph of a model file: float, or integer when it is a quantized .tflite. Raises ChipfitError."""
    from pipeline.importing.passes import canonical
    from pipeline.ops.shared.linear import Linear

    graph = READERS[path.suffix].read(path, written, product)
    if not graph.integer:
        # The passes merge others into these, and never these.
        _refuse_long(sum(isinstance(n, Linear) for n in graph.nodes), written)
        graph = canonical(graph, written)
    _refuse_long(len(graph.nodes), written)
    return graph


def _refuse_long(layers: int, written: str) -> None:
    if layers > _LAYERS:
        raise ChipfitError(
            f"has {layers} layers, the limit is {_LAYERS}",
            place=written,
            hint="Where a recurrent network was unrolled, export one step of it.",
        )
