"""Stage `report`: the verdict, an HTML page, a summary for a pull request, and the manifest."""

import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.facts.config import Project
from stages.base import Job
from stages.samples import data_files, model_files

NAME = "report"
AFTER = ("import", "quantize", "codegen", "size-check", "simulate")
TARGETS = ("index.html", "summary.md", "verdict.json", "manifest.json")
_PACKAGES = ("numpy", "onnx", "onnxruntime", "unicorn", "capstone", "ziglang")


def keys(project: Project) -> Any:
    return [project.config.model_dump(mode="json"), project.chip.model_dump(mode="json")]


def inputs(project: Project) -> Mapping[str, Path]:
    return {**model_files(project), **data_files(project)}


def run(job: Job) -> dict[str, bytes]:
    from pipeline.facts.artifact import digests, file_sha256, to_json
    from pipeline.judging.report import render_html, render_markdown
    from pipeline.judging.rules import Evidence, judge, verdict_of

    project = job.project
    quantize = job.read_json("quantize", "quantize.json")
    size = job.read_json("size-check", "size.json")
    simulate = job.read_json("simulate", "simulate.json")
    evidence = Evidence(project.config, project.chip, quantize, size, simulate)
    findings = judge(evidence)
    verdict = {
        "product": project.config.product,
        "chip": project.chip.chip,
        "passed": all(f.passed for f in findings),
        "verdict": verdict_of(findings),
        "flash": {k: size["flash"][k] for k in ("used", "limit")},
        "ram": {k: size["ram"][k] for k in ("used", "limit")},
        "stack": {"used": size["stack"]["worst_case"], "limit": size["stack"]["limit"]},
        "cycles": simulate["cycles"]["max"],
        "latency_us": simulate["latency_us"],
        "latency_limit_us": _microseconds(project),
        "accuracy": accuracy_shown(quantize, simulate),
        "findings": [
            {
                "key": f.key,
                "passed": f.passed,
                "budget": f.budget,
                "measured": f.measured,
                "limit": f.limit,
                "said": f.said,
                "hint": f.hint,
            }
            for f in findings
        ],
    }
    manifest = {
        "chipfit": importlib.metadata.version("chipfit"),
        "python": platform.python_version(),
        "packages": {n: importlib.metadata.version(n) for n in _PACKAGES},
        "toolchain": size["toolchain"],
        "inputs": {n: file_sha256(p) for n, p in sorted(inputs(project).items())},
        "outputs": {s: digests(job.folder / s) for s in AFTER},
    }
    plan = job.read_json("codegen", "plan.json")
    page = {
        "verdict": verdict,
        "quantize": quantize,
        "size": size,
        "simulate": simulate,
        "plan": plan,
        "manifest": manifest,
        "chip": project.chip.model_dump(mode="json"),
    }
    return {
        "verdict.json": to_json(verdict),
        "manifest.json": to_json(manifest),
        "summary.md": render_markdown(verdict, simulate, plan).encode(),
        "index.html": render_html(page).encode(),
    }


def accuracy_shown(quantize: Mapping[str, Any], simulate: Mapping[str, Any]) -> Any:
    """That of the integer reference, as long as the emulated code is that; else what the emulated code reached."""
    if not simulate["vectors"]["mismatches"]:
        return quantize["accuracy"]
    return quantize["accuracy"] | {"integer": simulate["accuracy"]["integer"], "agreement": None}


def _microseconds(project: Project) -> float | None:
    limit = project.config.budget.latency
    return None if limit is None else float(limit * 1_000_000)


def failures(job: Job) -> list[str]:
    """The missed rules of the last report, as `file:line: key: sentence`, for the build's exit."""
    from pipeline.facts.errors import ChipfitError

    missed = [f for f in job.read_json(NAME, "verdict.json")["findings"] if not f["passed"]]
    return [
        str(ChipfitError(f"{f['key']}: {f['said']}", place=job.project.place(f["key"]), hint=f["hint"])) for f in missed
    ]
