"""Stage `quantize`: the float graph becomes an integer graph, measured against the float network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.config import Project
from stages.base import Job
from stages.samples import calibration, data_files, evaluation

NAME = "quantize"
AFTER = ("import",)
TARGETS = ("graph.json", "weights.bin", "quantize.json")


def keys(project: Project) -> Any:
    config = project.config
    return [config.quantization.model_dump(), config.data.model_dump(), _requantizer(project)]


def inputs(project: Project) -> Mapping[str, Path]:
    source = project.file("model.source", project.config.model.source)
    return {**data_files(project), "model": source}


def _requantizer(project: Project) -> str:
    """auto means shift where there is no long multiply, and TensorFlow Lite's multiplier elsewhere."""
    asked = project.config.quantization.requantize
    return asked if asked != "auto" or project.chip.core in ("cortex-m0", "cortex-m0plus") else "multiplier"


def run(job: Job) -> dict[str, bytes]:
    from pipeline.artifact import to_json
    from pipeline.calibrate import Policy, observe
    from pipeline.evaluate import evaluate, evaluate_integer
    from pipeline.graphfile import load, save
    from pipeline.importers.onnx_file import load_onnx
    from pipeline.onnx_export import named_model, qdq_model
    from pipeline.quantize import quantize, unsettled

    project, asked = job.project, job.project.config.quantization
    graph = load({n: job.read("import", n) for n in ("graph.json", "weights.bin")})
    held_out = evaluation(project, graph)
    if graph.integer:
        return save(graph) | {"quantize.json": to_json(evaluate_integer(graph, held_out))}
    observed = {}
    if names := unsettled(graph):
        typical = calibration(project, graph)
        observed = observe(graph, typical, lambda done, total: job.progress("calibrate", done, total), names)
    policy = Policy(asked.calibration, asked.percentile, asked.zero_points == "symmetric", asked.activations)
    result = quantize(
        graph,
        observed,
        policy,
        per_channel=asked.scales == "per-channel",
        requantizer=_requantizer(project),
    )
    qdq = qdq_model(graph, result.params, result.constants)
    source = project.config.model.source
    path = project.file("model.source", source)
    path = job.folder / "export" / "model.onnx" if path.suffix == ".pt2" else path
    original = load_onnx(path, source) if path.suffix == ".onnx" else named_model(graph)
    document = evaluate(graph, result, observed, original, qdq, held_out, lambda d, t: job.progress("evaluate", d, t))
    return save(result.graph) | {
        "model.qdq.onnx": qdq.SerializeToString(deterministic=True),
        "quantize.json": to_json(document),
    }
