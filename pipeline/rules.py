"""The verdict: each rule is a function whose docstring is the rule; it returns a finding, or None if not asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from pipeline.config.models import ChipSpec, ProjectConfig
from pipeline.units import show_size, show_time


@dataclass(frozen=True)
class Evidence:
    """Everything the rules look at: what was asked, and the measuring stages' JSON."""

    config: ProjectConfig
    chip: ChipSpec
    quantize: Mapping[str, Any]
    size: Mapping[str, Any]
    simulate: Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """One rule applied. `measured` and `limit` are comparable numbers; `said` is the sentence without its place."""

    key: str
    passed: bool
    measured: float
    limit: float
    said: str
    hint: str = ""


Rule = Callable[[Evidence], Finding | None]


def _most(key: str, measured: float, limit: float, show: Callable[[Any], str], hint: str) -> Finding:
    passed = measured <= limit
    factor = "" if passed or not limit else f" ({measured / limit:.1f}x)"
    verb = "uses" if passed else "needs"
    return Finding(key, passed, measured, limit, f"{verb} {show(measured)}, limit {show(limit)}{factor}", hint)


def flash(e: Evidence) -> Finding:
    """Code and constants fit the free flash (all of the chip's flash when the YAML names none)."""
    used, limit = e.size["flash"]["used"], e.size["flash"]["limit"]
    heaviest = e.size["flash"]["constants"] > e.size["flash"]["code"]
    hint = "Weights are most of it: a smaller network." if heaviest else "Code is most of it: fewer kinds of layers."
    return _most("budget.flash", used, limit, show_size, hint)


def ram(e: Evidence) -> Finding:
    """The static arena fits the free RAM (all of the chip's RAM when the YAML names none)."""
    used, limit = e.size["ram"]["used"], e.size["ram"]["limit"]
    return _most("budget.ram", used, limit, show_size, "Smaller feature maps in the first layers need less.")


def stack(e: Evidence) -> Finding | None:
    """The worst-case stack, from the call graph, fits the free stack."""
    if e.config.budget.stack is None:
        return None
    worst, limit = e.size["stack"]["worst_case"], e.config.budget.stack
    if worst is None:
        return Finding("budget.stack", False, 0, limit, f"no bound is known: {e.size['stack']['unknown']}")
    return _most(
        "budget.stack",
        worst,
        limit,
        show_size,
        f"The deepest chain is {' > '.join(e.size['stack']['chain'])}.",
    )


def latency(e: Evidence) -> Finding | None:
    """The slowest inference with every wait state counted takes no longer than the budget."""
    if e.config.budget.latency is None:
        return None
    cycles = e.simulate["cycles"]["max"]
    seconds = Fraction(cycles, e.chip.clock)
    layers = [x for x in e.simulate["layers"] if x["cycles"]]
    slowest = max(layers, key=lambda x: x["cycles"], default=None)
    where = f" Most of it is layer {slowest['name']} ({slowest['cycles']} cycles)." if slowest else ""
    asked = e.config.budget.latency
    affordable = int(asked * e.chip.clock)
    hint = f"{affordable} cycles are affordable, {cycles} are needed.{where}"
    return _most("budget.latency", float(seconds), float(asked), show_time, hint)


def exact(e: Evidence) -> Finding:
    """Every output of the emulated chip and of the host build equals the integer reference, bit for bit."""
    wrong = e.simulate["vectors"]["mismatches"] + e.simulate["vectors"]["host_mismatches"]
    run = e.simulate["vectors"]["run"]
    said = f"{wrong} of {run} vectors differ from the integer reference" if wrong else f"{run} vectors are bit-exact"
    return Finding("simulate.vectors", wrong == 0, wrong, 0, said, "This is a bug in chipfit or in the compiler.")


def no_float(e: Evidence) -> Finding:
    """The library links no soft-float and no heap."""
    found = [*e.size["float_symbols"], *e.size["heap_symbols"]]
    said = f"links {', '.join(found)}" if found else "links no soft-float and no heap"
    return Finding("toolchain", not found, len(found), 0, said)


def accuracy(e: Evidence) -> Finding | None:
    """The integer accuracy on the evaluation data is at least what the YAML asks."""
    return _least("accuracy.at_least", e.quantize["accuracy"]["integer"], e.config.accuracy.at_least)


def drop(e: Evidence) -> Finding | None:
    """Quantization costs no more accuracy than the YAML allows."""
    got, limit = e.quantize["accuracy"], e.config.accuracy.max_drop
    if limit is None:
        return None
    if got["float"] is None and e.quantize["qdq"] is None:
        why = "the model came quantized: there is no float network to compare with"
        return Finding("accuracy.max_drop", False, 0, limit, why, "Leave max_drop out.")
    if got["integer"] is None:
        return Finding("accuracy.max_drop", False, 0, limit, "there are no labelled evaluation data", _LABELS)
    lost = max(0.0, got["float"] - got["integer"])
    return _most("accuracy.max_drop", round(lost, 9), limit, _percent, _BETTER)


def agreement(e: Evidence) -> Finding | None:
    """The integer and the float network agree on as many samples as the YAML asks."""
    return _least("accuracy.agreement", e.quantize["accuracy"]["agreement"], e.config.accuracy.agreement)


_BETTER = "Try quantization.calibration: percentile or min-max, or more calibration data."
_LABELS = "Write data.evaluation with an array y of labels."


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _least(key: str, got: float | None, limit: float | None) -> Finding | None:
    if limit is None:
        return None
    if got is None:
        return Finding(key, False, 0, limit, "there are no labelled evaluation data", _LABELS)
    word = "is" if got >= limit else "is only"
    return Finding(key, got >= limit, got, limit, f"{word} {_percent(got)}, limit {_percent(limit)}", _BETTER)


RULES: tuple[Rule, ...] = (flash, ram, stack, latency, accuracy, drop, agreement, exact, no_float)


def judge(evidence: Evidence) -> tuple[Finding, ...]:
    """Every rule that the product asks for, in the table's order."""
    return tuple(f for f in (rule(evidence) for rule in RULES) if f is not None)
