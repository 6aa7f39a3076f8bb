"""Files that a build leaves beside its products: the comparison page, the same as JSON, JUnit XML, a job summary."""

import json
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.facts.artifact import (
    digests,
    file_sha256,
    json_sha256,
    read_stamp,
    sha256,
    stamp_bytes,
    stamped_alterations,
)
from pipeline.facts.errors import ChipfitError
from pipeline.facts.records import json_bytes, to_plain
from stages.keys import code_below

if TYPE_CHECKING:  # a build with nothing to do reads verdicts, and no page
    from pipeline.judging.comparison import Comparison
    from pipeline.judging.verdict import Verdict

INDEX = "index.json"
FILES = ("index.html", INDEX, "junit.xml", "summary.md")
_STAMP, _LOCK, _FRESH = ".index.stamp.json", ".index.lock", ".index.new"
_SECONDS = 60


@dataclass(frozen=True)
class Finished:
    """A run of the build: the repository's products, those that it came to, errors of those that it did not finish."""

    build: Path
    products: tuple[str, ...]
    seen: frozenset[str] = frozenset()
    errors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What a run of the build came to: all products, those that were asked for, and how many stages ended how."""

    comparison: "Comparison"
    asked: tuple[str, ...]
    errors: tuple[str, ...]
    stages: Mapping[str, int]


def result_document(code: int, result: Result | None, errors: Sequence[str]) -> dict[str, object]:
    """The document of `chipfit build --json`: index.json of the products asked for, with errors and outcomes."""
    from pipeline.judging.comparison import comparison_file

    asked = () if result is None else result.asked
    file = None if result is None else comparison_file(result.comparison)
    return {
        "version": 1,
        "exit_code": code,
        "products": [to_plain(p) for p in (file.products if file else ()) if p.product in asked],
        "unfinished": [to_plain(u) for u in (result.comparison.unfinished if result else ()) if u.product in asked],
        "errors": [*errors, *(result.errors if result else ())],
        "stages": dict(result.stages) if result else {},
    }


def finished(
    build: Path, products: Sequence[str], asked: Sequence[str], failures: Mapping[str, tuple[str, ...]]
) -> Finished:
    """The run that came to the reports of the products `asked`, with the errors of its failed tasks by their name.

    A report that tells of a missed rule is a result like any other, and not among the `failures`.
    """
    errors: dict[str, tuple[str, ...]] = {}
    for task, lines in failures.items():
        product = task.partition(":")[2]
        if product in products:
            errors[product] = (*errors.get(product, ()), *lines)
    return Finished(build, tuple(products), frozenset(asked), errors)


def comparison_of(run: Finished) -> "Comparison":
    """The products of the repository as the build folder has them.

    A product that failed is not shown with the figures that it had before, until it is built again. One that is built
    but that the repository no longer names is only named.
    """
    from pipeline.judging.comparison import Comparison, Unfinished

    still = set(_unfinished_before(run.build)) - run.seen
    verdicts, unfinished = [], []
    for name in sorted(set(run.products)):
        verdict = read_verdict(run.build, name)
        if name in run.errors or name in still:
            unfinished.append(Unfinished(name, run.errors.get(name, ())))
        elif verdict is not None:
            verdicts.append(verdict)
    built = {p.parent.parent.name for p in run.build.glob("*/report/verdict.json")}
    return Comparison(tuple(verdicts), tuple(unfinished), tuple(sorted(built - set(run.products))))


def read_verdict(build: Path, product: str) -> "Verdict | None":
    """The verdict of a product that was built; None where there is none, or it was changed after it was made."""
    from pipeline.judging.verdict import read_verdict as read

    try:
        data = (build / product / "report" / "verdict.json").read_bytes()
        verdict = read(data)
    except (OSError, ChipfitError):
        return None
    intact = digests(build / product / "report").get("verdict.json") == sha256(data)
    return verdict if intact and verdict.product == product else None


def _unfinished_before(build: Path) -> list[str]:
    """Names of the products that the run before did not finish."""
    try:
        names = json.loads((build / INDEX).read_bytes())["unfinished"]
        return [n for n in names if isinstance(n, str)]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def publish(run: Finished) -> "Comparison":
    """Bring the files beside the products up to date, each whole or as it was; raises ChipfitError where one cannot be.

    Two builds in one folder take turns: the last one to end has seen the results of both.
    """
    comparison = comparison_of(run)
    if _is_current(run.build, _key(comparison)) or not (comparison.verdicts or comparison.unfinished):
        return comparison
    from filelock import FileLock, Timeout

    try:
        run.build.mkdir(parents=True, exist_ok=True)
        with FileLock(run.build / _LOCK, timeout=_SECONDS):
            comparison = comparison_of(run)
            files = {name: render(comparison) for name, render in _renderers().items()}
            stamp = stamp_bytes(_key(comparison), {n: sha256(d) for n, d in files.items()})
            for name, data in (*files.items(), (_STAMP, stamp)):
                (run.build / _FRESH).write_bytes(data)
                (run.build / _FRESH).replace(run.build / name)
    except Timeout as error:
        raise ChipfitError(f"another build has held this folder for {_SECONDS} s", place=str(run.build)) from error
    except OSError as error:
        raise ChipfitError(
            f"cannot write the comparison page: {error.strerror or error}",
            place=str(run.build / "index.html"),
            hint="Check that the build folder is writable and the disk is not full.",
        ) from error
    return comparison


def _renderers() -> dict[str, "Callable[[Comparison], bytes]"]:
    """The files by their name."""
    from pipeline.judging.comparison import Comparison, comparison_file
    from pipeline.judging.report.comparison_page import render_comparison
    from pipeline.judging.report.job_summary import render_summary
    from pipeline.judging.report.junit import render_junit

    renderers: tuple[Callable[[Comparison], bytes], ...] = (
        lambda c: render_comparison(comparison_file(c)).encode(),
        lambda c: json_bytes(comparison_file(c)),
        render_junit,
        lambda c: render_summary(c).encode(),
    )
    return dict(zip(FILES, renderers, strict=True))


def _key(comparison: "Comparison") -> str:
    """A digest of everything that the files depend on: the verdicts, and the code that writes them."""
    return json_sha256(
        [to_plain(comparison), code_below("pipeline/facts", "pipeline/judging", "stages/app/publish.py")]
    )


def _is_current(build: Path, key: str) -> bool:
    """Whether the files are those that were written for `key`, and nothing is left over of a build that was killed."""
    stamp = read_stamp(build / _STAMP)
    if stamp is None or stamp[0] != key or (build / _FRESH).exists():
        return False
    return all(file_sha256(build / n) == d for n, d in stamp[1].items())


def published_alterations(build: Path, others: Set[str]) -> list[str]:
    """What of the files beside the products is not as they were written, as `name: clause`.

    `others` are names of a build folder that this is not about. Empty for a folder without such files, as where
    products were copied to.
    """
    found = {p.name for p in build.iterdir()} - others - {_LOCK}
    if not found & {_STAMP, *FILES}:
        return []
    return stamped_alterations(build, _STAMP, found)
