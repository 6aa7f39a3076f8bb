"""Statements about a product: what they say of it, that they are in-toto's, and that no name breaks out of them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_page import VERDICT

from pipeline.facts.artifact import to_json
from pipeline.facts.config import load_project
from pipeline.judging.report.page import Manifest
from pipeline.judging.report.provenance import (
    PROVENANCE,
    TEST_RESULT,
    Built,
    Tool,
    file_name,
    provenance,
    subjects,
    test_result,
    tools,
)
from pipeline.judging.verdict import Finding

test_result.__test__ = False  # type: ignore[attr-defined]
DIGEST = "0123456789abcdef" * 4
MANIFEST = Manifest(
    chipfit="0.1.0",
    python="3.11.7",
    packages={"numpy": "2.4.6"},
    toolchain="arm-none-eabi-gcc 12.2.1",
    inputs={"calibration": "missing", "evaluation": DIGEST, "lock": DIGEST, "model": DIGEST, "model: part.bin": DIGEST},
    outputs={
        "import": {"graph.json": DIGEST},
        "quantize": {"graph.json": DIGEST, "weights.bin": DIGEST},
        "codegen": {"src/p.c": DIGEST, "include/p.h": DIGEST},
        "size-check": {"size.json": DIGEST, "library.elf": DIGEST},
    },
)
TOOLS = {
    "arm-none-eabi-gcc": f"12.2.1 20221205 sha256:{DIGEST}",
    "chipfit": "0.1.0",
    "numpy": f"2.4.6 sha256:{DIGEST}",
    "python": "cpython 3.11.7",
}
HOSTILE = "\u202e<b>\x1b[2J\n" + "long" * 100 + ".onnx"


def built(folder: Path, source: str = "models/m.onnx") -> Built:
    path = folder / "p.yaml"
    rest = "data: {evaluation: d.npz}\nchip: truetouch-m0\n"
    path.write_text(f"product: p\nmodel: {{source: {json.dumps(source)}}}\n{rest}", "utf-8")
    project = load_project(path)
    findings = (Finding("budget.flash", True, 1, 2, "fits"), Finding("budget.ram", False, 3, 2, "does not"))
    verdict = replace(VERDICT, product="p", findings=findings)
    return Built(project.config, project.chip, MANIFEST, verdict, ("chipfit.int8.shift.v1",), TOOLS)


def check(statement: dict[str, Any], predicate: Any) -> None:
    """Whether the statement is one of in-toto, with a predicate of the given message."""
    pytest.importorskip("in_toto_attestation", reason="in-toto-attestation is not installed")
    from google.protobuf import json_format
    from in_toto_attestation.v1 import statement_pb2
    from in_toto_attestation.v1.statement import Statement

    text = to_json(statement)
    parsed = json_format.Parse(text, statement_pb2.Statement())
    Statement.copy_from_pb(parsed).validate()
    json_format.ParseDict(json.loads(text)["predicate"], predicate)


def test_provenance_is_a_statement_of_in_toto_with_a_predicate_of_slsa(tmp_path: Path) -> None:
    pytest.importorskip("in_toto_attestation", reason="in-toto-attestation is not installed")
    from in_toto_attestation.predicates.provenance.v1 import provenance_pb2

    message = provenance_pb2.Provenance()
    statement = provenance(built(tmp_path))
    check(statement, message)
    assert statement["predicateType"] == PROVENANCE
    assert message.build_definition.build_type and message.run_details.builder.id
    assert not message.run_details.HasField("metadata"), "times would make equal builds differ"


def test_the_verdict_is_a_test_result_with_a_test_for_each_rule(tmp_path: Path) -> None:
    pytest.importorskip("in_toto_attestation", reason="in-toto-attestation is not installed")
    from in_toto_attestation.predicates.test_result.v0 import test_result_pb2

    message = test_result_pb2.TestResult()
    statement = test_result(built(tmp_path))
    check(statement, message)
    assert statement["predicateType"] == TEST_RESULT
    assert (message.result, list(message.passed_tests)) == ("FAILED", ["budget.flash"])
    assert list(message.failed_tests) == ["budget.ram"]
    passed = built(tmp_path)
    passed = replace(passed, verdict=replace(passed.verdict, passed=True))
    assert test_result(passed)["predicate"]["result"] == "PASSED"


def test_subjects_are_the_library_and_the_program_that_was_measured() -> None:
    assert list(subjects(MANIFEST)) == ["codegen/include/p.h", "codegen/src/p.c", "size-check/library.elf"]


def test_parameters_are_the_whole_configuration_and_dependencies_are_inputs_and_tools(tmp_path: Path) -> None:
    definition = provenance(built(tmp_path))["predicate"]["buildDefinition"]
    parameters = definition["externalParameters"]
    assert parameters["chip"]["clock"] == 48_000_000 and parameters["quantization"]["weights"] == "int8"
    assert definition["internalParameters"] == {"arithmetic": ["chipfit.int8.shift.v1"]}
    found = {d["name"]: d for d in definition["resolvedDependencies"]}
    assert list(found) == [
        "evaluation", "lock", "model", "model: part.bin", "chip", "arm-none-eabi-gcc", "chipfit", "numpy", "cpython"
    ]  # fmt: skip
    assert found["model"] == {"name": "model", "digest": {"sha256": DIGEST}, "annotations": {"file": "m.onnx"}}
    assert found["numpy"]["uri"] == "pkg:pypi/numpy@2.4.6"
    assert found["numpy"]["annotations"] == {"installedFilesSha256": DIGEST}


def test_compilers_and_python_are_no_packages_of_pypi(tmp_path: Path) -> None:
    assert tools(built(tmp_path)) == (
        Tool("arm-none-eabi-gcc", "12.2.1 20221205", "pkg:generic/arm-none-eabi-gcc@12.2.1", DIGEST),
        Tool("chipfit", "0.1.0", "pkg:generic/chipfit@0.1.0", None),
        Tool("numpy", "2.4.6", "pkg:pypi/numpy@2.4.6", DIGEST),
        Tool("cpython", "3.11.7", "pkg:generic/cpython@3.11.7", None),
    )


def test_a_hostile_file_name_is_shortened_and_shows_what_is_not_seen(tmp_path: Path) -> None:
    product = built(tmp_path, f"models/{HOSTILE}")
    name = file_name(product, "model")
    assert len(name) <= 200 and name.isprintable() and "\u202e" not in name
    assert file_name(product, "model: ../up/part.bin") == "part.bin"
    assert file_name(product, "evaluation") == "d.npz" and file_name(product, "lock") == "p.lock.yaml"
    assert to_json(provenance(product)).isascii()
