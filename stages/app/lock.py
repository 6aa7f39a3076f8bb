"""`chipfit lock`: what a build rests on and what calibration decided, written beside the product to be committed."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.facts.config import Project
from pipeline.facts.config.lock import FORMAT, Lock, lock_path, lock_text, read_lock
from pipeline.facts.drafts import remove_draft, replace_file
from pipeline.facts.errors import ChipfitError, together
from pipeline.facts.files import absence_reason, is_file
from stages import report
from stages.app.build import build
from stages.app.drift import arrays_read, basis_of, drift_errors
from stages.app.options import Options
from stages.app.products import BUILD, products
from stages.base import Job
from stages.execution import up_to_date


def lock(arguments: Sequence[str]) -> int:
    """Build the products, calibrating anew, and write their locks; `--check` only says what is not as it was locked.

    What `regression` of a YAML says of the old lock is said, and the new one written all the same.
    """
    parser = Options("lock")
    parser.add_argument(
        "products", nargs="*", metavar="PRODUCT", help="names or YAML files (default: those found here)"
    )
    parser.add_argument("--check", action="store_true", help="write nothing: say what is not as it was locked")
    options = parser.parse_args(arguments)
    projects = products(options.products, locked=False)
    if options.check:
        return _check(projects)
    files = [a for a in options.products if a.endswith((".yaml", ".yml"))]
    only = [a for p in projects for a in ("--only", p.config.product)]
    code = build([*files, "--no-locked", *only])
    if code and not all(_is_worse_alone(Job(p, BUILD)) for p in projects):
        return code
    errors: list[ChipfitError] = []
    for project in projects:
        try:
            _write(project)
        except ChipfitError as error:
            errors.append(error)
    if errors:
        raise together(errors)
    return 0


def _is_worse_alone(job: Job) -> bool:
    """Whether a product was built and misses no rule, but for what became worse than its old lock says."""
    return up_to_date(report, job) and all(f.key.startswith("regression.") for f in report.missed(job))


def _check(projects: Sequence[Project]) -> int:
    errors: list[ChipfitError] = []
    for project in projects:
        path = lock_path(project.path, project.config.product)
        if not is_file(path):
            errors.append(ChipfitError(absence_reason(path), place=str(path), hint="chipfit lock writes it."))
            continue
        try:
            errors += drift_errors(replace(project, lock=read_lock(path)))
        except ChipfitError as error:
            errors.append(error)
    if errors:
        raise together(errors)
    print(f"nothing has drifted: {', '.join(p.config.product for p in projects)}")
    return 0


def _write(project: Project) -> None:
    """Write a built product's lock, unless it is there as it would be written."""
    path = lock_path(project.path, project.config.product)
    text = lock_text(lock_of(Job(project, BUILD)))
    unchanged = is_file(path) and path.read_bytes() == text.encode()
    try:
        if unchanged:
            remove_draft(path)
        else:
            replace_file(path, text.encode(), lambda draft: _check_draft(draft, path, text))
    except OSError as error:
        raise ChipfitError(f"cannot be written: {error.strerror or error}", place=str(path)) from error
    print(f"{path}: {'is as it was' if unchanged else 'written'}")


def lock_of(job: Job) -> Lock:
    """The lock of a product that was built. Raises ChipfitError where that does not lead to the network again."""
    from pipeline.arithmetic.versions import arithmetic_of
    from pipeline.facts.artifact import digests, sha256
    from pipeline.facts.decisions import Decisions
    from pipeline.graph.graph_file import load
    from pipeline.judging.figures import totals_of
    from pipeline.judging.verdict import Verdict
    from pipeline.ops import NODES
    from stages.quantize import network_of

    decisions = job.record("quantize", "decisions.json", Decisions)
    network = {n: job.read("quantize", n) for n in ("graph.json", "weights.bin")}
    if network_of(job, decisions) != network:
        raise ChipfitError(
            "its decisions do not lead to its integer network again",
            place=job.project.place("product"),
            hint="This is a bug in chipfit: please report it.",
        )
    graph = load(network, NODES)
    basis = basis_of(job.project, arrays_read(job.project, graph.inputs))
    return Lock(
        **vars(basis),
        lock=FORMAT,
        arithmetic=arithmetic_of(graph),
        activations=dict(decisions.activations),
        layers=dict(decisions.layers),
        network={n: sha256(data) for n, data in network.items()},
        library={n: d for n, d in sorted(digests(job.folder / "codegen").items()) if n != "plan.json"},
        figures=totals_of(job.record("report", "verdict.json", Verdict)),
    )


def _check_draft(draft: Path, path: Path, text: str) -> None:
    """Raise ChipfitError for a lock that does not read as what is written."""
    if lock_text(read_lock(draft).lock) != text:
        raise ChipfitError("cannot be locked: a name in its model does not fit a lock", place=str(path))
