"""Only a program of torch.export is exported."""

from pathlib import Path

import pytest

from pipeline.facts.config import load_project
from stages.export import applies


@pytest.mark.parametrize(("source", "exported"), [("m.pt2", True), ("m.onnx", False), ("m.tflite", False)])
def test_it_applies_to_its_own_format(source: str, exported: bool, tmp_path: Path) -> None:
    text = f"product: net\nmodel: {{source: {source}}}\ndata: {{evaluation: d.npz}}\nchip: stm32f030r8\n"
    (tmp_path / "net.yaml").write_text(text, "utf-8")
    assert applies(load_project(tmp_path / "net.yaml")) == exported
