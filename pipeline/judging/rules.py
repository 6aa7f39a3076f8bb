"""The verdict: each rule is a function whose docstring is the rule; it returns a finding, or None if not asked for."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import exp, fsum, inf, lgamma, log, log1p
from typing import Any

from pipeline.facts.text import shortened
from pipeline.facts.units import show_size, show_time
from pipeline.judging import regression
from pipeline.judging.evidence import Evidence
from pipeline.judging.reproduction import reproduced
from pipeline.judging.verdict import Finding
from pipeline.quantizing.quantize_file import Attempt, Compared, LayerProof, least_signal

Rule = Callable[[Evidence], Finding | None]


def _at_most(key: str, measured: float, limit: float, show: Callable[[Any], str], hint: str) -> Finding:
    passed = measured <= limit
    factor = "" if passed or not limit else f" ({measured / limit:.1f}x)"
    verb = "uses" if passed else "needs"
    sentence = f"{verb} {show(measured)}, limit {show(limit)}{factor}"
    return Finding(key, passed, measured, limit, sentence, hint, budget=True)


def flash(e: Evidence) -> Finding:
    """Code and constants fit the free flash (all of the chip's flash when the YAML names none)."""
    mostly_weights = e.size.flash.constants > e.size.flash.code
    weights, code = "Weights are most of it: a smaller network.", "Code is most of it: fewer kinds of layers."
    hint = weights if mostly_weights else code
    return _at_most("budget.flash", e.size.flash.used, e.size.flash.limit, show_size, hint)


def ram(e: Evidence) -> Finding:
    """The static arena fits the free RAM (all of the chip's RAM when the YAML names none)."""
    hint = "Smaller feature maps in the first layers need less."
    return _at_most("budget.ram", e.size.ram.used, e.size.ram.limit, show_size, hint)


def stack(e: Evidence) -> Finding | None:
    """The worst-case stack, from the call graph, fits the free stack."""
    if e.config.budget.stack is None:
        return None
    deepest, limit = e.size.stack.worst_case, e.config.budget.stack
    if deepest is None:
        return Finding("budget.stack", False, 0, limit, f"no bound is known: {e.size.stack.unknown}", budget=True)
    return _at_most(
        "budget.stack",
        deepest,
        limit,
        show_size,
        f"The deepest call path is {' > '.join(e.size.stack.call_path)}.",
    )


def latency(e: Evidence) -> Finding | None:
    """The slowest inference with every wait state counted takes no longer than the budget."""
    if e.config.budget.latency is None:
        return None
    cycles = e.simulate.cycles.max
    seconds = Fraction(cycles, e.chip.clock)
    layers = [x for x in e.simulate.layers if x.cycles]
    slowest = max(layers, key=lambda x: x.cycles, default=None)
    where = f" Most of it is layer {shortened(slowest.name)} ({slowest.cycles} cycles)." if slowest else ""
    asked = e.config.budget.latency
    affordable = int(asked * e.chip.clock)
    hint = f"{affordable} cycles are affordable, {cycles} are needed.{where}"
    return _at_most("budget.latency", float(seconds), float(asked), show_time, hint)


def exact(e: Evidence) -> Finding:
    """Every output of the emulated chip and of the host build equals the integer reference, bit for bit."""
    run, chip, host = e.simulate.vectors.run, e.simulate.vectors.mismatches, e.simulate.vectors.host_mismatches
    sentence = f"{run} vectors are bit-exact"
    if chip or host:
        sentence = f"of {run} vectors {chip} differ from the integer reference on the emulated chip, {host} on the host"
    passed = chip == host == 0
    return Finding("simulate.vectors", passed, max(chip, host), 0, sentence, "" if passed else _BUG_HINT)


def faithful(e: Evidence) -> Finding | None:
    """A network that came quantized answers as its framework: ONNX Runtime within what rounding explains, tensor by
    tensor; LiteRT's reference kernels exactly."""
    return _compared("model.source", e.quantize.faithful, e.quantize.layers)


def export(e: Evidence) -> Finding | None:
    """model.qdq.onnx in ONNX Runtime answers as the integer network, within what rounding explains."""
    return _compared("model.qdq.onnx", e.quantize.export, e.quantize.layers)


_BUG_HINT = "This is a bug in chipfit or in the compiler."


def _compared(key: str, found: Compared | None, layers: Sequence[LayerProof]) -> Finding | None:
    if found is None:
        return None
    if found.against is None:
        return Finding(key, True, 0, 0, found.why)
    first = found.first
    if first is not None:
        sentence = (
            f"tensor {shortened(first.tensor)!r} (layer {shortened(first.layer)!r}): {first.unexplained} of "
            f"{first.values} values differ from {found.against}'s, "
            f"by up to {_steps(first.steps)}, more than rounding explains"
        )
        return Finding(key, False, found.unexplained, 0, sentence, _difference_hint(layers))
    if not found.values:
        sentence = f"not compared: no tensor has a proven bound against {found.against}"
        return Finding(key, False, 0, 0, sentence, "Scales in the model file would say what is right.")
    sentence = f"{found.values} values in {found.tensors} tensors are those of {found.against}"
    if found.differing:
        sentence += f", but for {found.differing} that rounding explains (at most {_steps(found.largest_difference)})"
    if found.left_out:
        sentence += f"; not compared, without a proven bound: {', '.join(map(repr, found.left_out[:3]))}"
        sentence += f" and {len(found.left_out) - 3} more" if len(found.left_out) > 3 else ""
    return Finding(key, True, 0, 0, sentence)


def _difference_hint(layers: Sequence[LayerProof]) -> str:
    """Hint at the cause of a difference that rounding does not explain."""
    errors = [(x.channels.largest_error, x.name) for x in layers if x.channels and x.channels.largest_error > 0.5]
    if not errors:
        return "This is a bug in chipfit: please report it."
    error, name = max(errors, key=lambda x: x[0])
    return f"Layer {shortened(name)!r} has channels that 32 bits cannot say, off by up to {error:.0f} steps."


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count} steps"


