"""Networks that can never fit: each budget that no setting meets is said at once, with what would help."""

from pathlib import Path

import pytest

from pipeline.facts.config import Project, load_project
from pipeline.facts.errors import ManyErrors
from pipeline.importing.lower_bounds import LowerBound
from stages.feasibility import _refuse_unfit, _weights_hint

YAML = "product: net\nmodel: {source: m.onnx}\ndata: {evaluation: d.npz}\nchip: stm32f030r8\n"


def project(folder: Path, budget: str) -> Project:
    (folder / "net.yaml").write_text(f"{YAML}budget: {budget}\n", "utf-8")
    return load_project(folder / "net.yaml")


def test_flash_and_latency_are_said_together(tmp_path: Path) -> None:
    with pytest.raises(ManyErrors) as error:
        _refuse_unfit(project(tmp_path, "{flash: 1 KiB, latency: 1 ms}"), LowerBound(2048, 10**6, 10**6), "zeros", True)
    flash, latency = str(error.value).splitlines()
    assert "net.yaml:5: budget.flash: the weights alone need 2.0 KiB (2048 bytes" in flash and "(2.0x)" in flash
    assert "needs a smaller network" in latency and "1000000 multiply-accumulates need at least" in latency
    assert "limit 48000" in latency, "a millisecond at 48 MHz"


def test_what_may_fit_is_not_refused(tmp_path: Path) -> None:
    bound = LowerBound(1024, 1000, 1000)
    _refuse_unfit(project(tmp_path, "{flash: 1 KiB, latency: 1 ms}"), bound, "zeros", True)
    assert bound.cycles("cortex-m0") <= 48_000


@pytest.mark.parametrize(
    ("width", "excess", "names"), [("int8", 1.9, "int4"), ("int8", 4.0, "int2"), ("int4", 1.3, "int3")]
)
def test_the_widest_weights_that_might_fit_are_named(width: str, excess: float, names: str) -> None:
    assert _weights_hint(width, excess).startswith(f"quantization.weights: {names} might fit")


def test_beyond_two_bits_nothing_helps() -> None:
    assert "might fit" not in _weights_hint("int8", 4.1)
