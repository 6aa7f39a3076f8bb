"""The JSON Schema takes what chipfit takes, and marks what it refuses."""

import pytest
import yaml
from conftest import ROOT, some

from pipeline.facts.config import json_schema

jsonschema = pytest.importorskip("jsonschema")
PRODUCTS = [*ROOT.glob("configs/products/*.yaml"), *ROOT.glob("examples/**/*.yaml")]
HEAD = "product: net\nmodel: {source: m.onnx}\n"
RIGHT = [
    "chip: rp2040\nvariants: none",
    "variants: {chip: [rp2040, samd21]}",
    "variants: {quantization.weights: [int8], policy: {a: , b: {budget: {flash: 9 KiB}}}}",
    "variants: {chip: [a, b], name: '{chip}', exclude: [{chip: [a]}], overrides: [{when: {chip: b}, optimize: flash}]}",
]
WRONG = [
    "variants: [rp2040]",
    "variants: {chip: rp2040}",
    "variants: {chip: []}",
    "variants: {chip: [{core: cortex-m0}]}",
    "variants: {policy: {a: {budgt: {flash: 9 KiB}}}}",
    "variants: {policy: {a: {product: x}}}",
    "variants: {policy: {a: 3}}",
    "variants: {chip: [a], exclude: {chip: a}}",
    "variants: {chip: [a], overrides: [{budget: {flash: 9 KiB}}]}",
    "variants: {chip: [a], overrides: [{when: {chip: a}, budgt: {flash: 9 KiB}}]}",
]


def valid(text: str) -> bool:
    return bool(jsonschema.Draft202012Validator(json_schema()).is_valid(yaml.safe_load(text)))


def test_it_is_a_schema_and_takes_every_product() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    for path in some(PRODUCTS):
        assert valid(path.read_text("utf-8")), path


@pytest.mark.parametrize("text", RIGHT)
def test_it_takes_every_form_of_variants(text: str) -> None:
    assert valid(HEAD + text)


@pytest.mark.parametrize("text", WRONG)
def test_it_marks_what_is_wrong(text: str) -> None:
    assert not valid(HEAD + text)
