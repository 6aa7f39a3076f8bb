"""build/summary.md: all products in a table for a CI job's page or a pull request, and below it what was missed."""

from collections.abc import Iterator

from pipeline.facts.text import in_markdown, shortened
from pipeline.facts.units import show_size, show_time
from pipeline.judging.comparison import Comparison
from pipeline.judging.verdict import Verdict

MAX_ROWS, MAX_LINES = 500, 200
"""With lines of `_LONGEST` characters that stays below the 1 MiB that GitHub shows of a summary."""
_LONGEST = 400


def render_summary(comparison: Comparison) -> str:
    """The Markdown text, in which every name means only itself."""
    fitting, everything = (
        sum(v.passed for v in comparison.verdicts),
        len(comparison.verdicts) + len(comparison.unfinished),
    )
    lines = [f"### chipfit: {fitting} of {everything} product{'' if everything == 1 else 's'} fit", ""]
    if comparison.verdicts:
        lines += ["| product | chip | flash | RAM | stack | cycles | latency | accuracy | verdict |"]
        lines += ["|---|---|---:|---:|---:|---:|---:|---:|---|"]
        # What fails must be seen, however many products there are.
        rows = sorted(comparison.verdicts, key=lambda v: (v.passed, v.product))
        lines += [_row(v) for v in rows[:MAX_ROWS]]
        lines += _more(len(rows) - MAX_ROWS, "products")
    missed = list(_missed(comparison))
    if missed:
        lines += ["", *(f"- {in_markdown(shortened(line, _LONGEST))}" for line in missed[:MAX_LINES])]
        lines += _more(len(missed) - MAX_LINES, "lines")
    return "\n".join(lines) + "\n"


def _more(count: int, what: str) -> list[str]:
    return ["", f"and {count} more {what}: see index.html"] if count > 0 else []


def _row(verdict: Verdict) -> str:
    limit_us, stack, accuracy = verdict.latency_limit_us, verdict.stack, verdict.accuracy.integer
    cells = [
        in_markdown(verdict.product),
        in_markdown(verdict.chip),
        f"{show_size(verdict.flash.used)} of {show_size(verdict.flash.limit)}",
        f"{show_size(verdict.ram.used)} of {show_size(verdict.ram.limit)}",
        "?" if stack.used is None else f"{stack.used:,} B",
        f"{verdict.cycles:,}",
        show_time(verdict.latency_us / 1e6) + ("" if limit_us is None else f" of {show_time(limit_us / 1e6)}"),
        "-" if accuracy is None else f"{100 * accuracy:.2f} %",
        in_markdown(verdict.verdict) if verdict.passed else f"**FAIL** {in_markdown(verdict.verdict)}",
    ]
    return f"| {' | '.join(cells)} |"


def _missed(comparison: Comparison) -> Iterator[str]:
    """One line for each error of a build and each missed rule."""
    for unfinished in comparison.unfinished:
        yield from (f"{unfinished.product}: {e}" for e in unfinished.errors or ("an earlier build failed.",))
    for verdict in comparison.verdicts:
        for f in verdict.findings:
            if not f.passed:
                yield f"{verdict.product}: {f.key}: {f.sentence}." + (f" Hint: {f.hint}" if f.hint else "")
