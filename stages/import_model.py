"""Stage `import`: a model file becomes the canonical float graph."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

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
_MANY_WEIGHTS = 1 << 22
"""Weights from which reading them takes so long that a refusal should come before."""
_FAR_FACTOR = 4
"""Factor by which RAM must be exceeded for a refusal that rests on an assumption."""
_MAX_LAYERS = 2000
"""Planning takes more than twice as long for twice the layers; networks for microcontrollers have some dozens."""
_TOO_LARGE = "No setting of chipfit makes this network fit: it needs fewer weights, or a larger chip."
_MAPS_LARGE = "No setting of chipfit makes them fit: the network needs smaller feature maps there, or a larger chip."
_PICKLE_HINT = (
    "A pickle can run any code. Load it where you trained it and run: program = torch.export.export(model.eval(), "
    "(example_input,)); torch.export.save(program, 'net.pt2'); then write source: net.pt2."
)


def keys(project: Project) -> object:
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
            hint=_PICKLE_HINT if path.suffix in (".pt", ".pth", ".pkl") else "Export the network to ONNX.",
        )
    path = model_path(job)
    if not is_file(path):
        raise ChipfitError(f"model.source: {written} {absence_reason(path)}", place=project.place("model.source"))
    _refuse_oversized(project, reader.lower_bound(path, written))
    graph = read_model(path, written, project.config.product)
    lower_bound = lower_bound_of(graph, project.config.quantization.widths)
    _refuse_unfit(project, lower_bound, "zeros", float_weights(graph), graph)
    return save(graph)


def _refuse_oversized(project: Project, lower_bound: "LowerBound | None") -> None:
    """Raise ManyErrors from the dimensions alone, before any weight is read, for a network that is far too large."""
    from pipeline.importing.lower_bounds import MAX_SPARSITY

    if lower_bound is not None and lower_bound.weights > _MANY_WEIGHTS:
        bits = project.config.quantization.widths.least
        _refuse_unfit(project, lower_bound.sparsest(bits), f"{MAX_SPARSITY - 1} of {MAX_SPARSITY} weights", True)


def _refuse_unfit(
    project: Project, lower_bound: "LowerBound", but: str, floats: bool, graph: Graph | None = None
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


def _ram_errors(project: Project, graph: Graph) -> list[ChipfitError]:
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


def read_model(path: Path, written: str, product: str) -> Graph:
    """The canonical graph of a model file: float, or integer when it is a quantized .tflite. Raises ChipfitError."""
    from pipeline.importing.passes import canonical
    from pipeline.ops.shared.linear import Linear

    graph = READERS[path.suffix].read(path, written, product)
    if not graph.integer:
        # The passes merge others into these, and never these.
        _refuse_many_layers(sum(isinstance(n, Linear) for n in graph.nodes), written)
        graph = canonical(graph, written)
    _refuse_many_layers(len(graph.nodes), written)
    return graph


def _refuse_many_layers(layers: int, written: str) -> None:
    if layers > _MAX_LAYERS:
        raise ChipfitError(
            f"has {layers} layers, the limit is {_MAX_LAYERS}",
            place=written,
            hint="Where a recurrent network was unrolled, export one step of it.",
        )
