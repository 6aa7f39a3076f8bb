"""JUnit XML: a case for each rule and product, in the form of junit-10.xsd, whatever the names are."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from conftest import some
from test_comparison import FITS
from test_comparison_page import EVIL

from pipeline.judging.comparison import Comparison, Unfinished
from pipeline.judging.report.junit import render_junit
from pipeline.judging.verdict import Finding

FLASH = Finding("budget.flash", False, 2048, 1024, "needs 2.0 KiB, limit 1.0 KiB", "Prune it.", budget=True)
EXACT = Finding("exact", True, 0, 0, "all equal")
SIGNAL = Finding("signal", False, 3.5, 10, f"of {EVIL}\x1b\n]]>", f"{EVIL}\x00")
FORM = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, set(), {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp", "hostname", "id", "package"},
        {"name", "tests", "failures", "errors"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set[str](), set[str](), {"property"}),
    "property": ({"name", "value"}, {"name", "value"}, set[str]()),
    "testcase": ({"name", "time", "classname", "group"}, {"name"}, {"skipped", "failure", "system-out", "system-err"}),
    "failure": ({"type", "message"}, set[str](), set[str]()),
}
"""What junit-10.xsd allows: attributes, those that must be there, elements inside."""

VERDICTS = (replace(FITS, product="b", findings=(EXACT, SIGNAL, SIGNAL)), replace(FITS, product="a", findings=(FLASH,)))
EVERYTHING = Comparison(VERDICTS, (Unfinished("c", ("c.yaml:1: wrong.", EVIL)), Unfinished("d")))


def test_it_has_the_form_that_servers_read() -> None:
    root = ElementTree.fromstring(render_junit(EVERYTHING))
    for element in some(root.iter()):
        allowed, needed, inside = FORM[element.tag]
        assert needed <= set(element.attrib) <= allowed and {e.tag for e in element} <= inside


def test_each_rule_is_a_case_and_a_missed_one_says_what_was_measured() -> None:
    root = ElementTree.fromstring(render_junit(EVERYTHING))
    assert [s.get("name") for s in root] == ["a", "b", "c", "d"]
    assert [c.get("name") for c in root[1].iter("testcase")] == ["exact", "signal", "signal (2)"]
    assert {c.get("classname") for c in root[1].iter("testcase")} == {"chipfit.b"}
    (failure,) = root[0].iter("failure")
    assert failure.attrib == {"type": "budget", "message": "budget.flash: needs 2.0 KiB, limit 1.0 KiB"}
    assert failure.text == "measured: 2048\nlimit: 1024\nhint: Prune it."
    assert [(s.get("tests"), s.get("failures")) for s in root] == [("1", "1"), ("3", "2"), ("1", "1"), ("1", "1")]
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("6", "5", "0")
    properties = {p.get("name"): p.get("value") for p in root[0].iter("property")}
    assert properties["chip"] == "chip" and properties["cycles"] == "12345"


def test_a_product_that_was_not_built_is_a_failure_with_its_errors() -> None:
    root = ElementTree.fromstring(render_junit(EVERYTHING))
    first, second = (s.find("testcase/failure") for s in root[2:])
    assert first is not None and second is not None and first.get("message") == "c.yaml:1: wrong."
    assert "An earlier build" in (second.text or "")


def test_what_xml_cannot_hold_is_spelt_out() -> None:
    text = render_junit(EVERYTHING).decode("utf-8")
    assert "\\x1b" in text and "\\x00" in text and "\u202e" not in text and "<script>" not in text


def test_a_library_of_ci_servers_reads_it() -> None:
    library = pytest.importorskip("junitparser")
    suites = library.JUnitXml.fromstring(render_junit(EVERYTHING))
    assert [(s.name, s.tests, s.failures) for s in suites][:2] == [("a", 1, 1), ("b", 3, 2)]
    cases = {c.name: c for c in next(iter(suites))}
    assert isinstance(cases["budget.flash"].result[0], library.Failure)
