"""Rules on what became worse than `regression` of the YAML allows: a build against its lock, or another build."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from pipeline.facts.config.models import Regression
from pipeline.facts.text import visible
from pipeline.facts.totals import Totals
from pipeline.facts.units import Allowance
from pipeline.judging.evidence import Evidence
from pipeline.judging.verdict import Finding

_LONGEST_NAME = 80
_LOCK_HINT = "chipfit lock writes it, beside the product."
_LOCK_WORSE_HINT = "chipfit diff says what changed; chipfit lock takes the figures as they are now."
_OTHER_HINT = "Leave regression out where nothing is there to compare with."
_OTHER_WORSE_HINT = "Where that is meant, say so in the YAML: a larger limit."


@dataclass(frozen=True)
class Compared:
    """Figures `after` beside those `before`, and what they may lose; a sentence says why there are none before.

    They are the lock's, or those of another build that is called `old`. `unbounded` says why there is no stack bound.
    """

    limits: Regression
    before: Totals | str
    after: Totals
    old: str | None = None
    unbounded: str | None = None

    def whose(self, shown: str) -> str:
        return f"the lock's {shown}" if self.old is None else f"the {shown} of {self.old}"


def flash_grew(e: Evidence) -> Finding | None:
    """The library takes no more flash than the product's lock says and `regression.flash` allows."""
    return _found(_with_lock(e), "flash")


def ram_grew(e: Evidence) -> Finding | None:
    """The library takes no more RAM than the product's lock says and `regression.ram` allows."""
    return _found(_with_lock(e), "ram")


def stack_grew(e: Evidence) -> Finding | None:
    """The worst-case stack is no deeper than the product's lock says and `regression.stack` allows."""
    return _found(_with_lock(e), "stack")


def cycles_grew(e: Evidence) -> Finding | None:
    """The slowest inference takes no more cycles than the product's lock says and `regression.cycles` allows."""
    return _found(_with_lock(e), "cycles")


def accuracy_fell(e: Evidence) -> Finding | None:
    """The integer accuracy is no less than the product's lock says and `regression.accuracy` allows."""
    return _found(_with_lock(e), "accuracy")


def findings(compared: Compared) -> tuple[Finding, ...]:
    """The finding on every figure that has a limit."""
    return tuple(f for f in (_found(compared, name) for name in _SHOWN) if f is not None)


def other_target(old: str, facts: Sequence[tuple[str, object, object]]) -> str | None:
    """Why figures of `old` say nothing of a build: the first fact `(name, before, now)` that is not the same."""
    for what, before, now in facts:
        if before != now:
            was, is_now = (visible(str(x), _LONGEST_NAME) for x in (before, now))
            return f"{old} is that of the {what} {was}, this is {is_now}"
    return None


def _with_lock(e: Evidence) -> Compared:
    after = Totals(
        flash=e.size.flash.used,
        ram=e.size.ram.used,
        stack=e.size.stack.worst_case,
        cycles=e.simulate.cycles.max,
        latency_us=e.simulate.latency_us,
        float_accuracy=e.quantize.accuracy.real,
        accuracy=e.quantize.accuracy.integer,
    )
    return Compared(e.config.regression, e.locked, after, unbounded=e.size.stack.unknown)


def _found(c: Compared, name: str) -> Finding | None:
    """The finding on the figure `name`; None where it has no limit."""
    allowed: Allowance | None = getattr(c.limits, name)
    if allowed is None:
        return None
    after: float | None = getattr(c.after, name)
    if isinstance(c.before, str):
        hint = _LOCK_HINT if c.old is None else _OTHER_HINT
        return Finding(f"regression.{name}", False, after or 0, 0, c.before, hint) if _is_asked_first(c, name) else None
    before: float | None = getattr(c.before, name)
    if before is None or after is None:
        return _unknown(c, name, before, after)
    return _less(c, allowed, before, after) if name == "accuracy" else _more(c, name, allowed, int(before), int(after))


def _is_asked_first(c: Compared, name: str) -> bool:
    """Whether this is the first figure that has a limit: that there are no figures before is said once."""
    return name == next(n for n in _SHOWN if getattr(c.limits, n) is not None)


def _less(c: Compared, allowed: Allowance, before: float, after: float) -> Finding:
    lost = _decimal(before) - _decimal(after)
    said = f"{100 * after:.2f} % is " + ("the lock's" if c.old is None else f"that of {c.old}")
    if lost:
        more = "less" if lost > 0 else "more"
        points = f"{float(100 * abs(lost)):.2f} points"
        said = f"{100 * after:.2f} % is {points} {more} than {c.whose(f'{100 * before:.2f} %')}"
    limit = _decimal(before) - allowed.amount
    return _finding(c, "accuracy", lost <= allowed.amount, after, float(limit), said, allowed)


def _more(c: Compared, name: str, allowed: Allowance, before: int, after: int) -> Finding:
    """The finding on a figure of which more is worse."""
    show = _SHOWN[name]
    limit = before + allowed.of(before)
    said = f"{show(after)} are " + ("the lock's" if c.old is None else f"those of {c.old}")
    if after != before:
        share = f" ({100 * abs(after - before) / before:.1f} %)" if before else ""
        more = "more" if after > before else "less"
        said = f"{show(after)} are {show(abs(after - before))}{share} {more} than {c.whose(show(before))}"
    return _finding(c, name, Fraction(after) <= limit, after, float(limit), said, allowed)


def _finding(
    c: Compared, name: str, passed: bool, after: float, limit: float, said: str, allowed: Allowance
) -> Finding:
    hint = _LOCK_WORSE_HINT if c.old is None else _OTHER_WORSE_HINT
    return Finding(
        f"regression.{name}", passed, after, limit, f"{said}, allowed {allowed.text}", "" if passed else hint
    )


def _unknown(c: Compared, name: str, before: float | None, after: float | None) -> Finding:
    if after is None:
        reason = f": {c.unbounded}" if c.unbounded else ""
        why, hint = "no labelled evaluation data" if name == "accuracy" else f"no bound is known{reason}", ""
    else:
        why = f"{'the lock' if c.old is None else c.old} has no such figure to compare with"
        hint = _LOCK_HINT if c.old is None else _OTHER_HINT
    return Finding(f"regression.{name}", False, after or 0, before or 0, why, hint)


def _decimal(share: float) -> Fraction:
    """A share as exactly as it is written, so that 0.94 less 0.935 is half a percent and not a little more."""
    return Fraction(repr(share))


def _bytes(count: int) -> str:
    return f"{count:,} B"


_SHOWN: dict[str, Callable[[int], str]] = {
    "flash": _bytes,
    "ram": _bytes,
    "stack": _bytes,
    "cycles": lambda count: f"{count:,}",
    "accuracy": str,
}
RULES = (flash_grew, ram_grew, stack_grew, cycles_grew, accuracy_fell)
