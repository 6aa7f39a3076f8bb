"""index.json: the products of a repository side by side, from their verdicts, and which of them no other one beats."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Annotated

from pipeline.facts.records import Key
from pipeline.judging.verdict import StackUsed, Used, Verdict
from pipeline.quantizing.quantize_file import Accuracy


@dataclass(frozen=True)
class Unfinished:
    """A product without a result, and why: its errors, each one line; none where an earlier run failed."""

    product: str
    errors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """All that is known of a repository's products, in order of their names.

    `unfinished` failed before they had a verdict; `left_out` are built products that no YAML of the repository names.
    """

    verdicts: tuple[Verdict, ...]
    unfinished: tuple[Unfinished, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class MissedRule:
    """A rule that a product misses; `sentence` does not name its place."""

    rule: str
    budget: bool
    measured: float
    limit: float
    sentence: Annotated[str, Key("said")]
    hint: str


@dataclass(frozen=True)
class ComparedProduct:
    """One product's figures, as in its verdict.json.

    `weights`, `activations` and `policy` are null where the model came quantized. `best`: no other product that fits
    has as little flash and latency and as much accuracy, with one of the three better; a product without measured
    accuracy counts as the least accurate. `report` is relative to the build folder.
    """

    product: str
    chip: str
    model: str | None
    weights: str | None
    activations: str | None
    policy: Annotated[str | None, Key("quantization")]
    verdict: str
    passed: bool
    best: bool
    flash: Used
    ram: Used
    stack: StackUsed
    cycles: int
    latency_us: float
    latency_limit_us: float | None
    accuracy: Accuracy
    missed: tuple[MissedRule, ...]
    report: str


@dataclass(frozen=True)
class ComparisonFile:
    """The form of index.json; `version` changes with the meaning of a key, not with a new one."""

    version: int
    products: tuple[ComparedProduct, ...]
    unfinished: tuple[str, ...]
    left_out: tuple[str, ...]


def comparison_file(comparison: Comparison) -> ComparisonFile:
    """The figures of all products, without the errors of this run."""
    best = best_products(comparison.verdicts)
    return ComparisonFile(
        version=1,
        products=tuple(compared_product(v, v.product in best) for v in comparison.verdicts),
        unfinished=tuple(u.product for u in comparison.unfinished),
        left_out=comparison.left_out,
    )


def compared_product(verdict: Verdict, best: bool) -> ComparedProduct:
    """The row of one product."""
    missed = [
        MissedRule(f.key, f.budget, f.measured, f.limit, f.sentence, f.hint) for f in verdict.findings if not f.passed
    ]
    return ComparedProduct(
        product=verdict.product,
        chip=verdict.chip,
        model=verdict.model,
        weights=verdict.weights,
        activations=verdict.activations,
        policy=verdict.policy,
        verdict=verdict.verdict,
        passed=verdict.passed,
        best=best,
        flash=verdict.flash,
        ram=verdict.ram,
        stack=verdict.stack,
        cycles=verdict.cycles,
        latency_us=verdict.latency_us,
        latency_limit_us=verdict.latency_limit_us,
        accuracy=verdict.accuracy,
        missed=tuple(missed),
        report=f"{verdict.product}/report/index.html",
    )


def best_products(verdicts: Sequence[Verdict]) -> set[str]:
    """Names of the products that fit and that no other one which fits beats in flash, latency and accuracy."""
    fitting = {v.product: objectives(v) for v in verdicts if v.passed}
    return {p for p, own in fitting.items() if not any(beats(other, own) for other in fitting.values())}


def objectives(verdict: Verdict) -> tuple[float, float, float]:
    """Flash, latency and accuracy as numbers of which less is better."""
    accuracy = verdict.accuracy.integer
    return verdict.flash.used, verdict.latency_us, inf if accuracy is None else -accuracy


def beats(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether `one` is nowhere more than `other`, and somewhere less."""
    return tuple(one) != tuple(other) and all(a <= b for a, b in zip(one, other, strict=True))
