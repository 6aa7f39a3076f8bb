"""Stage `report`: the verdict, an HTML page, a summary for a pull request, and the manifest."""

import importlib.metadata
import platform
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pipeline.facts.config import Project
from pipeline.facts.config.lock import lock_path, read_lock
from pipeline.facts.errors import ChipfitError
from pipeline.facts.files import is_file
from pipeline.facts.weight_bits import BITS
from pipeline.model_files.exported import EXPORTED
from stages.base import ALL, Job
from stages.model_source import model_files
from stages.samples import data_files

if TYPE_CHECKING:
    from pipeline.facts.totals import Totals
    from pipeline.judging.evidence import LockedLibrary
    from pipeline.judging.report.mlbom import Licence
    from pipeline.judging.verdict import Finding
    from pipeline.measuring.simulate_file import SimulateFile
    from pipeline.quantizing.quantize_file import Accuracy

NAME = "report"
READS = dict.fromkeys(("export", "import", "feasibility", "quantize", "codegen", "size-check", "simulate"), ALL)
TARGETS = (
    "index.html", "summary.md", "verdict.json", "manifest.json", "provenance.json", "test-result.json", "mlbom.cdx.json"
)  # fmt: skip
_MODULES = ("import_model", "feasibility", "quantize", "codegen", "size_check", "simulate", "report")
_PACKAGES = ("numpy", "onnx", "onnxruntime", "unicorn", "capstone", "ziglang")


def settings(project: Project) -> Mapping[str, object]:
    return {
        **project.config.model_dump(mode="json", exclude={"chip"}),
        "chip": project.chip.model_dump(mode="json"),
        "versions": _versions(),
        "tools": _tools(project),
        "from_lock": project.lock is not None,
    }


def inputs(project: Project) -> Mapping[str, Path]:
    asked = project.lock is not None or any(limit is not None for _, limit in project.config.regression)
    lock = {"lock": lock_path(project.path, project.config.product)} if asked else {}
    return {**model_files(project), **data_files(project), **lock}


def run(job: Job) -> dict[str, bytes]:
    from pipeline.facts.artifact import digests, file_sha256, to_json
    from pipeline.facts.records import json_bytes
    from pipeline.graph.graph_file import load
    from pipeline.judging.evidence import Evidence
    from pipeline.judging.report.mlbom import bill_of_materials
    from pipeline.judging.report.page import Manifest, Page, render_html, render_markdown
    from pipeline.judging.report.provenance import Built, provenance, test_result
    from pipeline.judging.rules import judge
    from pipeline.judging.verdict import StackUsed, Used, Verdict, verdict_of
    from pipeline.measuring.footprint.size_file import SizeFile
    from pipeline.measuring.simulate_file import SimulateFile
    from pipeline.ops import NODES
    from pipeline.planning.plan_file import PlanFile
    from pipeline.quantizing.quantize_file import QuantizeFile

    project = job.project
    quantized = job.record("quantize", "quantize.json", QuantizeFile)
    plan = job.record("codegen", "plan.json", PlanFile)
    size = job.record("size-check", "size.json", SizeFile)
    simulated = job.record("simulate", "simulate.json", SimulateFile)
    findings = judge(
        Evidence(project.config, project.chip, quantized, size, simulated, _locked(project), _library(job))
    )
    verdict = Verdict(
        product=project.config.product,
        chip=project.chip.chip,
        passed=all(f.passed for f in findings),
        verdict=verdict_of(findings),
        flash=Used(size.flash.used, size.flash.limit),
        ram=Used(size.ram.used, size.ram.limit),
        stack=StackUsed(size.stack.worst_case, size.stack.limit),
        cycles=simulated.cycles.max,
        latency_us=simulated.latency_us,
        latency_limit_us=_microseconds(project),
        accuracy=measured_accuracy(quantized.accuracy, simulated),
        findings=findings,
        model=PurePosixPath(project.config.model.source).name,
        **({} if quantized.signal_tried is None else _policy(project)),
    )
    manifest = Manifest(
        **_versions(),
        toolchain=size.toolchain,
        inputs={n: file_sha256(p) for n, p in sorted(inputs(project).items())},
        outputs={s: found for s in READS if (found := digests(job.folder / s))},
    )
    graph = load({n: job.read("quantize", n) for n in ("graph.json", "weights.bin")}, NODES)
    built = Built(project.config, project.chip, manifest, verdict, plan.arithmetic, _tools(project))
    page = Page(verdict, quantized, size, simulated, plan, manifest, project.chip)
    return {
        "verdict.json": json_bytes(verdict),
        "manifest.json": json_bytes(manifest),
        "provenance.json": to_json(provenance(built)),
        "test-result.json": to_json(test_result(built)),
        "mlbom.cdx.json": to_json(bill_of_materials(built, graph, plan, simulated, _licences(built.tools))),
        "summary.md": render_markdown(verdict, simulated, plan).encode(),
        "index.html": render_html(page).encode(),
    }


