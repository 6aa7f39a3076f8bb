"""What a stage depends on, for a product: the code and the tools."""

from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from conftest import ROOT, need

from pipeline.facts.config import Project, load_project
from stages.keys import dependencies


def project(toolchain: str = "ziglang") -> Project:
    loaded = load_project(ROOT / "configs" / "products" / "touch.yaml")
    return replace(loaded, config=loaded.config.model_copy(update={"toolchain": toolchain}))


def test_the_products_compiler_counts_where_it_compiles() -> None:
    need("arm-none-eabi-gcc")
    pinned, own = (dependencies("stages.size_check", project(t))[1] for t in ("ziglang", "gcc"))
    assert "ziglang" in pinned and "arm-none-eabi-gcc" not in pinned
    assert "arm-none-eabi-gcc" in own and "ziglang" not in own
    for toolchain in ("ziglang", "gcc"):
        assert "ziglang" in dependencies("stages.simulate", project(toolchain))[1], "compiles for this machine"


def test_code_names_no_place_of_this_machine() -> None:
    code, _ = dependencies("stages.codegen", project())
    assert not [f for f in code if Path(f).is_absolute() or ".." in f]


@pytest.mark.parametrize("package", ["onnxruntime", "ai-edge-litert"])
def test_what_the_answers_are_compared_with_is_part_of_the_key(package: str) -> None:
    """Installing LiteRT, or another version, compares anew."""
    tools = dependencies("stages.quantize", project())[1]
    try:
        assert tools[package].split()[0] == version(package)
    except PackageNotFoundError:
        assert tools[package] == "missing"
