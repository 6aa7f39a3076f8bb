"""PyTorch programs as sources: what is refused, and with which words; the good case is docs/pytorch.md."""

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

from pipeline.model_files.torch_program import refusal_reason

PRODUCT = "product: net\nmodel: {{source: {source}}}\nchip: truetouch-m0\n"


def build(folder: Path, source: str) -> tuple[int, str]:
    (folder / "net.yaml").write_text(PRODUCT.format(source=source))
    done = subprocess.run(
        [sys.executable, "-m", "stages.app.cli", "build"],
        cwd=folder, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("name", ["net.pt", "net.pth"])
def test_a_pickle_is_refused_with_what_to_run_instead(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x80\x02")
    code, message = build(tmp_path, name)
    assert code == 1
    assert f"net.yaml:2: model.source: {name} is not one of .onnx, .tflite, .pt2" in message
    for part in ("torch.export.export(model.eval(), (example_input,))", "torch.export.save(program, 'net.pt2')"):
        assert part in message
    assert message.count("\n") == 1


def test_a_missing_program_is_said(tmp_path: Path) -> None:
    code, message = build(tmp_path, "net.pt2")
    assert (code, message) == (1, "net.yaml:2: model.source: net.pt2 does not exist.\n")


def test_without_torch_the_remedy_is_said(tmp_path: Path) -> None:
    if importlib.util.find_spec("torch") is not None:
        pytest.skip("torch is installed")
    (tmp_path / "net.pt2").write_bytes(b"PK")
    code, error = build(tmp_path, "net.pt2")
    assert code == 1
    assert "net.yaml:2: model.source: net.pt2 needs PyTorch to be read. Hint: Run pip install 'chipfit[torch]'" in error


def archive(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, text in files.items():
            file.writestr(name, text)
    return path


def test_archives_with_pickles_are_not_loaded(tmp_path: Path) -> None:
    config = '{"config": {"w": {"path_name": "weight_0", "use_pickle": true}}}'
    files = {"net/models/model.json": "{}", "net/data/weights/model_weights_config.json": config}
    assert "holds pickled objects" in refusal_reason(archive(tmp_path / "a.pt2", files))


def test_damaged_and_foreign_archives_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "b.pt2").write_bytes(b"\x80\x02pickle")
    assert "damaged or truncated" in refusal_reason(tmp_path / "b.pt2")
    assert "no program that torch.export.save wrote" in refusal_reason(archive(tmp_path / "c.pt2", {"x": "y"}))
