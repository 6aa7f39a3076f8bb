"""Stage `quantize`: the float graph becomes an integer graph, measured against the float network."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.facts.config import Project
from pipeline.facts.config.lock import check_network, decided_digests
from pipeline.facts.cores import CORES
from pipeline.facts.errors import ChipfitError, ManyErrors, did_you_mean
from pipeline.importing.readers import reader_of
from stages.base import Job
from stages.model_source import model_files, model_path
from stages.samples import calibration, data_files, data_settings, evaluation

if TYPE_CHECKING:
    from pipeline.facts.decisions import Decisions
    from pipeline.graph.ir import Graph
    from pipeline.quantizing.calibrate import Histogram, Policy
    from pipeline.quantizing.data import Samples
    from pipeline.quantizing.input_statistics import InputStatistics
    from pipeline.quantizing.integer_graph import Quantized
    from pipeline.quantizing.quantize_file import Attempt, Signal

NAME = "quantize"
READS = {"export": ("model.onnx",), "import": ("graph.json", "weights.bin")}
TARGETS = ("graph.json", "weights.bin", "quantize.json", "decisions.json")


def settings(project: Project) -> Mapping[str, object]:
    config, accuracy = project.config, project.config.accuracy
    asked = {"at_least": accuracy.at_least is not None, "max_drop": accuracy.max_drop is not None}
    return {
        "accuracy": {**asked, "signal": accuracy.signal},
        "data": data_settings(project),
        "quantization": {**config.quantization.model_dump(), "requantize": _requantizer(project)},
        **({} if project.lock is None else {"lock": decided_digests(project.lock.lock)}),
    }


def inputs(project: Project) -> Mapping[str, Path]:
    return {**data_files(project), **model_files(project)}


def _requantizer(project: Project) -> str:
    """Requantizer of the product; for `auto` that of its core."""
    asked = project.config.quantization.requantize
    return asked if asked != "auto" else CORES[project.chip.core].requantizer


def run(job: Job) -> dict[str, bytes]:
    from pipeline.facts.decisions import Decisions
    from pipeline.facts.records import json_bytes
    from pipeline.graph.graph_file import load, save
    from pipeline.graph.onnx_export import named_model, qdq_model
    from pipeline.ops import NODES
    from pipeline.quantizing.calibrate import observe
    from pipeline.quantizing.evaluate import evaluate, evaluate_integer
    from pipeline.quantizing.integer_graph import join_int8_functions, unprescribed_activations
    from pipeline.quantizing.locked import decisions_of, observed_of

    project = job.project
    graph = load({n: job.read("import", n) for n in ("graph.json", "weights.bin")}, NODES)
    held_out = evaluation(project, graph)
    _check_labels(project, held_out)
    _check_widths(project, graph)
    if graph.integer:
        model = project.file("model.source", project.config.model.source).read_bytes()
        network, decisions = save(graph), Decisions({}, {})
        if project.lock is not None:
            check_network(project.lock, decisions, network)
        document = evaluate_integer(graph, held_out, model)
        return network | {"quantize.json": json_bytes(document), "decisions.json": json_bytes(decisions)}
    policy = _policy(project)
    graph = join_int8_functions(graph, policy)
    locked = None if project.lock is None else project.lock.lock.decisions
    observed, statistics = {}, {}
    names = unprescribed_activations(graph)
    if locked is not None:
        observed = {n: h for n, h in observed_of(locked).items() if n in names}
    elif names:
        samples = calibration(project, graph, names)
        _check_varied(project, samples)
        observed = observe(graph, samples, lambda done, total: job.progress("calibrate", done, total), names)
    if locked is None:
        statistics = _input_statistics(job, graph)
    result = _quantized(project, graph, observed, policy, statistics, locked)
    network, decisions = save(result.graph), decisions_of(result.params, observed, result.layers)
    if project.lock is not None:
        check_network(project.lock, decisions, network)
    qdq = qdq_model(graph, result.params, result.constants)
    source = project.config.model.source
    path = model_path(job)
    reader = reader_of(path)
    original = None if reader is None else reader.original(path, source)
    document = evaluate(
        graph, result, observed, original or named_model(graph), qdq, held_out,
        lambda d, t: job.progress("evaluate", d, t), None if original is None else source,
    )  # fmt: skip
    attempts = () if locked else _alternatives(job, graph, policy, observed, document.signal, held_out)
    return network | {
        "model.qdq.onnx": qdq.SerializeToString(deterministic=True),
        "quantize.json": json_bytes(replace(document, signal_tried=attempts)),
        "decisions.json": json_bytes(decisions),
    }


def network_of(job: Job, decisions: "Decisions") -> dict[str, bytes]:
    """The files of the integer network to which the import and these decisions lead: without data, and not measured."""
    from pipeline.graph.graph_file import load, save
    from pipeline.ops import NODES
    from pipeline.quantizing.integer_graph import join_int8_functions

    graph = load({n: job.read("import", n) for n in ("graph.json", "weights.bin")}, NODES)
    if graph.integer:
        return save(graph)
    policy = _policy(job.project)
    return save(_quantized(job.project, join_int8_functions(graph, policy), {}, policy, {}, decisions).graph)


def _policy(project: Project) -> "Policy":
    from pipeline.quantizing.calibrate import Policy

    asked = project.config.quantization
    return Policy(asked.calibration, asked.percentile, asked.zero_points == "symmetric", asked.activations)


def _quantized(
    project: Project,
    graph: "Graph",
    observed: "Mapping[str, Histogram]",
    policy: "Policy",
    statistics: "Mapping[str, InputStatistics]",
    locked: "Decisions | None" = None,
) -> "Quantized":
    from pipeline.quantizing.integer_graph import quantize

    asked = project.config.quantization
    try:
        return quantize(
            graph, observed, policy, per_channel=asked.scales == "per-channel", requantizer=_requantizer(project),
            widths=asked.widths, input_statistics=statistics, locked=locked,
        )  # fmt: skip
    except ChipfitError as error:  # of a layer, which stands in the model file, or in the lock
        place = project.place("model.source") if project.lock is None else str(project.lock.path)
        error.place = error.place or place
        raise


def _input_statistics(job: Job, graph: "Graph") -> "dict[str, InputStatistics]":
    """Input statistics, on the calibration data, of the layers with weights of less than eight bits."""
    from pipeline.ops.shared.linear import Linear
    from pipeline.quantizing.input_statistics import measure_inputs

    widths = job.project.config.quantization.widths
    low_bit = [n for n in graph.nodes if isinstance(n, Linear) and widths.bits(n.name) < 8]
    if not low_bit or job.project.config.data.calibration is None:
        return {}
    return measure_inputs(graph, calibration(job.project, graph), low_bit, lambda d, t: job.progress("weights", d, t))


def _alternatives(
    job: Job,
    graph: "Graph",
    policy: "Policy",
    observed: "Mapping[str, Histogram]",
    rows: "Sequence[Signal]",
    held_out: "Samples",
) -> "tuple[Attempt, ...]":
    """Other quantizations of the part with the least signal, where it has too little."""
    from pipeline.quantizing.calibrate import observe
    from pipeline.quantizing.evaluate import PROBES
    from pipeline.quantizing.integer_graph import join_int8_functions, unprescribed_activations
    from pipeline.quantizing.quantize_file import least_signal
    from pipeline.quantizing.signal_to_noise import alternatives, output_elements, tensor_parts

    project = job.project
    least = least_signal(rows, project.config.accuracy.signal)
    if least is None or least.tensor not in unprescribed_activations(graph):
        return ()

    def attempt(changed: "Graph", how: "Policy", samples: "Samples") -> "Quantized":
        own = changed is graph
        changed = join_int8_functions(changed, how)
        names = unprescribed_activations(changed)
        known = own and all(n in observed for n in names)  # float values, whatever becomes of them
        ranges = observed if known else observe(changed, samples, lambda done, total: None, names)
        return _quantized(project, changed, ranges, how, _input_statistics(job, changed))

    part = next(p for p in (*tensor_parts(graph), *output_elements(graph)) if p.description == least.part)
    return alternatives(part, graph, policy, attempt, calibration(project, graph), held_out.take(PROBES))


def _check_labels(project: Project, held_out: "Samples") -> None:
    """Raise ChipfitError where an accuracy is asked for and the evaluation data have no labels."""
    asked = project.config.accuracy
    key = "at_least" if asked.at_least is not None else "max_drop" if asked.max_drop is not None else None
    source = project.config.data.evaluation
    if key is None or held_out.labels is not None or source is None:
        return
    raise ChipfitError(
        f"accuracy.{key}: {source.file} holds no labels",
        place=project.place(f"accuracy.{key}"),
        hint="Add an array y with the class of each sample, or name one with data.evaluation.labels.",
    )


def _check_varied(project: Project, samples: "Samples") -> None:
    """Raise ChipfitError where the calibration data are constant; one input of several may be."""
    if any(a.min() != a.max() for a in samples.inputs):
        return
    values = ", ".join(f"{a.min():g}" for a in samples.inputs)
    raise ChipfitError(
        f"data.calibration: the calibration data are constant: every value is {values}",
        place=project.place("data.calibration"),
        hint="Give inputs as the device will see them; int8 ranges are chosen from them.",
    )


def _check_widths(project: Project, graph: "Graph") -> None:
    """Raise ManyErrors for a named layer without weights, and for one of low bits that the file has quantized."""
    from pipeline.ops.shared.linear import Linear

    asked = project.config.quantization
    kinds = {n.name: type(n).__name__ for n in graph.nodes}
    linear = {n.name: graph.tensors[n.weights].quant is not None for n in graph.nodes if isinstance(n, Linear)}
    errors = []
    for name in (n for n in asked.layers if n not in linear):
        message, hint = f"no layer is called {name!r}", did_you_mean(name, list(linear))
        if name in kinds:
            message, hint = (
                f"layer {name!r} ({kinds[name]}) has no weights",
                f"Those with weights: {', '.join(linear)}.",
            )
        place = project.place(f"quantization.layers.{name}")
        hint = hint if linear else "No layer of this network has weights."
        errors.append(ChipfitError(f"quantization.layers: {message}", place=place, hint=hint))
    fixed = next((n for n, prescribed in linear.items() if prescribed and asked.widths.bits(n) < 8), None)
    if fixed is not None:
        key = f"quantization.layers.{fixed}" if fixed in asked.layers else "quantization.weights"
        errors.append(
            ChipfitError(
                f"{key}: the model file itself says the integers of layer {fixed!r}",
                place=project.place(key),
                hint="Quantized weights are taken as they are: leave this out, or give chipfit the float model.",
            )
        )
    if errors:
        raise ManyErrors(errors)