def signal(e: Evidence) -> Finding | None:
    """No output, and no part of a tensor that is joined from several or taken apart again, has less signal over
    quantization noise than the YAML asks (10 dB unless it does): what is less was lost to a scale that does not suit
    it. No element of an output (beyond 64: no channel) has less signal than noise, 0 dB, except of probabilities."""
    rows, limit = e.quantize.signal, e.config.accuracy.signal
    least = least_signal(rows, limit)
    if least is None or least.signal_db is None or limit is None:
        known = [r.signal_db for r in rows if r.signal_db is not None]
        if not known or limit is None:
            return None
        sentence = f"is {min(known):.1f} dB or more, limit {limit:g} dB"
        return Finding("accuracy.signal", True, min(known), limit, sentence)
    limit = limit if least.limit_db is None else min(limit, least.limit_db)
    sentence = (
        f"{least.part} has only {_decibels(least.signal_db)} of signal over quantization noise, limit {limit:g} dB"
    )
    best = sorted(e.quantize.signal_tried or (), key=_signal_db)
    reached = [f"{t.what}: {_decibels(t.signal_db)}" for t in reversed(best)]
    hint = f"Tried: {'; '.join(reached)}." if reached else "Nothing else could be tried."
    if not reached and e.quantize.faithful is not None:
        hint = "The model file says the scales: quantize it again, with a scale for each part."
    more = f"{hint} If it is meant: accuracy: {{signal: none}}, or another limit."
    return Finding("accuracy.signal", False, least.signal_db, limit, sentence, more)


def _signal_db(attempt: Attempt) -> float:
    return inf if attempt.signal_db is None else attempt.signal_db


def _decibels(value: float | None) -> str:
    return "no noise" if value is None else f"{round(value, 1) + 0.0:.1f} dB"


def chance(e: Evidence) -> Finding | None:
    """On labelled data the framework's answers and the integer network's are better than guessing: guesses would be
    right as often in less than 5 % of all cases (at least 20 samples)."""
    classes, samples, accuracy = e.quantize.answers.classes, e.quantize.samples, e.quantize.accuracy
    if classes is None or samples < _MIN_SAMPLES:
        return None
    candidates = (("model file", accuracy.real, _UNITS_HINT), ("integer network", accuracy.integer, _accuracy_hint(e)))
    for name, share, hint in candidates:
        if share is None:
            continue
        right = round(share * samples)
        probability = _guessing_probability(right, samples, classes)
        if probability > _MAX_PROBABILITY:
            sentence = (
                f"the {name} is right on {right} of {samples} samples, which guessing among {classes} "
                f"classes reaches in {100 * probability:.0f} % of all cases"
            )
            return _allowable(e, "chance", False, share, 1 / classes, sentence, hint)
    return None


def labels(e: Evidence) -> Finding | None:
    """Every label is a class of the network, counted from 0."""
    found, classes = e.quantize.answers.labels, e.quantize.answers.classes
    if found is None or classes is None or (found[0] >= 0 and found[1] < classes):
        return None
    sentence = f"labels run from {found[0]} to {found[1]}, the network's classes from 0 to {classes - 1}"
    return _allowable(e, "labels", False, found[1], classes - 1, sentence, "Write labels that count classes from 0.")


def constant(e: Evidence) -> Finding | None:
    """The integer network does not give one class to everything where the labels, or the framework, have several."""
    found, samples = e.quantize.answers, e.quantize.samples
    others = max(found.truth or 0, found.real or 0)
    if found.classes is None or samples < _MIN_SAMPLES or found.integer > 1 or others < 2:
        return None
    source = "the labels have" if (found.truth or 0) > 1 else "the model file gives"
    sentence = f"the integer network answers one class for all {samples} samples, where {source} {others}"
    return _allowable(e, "constant", False, 1, others, sentence, _accuracy_hint(e))


