"""What a product's YAML leaves to the plan: flash, stack, cycles, and RAM for code."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, chipfit_here

from pipeline.facts.config import load_project
from pipeline.planning.choose_kernels import Limits
from stages.codegen import _MAX_PADDING, _limits

YAML = "product: net\nmodel: {source: m.onnx}\ndata: {evaluation: d.npz}\nchip: stm32f030r8\n"  # 48 MHz, 1 wait state


def limits(folder: Path, *lines: str) -> Limits:
    (folder / "net.yaml").write_text(YAML + "".join(f"{line}\n" for line in lines), "utf-8")
    return _limits(load_project(folder / "net.yaml"), 1000)


def test_without_a_budget_the_chips_flash_is_free(tmp_path: Path) -> None:
    found = limits(tmp_path)
    assert (found.flash, found.stack, found.cycles, found.ram, found.spare_ram) == (65536, None, None, 0, 0)


def test_latency_binds_cycles_only_where_flash_is_optimized(tmp_path: Path) -> None:
    budget = "budget: {flash: 10 KiB, latency: 2 ms, stack: 512 B}"
    assert limits(tmp_path, budget).cycles is None
    found = limits(tmp_path, budget, "optimize: flash")
    assert (found.flash, found.stack, found.cycles) == (10240, 512, 96_000)


@pytest.mark.parametrize(("code", "ram", "spare"), [("ram", 4096 - 1000 - _MAX_PADDING, 0), ("flash", 0, 3064)])
def test_ram_beside_the_arena_is_for_code_or_only_told(code: str, ram: int, spare: int, tmp_path: Path) -> None:
    found = limits(tmp_path, "budget: {ram: 4 KiB}", f"memory: {{code: {code}}}")
    assert (found.ram, found.spare_ram) == (ram, spare)
    assert limits(tmp_path, "budget: {ram: 512 B}", f"memory: {{code: {code}}}").ram == 0


def test_other_calibration_data_give_another_digest_of_the_network_of_the_same_model(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "configs" / "models", tmp_path / "models")
    (tmp_path / "products").mkdir()
    shutil.copy(ROOT / "configs" / "products" / "touch.yaml", tmp_path / "products")

    def digests() -> dict[str, str]:
        run = chipfit_here(tmp_path / "products", "build")
        (header,) = tmp_path.rglob("touch.h")
        found = re.findall(r'#define TOUCH_(\w+)_SHA256 "([0-9a-f]{64})"', header.read_text("utf-8"))
        assert len(found) == 3, run.stderr
        return dict(found)

    before = digests()
    data = tmp_path / "models" / "touch.npz"
    arrays = dict(np.load(data))
    np.savez(data, **arrays | {"calib": arrays["calib"][: len(arrays["calib"]) // 2]})
    after = digests()
    assert before["MODEL"] == after["MODEL"] and before["NETWORK"] != after["NETWORK"]
