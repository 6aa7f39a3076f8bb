"""Rules on what became worse: a build against the figures of the product's lock, as `regression` of the YAML allows."""

from collections.abc import Callable
from fractions import Fraction

from pipeline.facts.units import Allowance
from pipeline.judging.evidence import Evidence
from pipeline.judging.verdict import Finding

_LOCK_HINT = "chipfit lock writes it, beside the product."
_WORSE_HINT = "chipfit diff says what changed; chipfit lock takes the figures as they are now."


def flash_grew(e: Evidence) -> Finding | None:
    """The library takes no more flash than the product's lock says and `regression.flash` allows."""
    return _more(e, "flash", e.size.flash.used, _bytes)


def ram_grew(e: Evidence) -> Finding | None:
    """The library takes no more RAM than the product's lock says and `regression.ram` allows."""
    return _more(e, "ram", e.size.ram.used, _bytes)


def stack_grew(e: Evidence) -> Finding | None:
    """The worst-case stack is no deeper than the product's lock says and `regression.stack` allows."""
    return _more(e, "stack", e.size.stack.worst_case, _bytes)


def cycles_grew(e: Evidence) -> Finding | None:
    """The slowest inference takes no more cycles than the product's lock says and `regression.cycles` allows."""
    return _more(e, "cycles", e.simulate.cycles.max, lambda count: f"{count:,}")


def accuracy_fell(e: Evidence) -> Finding | None:
    """The integer accuracy is no less than the product's lock says and `regression.accuracy` allows."""
    allowed = e.config.regression.accuracy
    if allowed is None or not _is_asked_first_or_locked(e, "accuracy"):
        return None
    after = e.quantize.accuracy.integer
    if isinstance(e.locked, str):
        return Finding("regression.accuracy", False, after or 0, 0, e.locked, _LOCK_HINT)
    before = e.locked.accuracy
    if before is None or after is None:
        return _unknown("accuracy", after, before, "no labelled evaluation data")
    lost = _decimal(before) - _decimal(after)
    said = f"{100 * after:.2f} % is the lock's"
    if lost:
        more = "less" if lost > 0 else "more"
        said = f"{100 * after:.2f} % is {float(100 * abs(lost)):.2f} points {more} than the lock's {100 * before:.2f} %"
    limit = _decimal(before) - allowed.amount
    return _finding("accuracy", lost <= allowed.amount, after, float(limit), said, allowed)


def _more(e: Evidence, name: str, after: int | None, show: Callable[[int], str]) -> Finding | None:
    """The finding on the figure `name`, of which more is worse and which is `after` now."""
    allowed: Allowance | None = getattr(e.config.regression, name)
    if allowed is None or not _is_asked_first_or_locked(e, name):
        return None
    if isinstance(e.locked, str):
        return Finding(f"regression.{name}", False, after or 0, 0, e.locked, _LOCK_HINT)
    before: int | None = getattr(e.locked, name)
    if before is None or after is None:
        return _unknown(name, after, before, f"no bound is known: {e.size.stack.unknown}")
    limit = before + allowed.of(before)
    said = f"{show(after)} are the lock's"
    if after != before:
        share = f" ({100 * abs(after - before) / before:.1f} %)" if before else ""
        more = "more" if after > before else "less"
        said = f"{show(after)} are {show(abs(after - before))}{share} {more} than the lock's {show(before)}"
    return _finding(name, Fraction(after) <= limit, after, float(limit), said, allowed)


def _is_asked_first_or_locked(e: Evidence, name: str) -> bool:
    """Whether a lock was read, or this is the first figure that asks for one: that it is missing is said once."""
    if not isinstance(e.locked, str):
        return True
    return name == next(n for n in _NAMES if getattr(e.config.regression, n) is not None)


def _finding(name: str, passed: bool, after: float, limit: float, said: str, allowed: Allowance) -> Finding:
    sentence = f"{said}, allowed {allowed.text}"
    return Finding(f"regression.{name}", passed, after, limit, sentence, "" if passed else _WORSE_HINT)


def _unknown(name: str, after: float | None, before: float | None, why: str) -> Finding:
    sentence = why if after is None else "the lock has no such figure to compare with"
    hint = "" if after is None else _LOCK_HINT
    return Finding(f"regression.{name}", False, after or 0, before or 0, sentence, hint)


def _decimal(share: float) -> Fraction:
    """A share as exactly as it is written, so that 0.94 less 0.935 is half a percent and not a little more."""
    return Fraction(repr(share))


def _bytes(count: int) -> str:
    return f"{count:,} B"


_NAMES = ("flash", "ram", "stack", "cycles", "accuracy")
RULES = (flash_grew, ram_grew, stack_grew, cycles_grew, accuracy_fell)
