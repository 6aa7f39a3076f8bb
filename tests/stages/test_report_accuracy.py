"""The accuracy of a report: the reference's where the chip equals it, else that of the chip."""

from dataclasses import replace

from verdict_evidence import SIMULATE

from pipeline.facts.records import from_plain
from pipeline.measuring.simulate_file import SimulateFile
from pipeline.quantizing.quantize_file import Accuracy
from stages.report import measured_accuracy

REFERENCE = Accuracy(integer=0.94, real=0.95, agreement=0.98)


def test_only_code_that_answers_otherwise_has_an_accuracy_of_its_own() -> None:
    simulated = from_plain(SimulateFile, SIMULATE)
    assert measured_accuracy(REFERENCE, simulated) is REFERENCE
    wrong = replace(simulated, vectors=replace(simulated.vectors, mismatches=3))
    assert measured_accuracy(REFERENCE, wrong) == Accuracy(
        integer=simulated.accuracy.integer, real=0.95, agreement=None
    )
