"""ONNX's own node tests: none wrong, none crashed."""

import pytest
from conformance import CRASHED, PASSED, REFUSED, WRONG, cases, judge_case, run_all
from conftest import some

FEW = (
    "test_relu",
    "test_conv_with_strides_padding",
    "test_softmax_axis_1",
    "test_gemm_default_vector_bias",
    "test_qlinearconv",
)


@pytest.mark.parametrize("name", FEW)
def test_a_few_cases_pass(name: str) -> None:
    verdict = judge_case(name)
    assert verdict.result == PASSED, verdict.why


def test_what_cannot_be_done_is_refused_with_a_reason() -> None:
    verdict = judge_case("test_nonzero_example")
    assert verdict.result == REFUSED
    assert verdict.why


@pytest.mark.exhaustive
def test_no_case_is_wrong_or_crashes() -> None:
    verdicts = list(run_all(list(cases())))
    assert not [v for v in verdicts if v.result in (WRONG, CRASHED)]
    assert sum(v.result == PASSED for v in verdicts) >= 650
    assert all(some(v.why for v in verdicts if v.result == REFUSED))
