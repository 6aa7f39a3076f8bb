"""Lines of failed tasks: each once, and what several variants share with their names."""

from stages.app.failures import grouped


def test_what_differs_in_the_variant_alone_is_one_line() -> None:
    failures = {
        "import:net_a": ["x.yaml:3: net_a: model.source: m.onnx does not exist."],
        "import:net_b": [
            "x.yaml:3: net_b: model.source: m.onnx does not exist.",
            "x.yaml:4: net_b: budget: small.",
        ],
        "import:net_c": ["x.yaml:3: net_c: model.source: m.onnx does not exist."],
    }
    assert grouped(failures) == [
        "x.yaml:3: net_a and 2 more: model.source: m.onnx does not exist.",
        "x.yaml:4: net_b: budget: small.",
    ]


def test_lines_without_a_product_are_said_once_as_they_are() -> None:
    failures = {"import:x": ["x.yaml:3: chip: is missing."], "report:y": ["x.yaml:3: chip: is missing.", "y: bad."]}
    assert grouped(failures) == ["x.yaml:3: chip: is missing.", "y: bad."]
    assert grouped({}) == []


def test_other_lines_of_other_places_stay_apart() -> None:
    failures = {"report:a": ["x.yaml:3: a: slow."], "report:b": ["x.yaml:4: b: slow."], "quantize:b": []}
    assert grouped(failures) == ["x.yaml:3: a: slow.", "x.yaml:4: b: slow."]
