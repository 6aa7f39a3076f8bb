"""doit's reporter: a line for each stage that ran; at the end the table, where results came from, errors, exit code."""

import io
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from doit.exceptions import TaskFailed, UnmetDependency
from doit.reporter import ConsoleReporter

from pipeline.facts.errors import ChipfitError
from stages.app.crash import ending_crashes, say_crash
from stages.app.failures import RulesMissed, grouped
from stages.app.outcomes import origins
from stages.app.publish import Result, comparison_of, finished, publish
from stages.app.terminal import name_width, table


class Reporter(ConsoleReporter):  # type: ignore[misc]
    """doit's reporter: prints each stage and its time, then the table of verdicts, then the errors."""

    desc = "chipfit"

    def __init__(
        self,
        outstream: Any,
        options: dict[str, Any],
        build: Path,
        products: Sequence[str],
        others: Sequence[str] = (),
        results: list[Result] | None = None,
    ) -> None:
        super().__init__(outstream if results is None else sys.stderr, options)
        self._build, self._products, self._others, self._results = build, products, others, results
        self._outcomes: dict[str, str] = {}
        self._started: dict[str, float] = {}
        self._seen: set[str] = set()

    def write(self, text: str) -> None:
        try:
            super().write(text)
        except BrokenPipeError:  # whoever read it has enough; the build goes on
            self.outstream = io.StringIO()

    def execute_task(self, task: Any) -> None:
        self._started[task.name] = time.monotonic()

    def add_success(self, task: Any) -> None:
        if task.actions and ":" in task.name and task.name in self._started:
            self._outcomes[task.name] = task.values.get("outcome", "ran")
            if self._outcomes[task.name] in ("ran", "cluster"):
                stage, _, product = task.name.partition(":")
                own = task.values.get("seconds")
                took = time.monotonic() - self._started[task.name] if own is None else own
                where = "" if own is None else " on the cluster"
                self.write(f"{stage:<11} {product:<{name_width(self._products)}} {took:6.2f} s{where}\n")
        self._seen.add(task.name)

    def skip_uptodate(self, task: Any) -> None:
        if task.actions and ":" in task.name:
            self._outcomes[task.name] = "up to date"
        self._seen.add(task.name)

    def add_failure(self, task: Any, fail: Any) -> None:
        if ":" in task.name:  # the group of a stage's tasks is none
            own = "not run" if isinstance(fail, UnmetDependency) else "failed"
            self._outcomes[task.name] = task.values.get("outcome", own)  # a report that tells of a missed rule was made
        self._seen.add(task.name)
        self.failures.append({"task": task, "exception": fail})

    def cleanup_error(self, exception: Any) -> None:
        sys.stderr.write(exception.get_msg())

    def complete_run(self) -> None:
        """The table and every error once; a stage that did not run because an earlier one failed is none of its own.

        Raises SystemExit: with 1 where doit would make of such a stage the exit code 2, and 2 for a fault of chipfit.
        """
        with ending_crashes("the end of the build"):
            code = self._complete()
        if code:
            raise SystemExit(code)

    def _complete(self) -> int:
        judged = {f["task"].name for f in self.failures if isinstance(f["exception"], RulesMissed)}
        stopped = {f["task"].name.partition(":")[2] for f in self.failures if f["task"].name not in judged}
        asked = [p for p in self._products if f"report:{p}" in self._seen and p not in stopped]
        if asked:
            self.write(table(self._build, asked))
        self.write(origins(self._counts()))
        lines: dict[str, tuple[str, ...]] = {}
        crashes: dict[str, tuple[str, ...]] = {}
        for name, error in ((f["task"].name, f["exception"]) for f in self.failures):
            if isinstance(error, TaskFailed):
                lines[name] = tuple(error.get_msg().strip().splitlines())
            elif not isinstance(error, UnmetDependency):
                crashes[name] = (say_crash(error.traceback or [error.message], name),)
        printed = grouped(lines)
        faults = {n: e for n, e in {**lines, **crashes}.items() if n not in judged}
        run = finished(self._build, (*self._products, *self._others), asked, faults)
        broken: list[str] = []
        try:
            comparison = publish(run)
        except ChipfitError as error:  # where something failed before, that is most likely why
            comparison, broken = comparison_of(run), [str(error)]
        printed = printed or broken
        for line in printed:
            sys.stderr.write(f"{line}\n")
        if self._results is not None:
            named = tuple(p for p in self._products if p in asked or p in run.errors)
            self._results.append(Result(comparison, named, tuple(broken), self._counts()))
        return 2 if crashes else bool(printed)

    def _counts(self) -> dict[str, int]:
        """How many stages ended how."""
        return {how: list(self._outcomes.values()).count(how) for how in sorted(set(self._outcomes.values()))}


def reporter(
    build: Path, products: Sequence[str], others: Sequence[str] = (), results: list[Result] | None = None
) -> type[Reporter]:
    """The reporter of these products' builds, as doit takes one: a class that it makes an object of.

    `others` are products of the repository that this build is not about; the run's result is added to `results`.
    """

    class ProductReporter(Reporter):
        def __init__(self, outstream: Any, options: dict[str, Any]) -> None:
            super().__init__(outstream, options, build, products, others, results)

    return ProductReporter
