"""junit.xml: one suite for each product and one case for each of its rules, as every CI server reads it.

The form is that of Jenkins' xUnit plugin (junit-10.xsd). It has no times and no host: the same verdicts are the same
bytes.
"""

from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

from pipeline.facts.text import visible
from pipeline.judging.comparison import Comparison, Unfinished
from pipeline.judging.verdict import Finding, Verdict

_Element = ElementTree.Element


def render_junit(comparison: Comparison) -> bytes:
    """The XML file, with products in order of their names."""
    suites = {v.product: _suite(v.product, list(_cases(v)), _figures(v)) for v in comparison.verdicts}
    suites |= {u.product: _suite(u.product, [_unfinished(u)], {}) for u in comparison.unfinished}
    ordered = [suites[name] for name in sorted(suites)]
    root = _element("testsuites", {"name": "chipfit", **_counts([c for s in ordered for c in s.iter("testcase")])})
    root.extend(ordered)
    ElementTree.indent(root, " ")
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _element(tag: str, attributes: dict[str, str], text: str | None = None) -> _Element:
    """An element without a character that XML, or a terminal, cannot show."""
    element = _Element(tag, {name: visible(value) for name, value in attributes.items()})
    if text is not None:
        element.text = "\n".join(visible(line) for line in text.splitlines())
    return element


def _suite(product: str, cases: Sequence[_Element], figures: dict[str, str]) -> _Element:
    suite = _element("testsuite", {"name": product, **_counts(cases)})
    if figures:
        properties = _element("properties", {})
        properties.extend(_element("property", {"name": name, "value": value}) for name, value in figures.items())
        suite.append(properties)
    suite.extend(cases)
    for case in cases:
        case.set("classname", visible(f"chipfit.{product}"))
    return suite


def _counts(cases: Sequence[_Element]) -> dict[str, str]:
    failures = sum(case.find("failure") is not None for case in cases)
    return {"tests": str(len(cases)), "failures": str(failures), "errors": "0"}


def _figures(verdict: Verdict) -> dict[str, str]:
    known = {
        "chip": verdict.chip,
        "model": verdict.model,
        "verdict": verdict.verdict,
        "flash": verdict.flash.used,
        "ram": verdict.ram.used,
        "stack": verdict.stack.used,
        "cycles": verdict.cycles,
        "latency_us": verdict.latency_us,
        "accuracy": verdict.accuracy.integer,
    }
    return {name: str(value) for name, value in known.items() if value is not None}


def _cases(verdict: Verdict) -> Iterator[_Element]:
    """One case for each finding; a rule that has several is numbered from the second on."""
    met: dict[str, int] = {}
    for finding in verdict.findings:
        met[finding.key] = met.get(finding.key, 0) + 1
        number = f" ({met[finding.key]})" if met[finding.key] > 1 else ""
        case = _element("testcase", {"name": f"{finding.key}{number}"})
        if not finding.passed:
            case.append(_failure(finding))
        yield case


def _failure(finding: Finding) -> _Element:
    text = [f"measured: {finding.measured!r}", f"limit: {finding.limit!r}"]
    text += [f"hint: {finding.hint}"] if finding.hint else []
    attributes = {"type": "budget" if finding.budget else "check", "message": f"{finding.key}: {finding.sentence}"}
    return _element("failure", attributes, "\n".join(text))


def _unfinished(unfinished: Unfinished) -> _Element:
    case = _element("testcase", {"name": "build"})
    errors = unfinished.errors or ("An earlier build of this product failed, and this one did not try again.",)
    case.append(_element("failure", {"type": "build", "message": errors[0]}, "\n".join(errors)))
    return case