def _library(job: Job) -> "LockedLibrary | None":
    """The library beside that of the lock from which it was built, if it was."""
    from pipeline.facts.artifact import digests
    from pipeline.judging.evidence import LockedLibrary

    file = job.project.lock
    if file is None:
        return None
    built = {n: d for n, d in digests(job.folder / "codegen").items() if n != "plan.json"}
    names = sorted(built.keys() | file.lock.library.keys())
    differing = [n for n in names if built.get(n) != file.lock.library.get(n)]
    return LockedLibrary(file.path.name, len(names), tuple(differing))


def _locked(project: Project) -> "Totals | str":
    """The figures of the product's lock, or why there are none: a build that is to be locked anew is judged, too.

    Those of another product or chip say nothing of this one; another model is what they are there for.
    """
    from pipeline.judging.regression import other_target

    path = inputs(project).get("lock")
    if path is None or not is_file(path):
        return "there is no lock to compare with"
    try:
        lock = read_lock(path).lock
    except ChipfitError as error:
        return f"the lock cannot be read: {str(error).splitlines()[0]}"
    facts = (
        ("product", lock.settings.get("product"), project.config.product),
        ("chip", lock.chip.get("chip"), project.chip.chip),
        ("core", lock.chip.get("core"), project.chip.core),
    )
    return other_target("the lock", facts) or lock.figures


@cache
def _versions() -> dict[str, Any]:
    """What the manifest says of chipfit, Python and packages."""
    from stages.keys import tools_of

    tools = tools_of(_PACKAGES)  # to parse the metadata of all takes longer than the rest of a build with nothing to do
    return {
        "chipfit": importlib.metadata.version("chipfit"),
        "python": platform.python_version(),
        "packages": {n: tools[n].partition(" ")[0] for n in _PACKAGES},
    }


def _policy(project: Project) -> dict[str, str]:
    """How a float network was quantized, for a table: widths of weights, the widest first, and the rest in words."""
    own = project.config.quantization
    widths = {own.weights, *(layer.weights for layer in own.layers.values())}
    return {
        "weights": ", ".join(sorted(widths, key=lambda w: (-BITS[w], w))),
        "activations": own.activations,
        "policy": f"{own.scales}, {own.zero_points}, {own.calibration}",
    }


def _tools(project: Project) -> dict[str, str]:
    """What all stages of the product depend on, by name: "version sha256:digest"."""
    from stages.keys import dependencies
    from stages.keys.tools import MISSING

    exported = Path(project.config.model.source).suffix in EXPORTED
    found: dict[str, str] = {}
    for module in (*(["export"] if exported else []), *_MODULES):
        found |= dependencies(f"stages.{module}", project)[1]
    return {n: v for n, v in sorted(found.items()) if v != MISSING}


def _licences(names: Iterable[str]) -> "dict[str, Licence]":
    """The licences that packages themselves state, by the package's name."""
    from pipeline.judging.report.mlbom import Licence

    found = {}
    for name in names:
        try:
            stated = importlib.metadata.metadata(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        expression = stated.get_all("License-Expression")
        words = [c.rpartition(" :: ")[2] for c in stated.get_all("Classifier") or [] if c.startswith("License ::")]
        if expression or words:
            found[name] = Licence(", ".join(expression or words), bool(expression))
    return found


def measured_accuracy(found: "Accuracy", simulated: "SimulateFile") -> "Accuracy":
    """Accuracy of the integer reference where the emulated code equals it, else that of the emulated code."""
    if not simulated.vectors.mismatches:
        return found
    return replace(found, integer=simulated.accuracy.integer, agreement=None)


def _microseconds(project: Project) -> float | None:
    limit = project.config.budget.latency
    return None if limit is None else float(limit * 1_000_000)


def missed(job: Job) -> "list[Finding]":
    """Findings of missed rules in the last report."""
    from pipeline.judging.verdict import read_verdict

    return [f for f in read_verdict(job.read(NAME, "verdict.json")).findings if not f.passed]


def failures(job: Job) -> list[str]:
    """Findings of missed rules in the last report, each as `file:line: key: sentence`, a variant's with its name."""
    own = job.project
    return [
        str(ChipfitError(own.told(f"{f.key}: {f.sentence}"), place=own.place(f.key), hint=f.hint)) for f in missed(job)
    ]