def span(e: Evidence) -> Finding | None:
    """Of the evaluation data no more than a tenth lies outside the range that an input has as integers."""
    farthest = max(e.quantize.inputs, key=lambda i: i.outside, default=None)
    if farthest is None or farthest.outside <= _MAX_OUTSIDE:
        return None
    (low, high), (least, most) = farthest.range, farthest.data
    sentence = (
        f"{_percent(farthest.outside)} of the values of input {shortened(farthest.name)!r} lie outside its range "
        f"of {low:g} to {high:g}: the data run from {least:g} to {most:g}"
    )
    return _allowable(e, "span", False, farthest.outside, _MAX_OUTSIDE, sentence, _UNITS_HINT)


_MIN_SAMPLES, _MAX_PROBABILITY, _MAX_OUTSIDE = 20, 0.05, 0.1
_UNITS_HINT = "Are the data in the units of the training data? data.evaluation takes scale and zero_point."


def _allowable(
    e: Evidence, name: str, passed: bool, measured: float, limit: float, sentence: str, hint: str
) -> Finding:
    """A finding of the data or the answers, which accuracy.allow of the YAML may let pass."""
    allowed = name in e.config.accuracy.allow
    shown = f"{sentence} (allowed by accuracy.allow)" if allowed else sentence
    more = f"{hint} If it is meant: accuracy: {{allow: [{name}]}}."
    return Finding(f"accuracy.{name}", passed or allowed, measured, limit, shown, "" if allowed else more)


def _guessing_probability(right: int, samples: int, classes: int) -> float:
    """Probability of at least `right` right guesses of `samples`: the tail of a binomial distribution."""
    p = 1 / classes
    logs = [
        lgamma(samples + 1) - lgamma(k + 1) - lgamma(samples - k + 1) + k * log(p) + (samples - k) * log1p(-p)
        for k in range(right, samples + 1)
    ]
    return fsum(exp(v) for v in logs)


def no_float(e: Evidence) -> Finding:
    """The library links no soft-float and no heap."""
    found = [*e.size.float_symbols, *e.size.heap_symbols]
    sentence = f"links {', '.join(found)}" if found else "links no soft-float and no heap"
    return Finding("toolchain", not found, len(found), 0, sentence)


def accuracy(e: Evidence) -> Finding | None:
    """The integer accuracy on the evaluation data is at least what the YAML asks."""
    return _at_least(e, "accuracy.at_least", e.quantize.accuracy.integer, e.config.accuracy.at_least)


def drop(e: Evidence) -> Finding | None:
    """Quantization costs no more accuracy than the YAML allows."""
    got, limit = e.quantize.accuracy, e.config.accuracy.max_drop
    if limit is None:
        return None
    if got.real is None and e.quantize.qdq is None:
        why = "the model came quantized: there is no float network to compare with"
        return Finding("accuracy.max_drop", False, 0, limit, why, "Leave max_drop out.")
    assert got.real is not None and got.integer is not None
    lost = max(0.0, got.real - got.integer)
    return _at_most("accuracy.max_drop", round(lost, 9), limit, _percent, _accuracy_hint(e))


def agreement(e: Evidence) -> Finding | None:
    """The integer and the float network agree on as many samples as the YAML asks."""
    limit, got = e.config.accuracy.agreement, e.quantize.accuracy.agreement
    if limit is not None and got is None:
        why = e.quantize.faithful.why if e.quantize.faithful else ""
        return Finding("accuracy.agreement", False, 0, limit, why or "there is no framework to agree with")
    return _at_least(e, "accuracy.agreement", got, limit)


_CALIBRATION_HINT = "Try quantization.calibration: percentile or min-max, or more calibration data."


def _accuracy_hint(e: Evidence) -> str:
    """Hint for a low accuracy: another calibration, unless the signal check tried others without success."""
    options, limit = e.quantize.signal_tried, e.config.accuracy.signal
    if not options or limit is None:
        return _CALIBRATION_HINT
    best = max(options, key=_signal_db)
    if _signal_db(best) >= limit:
        return f"Try {best.what} ({_decibels(best.signal_db)})."
    return "Other ranges were tried, see accuracy.signal: it takes a network whose values have like ranges."


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _at_least(e: Evidence, key: str, got: float | None, limit: float | None) -> Finding | None:
    if limit is None or got is None:
        return None
    sentence = f"{'is' if got >= limit else 'is only'} {_percent(got)}, limit {_percent(limit)}"
    return Finding(key, got >= limit, got, limit, sentence, _accuracy_hint(e), budget=True)


RULES: tuple[Rule, ...] = (
    flash,
    ram,
    stack,
    latency,
    accuracy,
    drop,
    agreement,
    exact,
    faithful,
    export,
    signal,
    labels,
    span,
    chance,
    constant,
    no_float,
    *regression.RULES,
    reproduced,
)


def judge(evidence: Evidence) -> tuple[Finding, ...]:
    """Findings of every rule that applies to the product, in the order of RULES."""
    return tuple(f for f in (rule(evidence) for rule in RULES) if f is not None)
