"""The proof that keys are complete: all that Python sees a stage import and open is in its key."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest
from conftest import ROOT, need, some

from pipeline.facts.config import load_project
from stages import STAGES
from stages.base import applicable, reads
from stages.keys import dependencies
from stages.keys.closure import PACKAGES, has_no_effect, module_name
from stages.keys.distributions import NO_EFFECT, distribution_of

JUSTIFIED = {
    "annotated-types": "pydantic's own, which has no effect",
    "pydantic-core": "likewise",
    "typing-inspection": "likewise",
    "setuptools": "a hook of old that is loaded whenever Python starts",
    "coverage": "measures tests",
}
"""Packages that are loaded and in no key, beside those of NO_EFFECT."""


@cache
def distributions() -> dict[str, list[str]]:
    return {n: list(d) for n, d in importlib.metadata.packages_distributions().items()}


def run(stage: str, product: Path, build: Path) -> dict[str, list[str]]:
    command = [sys.executable, str(ROOT / "tests" / "audited.py"), stage, str(product), str(build)]
    environment = os.environ | {"CHIPFIT_ROOT": str(ROOT), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def prove(product: Path, build: Path) -> None:
    """Build a product stage by stage, each in a process of its own, and compare with the stage's key."""
    project = load_project(product)
    for stage in some(s for s in STAGES if applicable(s, project)):
        name = stage.__name__  # type: ignore[attr-defined]
        found, (code, tools) = run(name, product, build), dependencies(name, project)
        assert len(modules_of_chipfit(found)) > 20 and not unknown_code(found, code), name
        assert not unknown_packages(found, tools), name
        assert not unknown_inputs(found, stage.READS, build / project.config.product), name
        # Were one of them left out of the key, it would be noticed.
        for module in ("pipeline/facts/units.py", f"{name.replace('.', '/')}.py"):
            assert unknown_code(found, {p: d for p, d in code.items() if p != module}), name
        assert unknown_packages(found, {n: d for n, d in tools.items() if n != "numpy"}), name
        if name == "stages.codegen":
            assert unknown_inputs(found, {}, build / project.config.product), name


def modules_of_chipfit(found: Mapping[str, list[str]]) -> set[str]:
    """Without those that are in no key, for their reason."""
    return {n for n in found["modules"] if n.partition(".")[0] in PACKAGES and not has_no_effect(n)}


def unknown_code(found: Mapping[str, list[str]], code: Mapping[str, str]) -> set[str]:
    """Modules of chipfit that were imported, and files of the repository that were opened, beyond `code`."""
    known = {module_name(p) for p in code if p.endswith(".py")}
    opened = {Path(p).relative_to(ROOT).as_posix() for p in found["opened"] if Path(p).is_relative_to(ROOT)}
    opened = {p for p in opened if not (ROOT / p).is_relative_to(sys.prefix)}  # a virtual environment in the repository
    code_files = {p for p in opened if "__pycache__" not in p and not p.startswith("configs/")}
    data = {p for p in code_files if not has_no_effect(module_name(p))}
    return (modules_of_chipfit(found) - known) | (data - set(code))


def unknown_packages(found: Mapping[str, list[str]], tools: Mapping[str, str]) -> set[str]:
    """Packages that were imported beyond `tools`, but for those without effect."""
    tops = {n.partition(".")[0] for n in found["modules"]} - sys.stdlib_module_names
    brought = {n: {distribution_of(d) for d in distributions().get(n, ())} for n in tops}
    assert {"numpy", "pydantic"} <= set(brought)
    return {n for n, names in brought.items() if names and not names & {*tools, *NO_EFFECT, *JUSTIFIED}}


def unknown_inputs(found: Mapping[str, list[str]], declared: Mapping[str, tuple[str, ...]], folder: Path) -> set[str]:
    """Files of the user that were opened while the stage ran, beyond its inputs and the results that it reads."""
    opened = {p for p in map(Path, found["run"]) if p.is_relative_to(folder.parent.parent)}
    results = {p.relative_to(folder) for p in opened if p.is_relative_to(folder) and p.name != ".stamp.json"}
    beyond = {r.as_posix() for r in results if not reads(declared, r.parts[0], r.relative_to(r.parts[0]).as_posix())}
    return beyond | ({str(p) for p in opened if not p.is_relative_to(folder)} - set(found["inputs"]))


def test_touch(tmp_path: Path) -> None:
    configs = shutil.copytree(ROOT / "configs", tmp_path / "configs")
    prove(configs / "products" / "touch.yaml", tmp_path / "build")


@pytest.mark.exhaustive
@pytest.mark.parametrize("product", ["digits", "digits_rp2040"])
def test_convolutions_in_assembly(tmp_path: Path, product: str) -> None:
    configs = shutil.copytree(ROOT / "configs", tmp_path / "configs")
    prove(configs / "products" / f"{product}.yaml", tmp_path / "build")


@pytest.mark.exhaustive
def test_a_quantized_tflite_file(tmp_path: Path, shared_models: Path) -> None:
    shutil.copy(shared_models / "mlperf_tiny" / "kws_ref_model.tflite", tmp_path / "kws.tflite")
    product = tmp_path / "kws.yaml"
    product.write_text("product: kws\nmodel: {source: kws.tflite}\nchip: stm32f103\n")
    prove(product, tmp_path / "build")


@pytest.mark.exhaustive
def test_gcc(tmp_path: Path) -> None:
    need("arm-none-eabi-gcc")
    configs = shutil.copytree(ROOT / "configs", tmp_path / "configs")
    product = configs / "products" / "touch.yaml"
    product.write_text(product.read_text() + "toolchain: gcc\n")
    prove(product, tmp_path / "build")
