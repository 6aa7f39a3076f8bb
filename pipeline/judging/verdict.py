"""verdict.json: the findings of the rules, with the main figures."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated

from pipeline.facts.records import Key, from_json
from pipeline.quantizing.quantize_file import Accuracy


@dataclass(frozen=True)
class Finding:
    """Result of one rule. `measured` and `limit` are comparable numbers; `sentence` does not name its place."""

    key: str
    passed: bool
    budget: bool = field(default=False, kw_only=True)
    """Whether the rule is about a budget of the YAML; else it is about correctness."""
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
    """Bytes of stack used, None where no bound is known, and free, None where the product states no budget."""

    used: int | None
    limit: int | None


@dataclass(frozen=True)
class Verdict:
    """The verdict on a product, in words by `verdict_of`; `cycles` and `latency_us` count every wait state.

    `model` is the name of the model file; `weights`, `activations` and `policy` say how a float network was quantized.
    """

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
    model: str | None = None
    weights: str | None = None
    activations: str | None = None
    policy: Annotated[str | None, Key("quantization")] = None


@lru_cache(1024)
def read_verdict(data: bytes) -> Verdict:
    """The verdict in the bytes of a verdict.json; raises ChipfitError for others.

    Of one product, the table, the page and the exit code ask for the same.
    """
    return from_json(Verdict, data, "report/verdict.json")


def verdict_of(findings: Sequence[Finding]) -> str:
    """The verdict in two or three words: a missed budget "does not fit", any other miss is "check failed"."""
    missed = [f for f in findings if not f.passed]
    if not missed:
        return "fits"
    return "does not fit" if any(f.budget for f in missed) else "check failed"
