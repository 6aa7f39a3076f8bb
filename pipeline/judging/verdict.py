"""verdict.json: what the rules found, beside the figures that people ask for first."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from pipeline.facts.records import Key
from pipeline.quantizing.quantize_file import Accuracy


@dataclass(frozen=True)
class Finding:
    """One rule applied. `measured` and `limit` are comparable numbers; `sentence` does not say where."""

    key: str
    passed: bool
    budget: bool = field(default=False, kw_only=True)
    """Whether it is a budget of the YAML, that a product does not fit; else it is about what is right."""
    measured: float
    limit: float
    sentence: Annotated[str, Key("said")]
    hint: str = ""


@dataclass(frozen=True)
class Used:
    """Bytes used and free."""

    used: int
    limit: int


@dataclass(frozen=True)
class StackUsed:
    """Bytes used and free; None where no bound is known, and where nothing is asked."""

    used: int | None
    limit: int | None


@dataclass(frozen=True)
class Verdict:
    """`verdict` is that of `verdict_of`; `cycles` and `latency_us` with every wait state counted."""

    product: str
    chip: str
    passed: bool
    verdict: str
    flash: Used
    ram: Used
    stack: StackUsed
    cycles: int
    latency_us: float
    latency_limit_us: float | None
    accuracy: Accuracy
    findings: tuple[Finding, ...]


def verdict_of(findings: Sequence[Finding]) -> str:
    """In two or three words: a missed budget does not fit; anything else that is wrong is a failed check."""
    missed = [f for f in findings if not f.passed]
    if not missed:
        return "fits"
    return "does not fit" if any(f.budget for f in missed) else "check failed"
