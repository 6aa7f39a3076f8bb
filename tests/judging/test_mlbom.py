"""The bill of materials: CycloneDX's published schema, what stands in it, and names that nobody trusts."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_page import SIMULATED
from test_plan_rows import PLAN
from test_provenance import DIGEST, HOSTILE, TOOLS, built

from pipeline.facts.artifact import to_json
from pipeline.graph.ir import Graph
from pipeline.graph.rescale import Rescale
from pipeline.graph.tensor import Port, QuantParams, Tensor
from pipeline.judging.report.mlbom import SPEC, Licence, bill_of_materials
from pipeline.judging.report.provenance import Built
from pipeline.ops.dense import Dense

NODE = Dense(name="fc", inputs=("x", "w", "b"), outputs=("y",), rescale=Rescale("s", None, 0, -128, 127, "shift"))
TENSORS = {
    "x": Tensor("x", (1, 3), "int8", None, QuantParams((0.5,), 1)),
    "w": Tensor("w", (2, 3), "int8", np.zeros((2, 3), np.int8), QuantParams((0.25,), 0)),
    "b": Tensor("b", (2,), "int32", np.zeros(2, np.int32)),
    "s": Tensor("s", (2,), "int64", np.zeros(2, np.int64)),
    "y": Tensor("y", (1, 2), "int8", None, QuantParams((0.125,), 0)),
}
GRAPH = Graph("net", TENSORS, (NODE,), (Port("x", "x", (1, 3), (0, 1)),), (Port("y", HOSTILE, (1, 2), (0, 1)),))
LICENCES = {"numpy": Licence("BSD-3-Clause AND MIT", True), "chipfit": Licence(HOSTILE, False)}


def bill(product: Built) -> dict[str, Any]:
    return bill_of_materials(product, GRAPH, PLAN, SIMULATED, LICENCES)


def check(document: bytes) -> None:
    """Whether the document is valid by the strictest reading of the schema."""
    pytest.importorskip("cyclonedx", reason="cyclonedx-python-lib is not installed")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    error = JsonStrictValidator(SchemaVersion.from_version(SPEC)).validate_str(document.decode("ascii"))
    assert error is None, str(error)


def components(document: dict[str, Any]) -> dict[str, Any]:
    return {c["bom-ref"]: c for c in document["components"]}


@pytest.mark.parametrize("source", ["models/m.onnx", f"models/{HOSTILE}"])
def test_a_bill_is_valid_by_the_published_schema_whatever_names_say(tmp_path: Path, source: str) -> None:
    check(to_json(bill(built(tmp_path, source))))


def test_every_reference_is_one_component_s(tmp_path: Path) -> None:
    found: list[str] = []

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            found.extend([value["bom-ref"]] if "bom-ref" in value else [])
        for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            collect(part)

    document = bill(built(tmp_path))
    collect(document)
    assert len(set(found)) == len(found)
    named = {r for d in document["dependencies"] for r in (d["ref"], *d.get("dependsOn", []))}
    assert named <= set(found)


def test_the_model_card_has_the_figures_of_the_verdict(tmp_path: Path) -> None:
    network = components(bill(built(tmp_path)))["network"]
    card = network["modelCard"]
    assert card["modelParameters"] == {
        "task": "classification",
        "modelArchitecture": "1 Dense",
        "datasets": [{"ref": "input:evaluation"}],
        "inputs": [{"format": "int8 [1, 3], scale 0.5"}],
        "outputs": [{"format": "int8 [1, 2], scale 0.125"}],
    }
    metrics = {m["type"]: m for m in card["quantitativeAnalysis"]["performanceMetrics"]}
    assert metrics["accuracy"] == {"type": "accuracy", "value": "0.94", "slice": "evaluation"}
    assert metrics["flash, bytes"]["value"] == "6144"
    assert metrics["cycles of the slowest inference, emulated"]["value"] == "12345"
    assert "stack, bytes" not in metrics, "it is not known"
    assert {p["name"]: p["value"] for p in card["properties"]}["chipfit:arithmetic"] == "chipfit.int8.shift.v1"


def test_inputs_are_components_by_what_they_are(tmp_path: Path) -> None:
    found = {n: (c["type"], c["name"]) for n, c in components(bill(built(tmp_path))).items() if n.startswith("input:")}
    assert found == {
        "input:evaluation": ("data", "d.npz"),
        "input:model": ("machine-learning-model", "m.onnx"),
        "input:model: part.bin": ("file", "part.bin"),
    }, "calibration data are not there, and a library is not made of its lock"


def test_licences_are_those_that_are_stated_and_no_others(tmp_path: Path) -> None:
    found = components(bill(built(tmp_path)))
    assert found["tool:numpy"]["licenses"] == [{"expression": "BSD-3-Clause AND MIT"}]
    assert "licenses" not in found["tool:cpython"] and "licenses" not in found["input:model"]
    assert found["input:model"]["hashes"] == [{"alg": "SHA-256", "content": DIGEST}]


def test_the_serial_number_is_that_of_the_content(tmp_path: Path) -> None:
    first, again = bill(built(tmp_path)), bill(built(tmp_path))
    other = bill(replace(built(tmp_path), tools=TOOLS | {"numpy": "2.4.7"}))
    assert first == again and first["serialNumber"] != other["serialNumber"]
    assert "timestamp" not in json.dumps(first)
