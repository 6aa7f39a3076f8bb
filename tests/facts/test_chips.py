"""Chips of one's own: in the folder that a product names, before those beside it and those of chipfit."""

from pathlib import Path

import pytest

from pipeline.facts.config import load_project
from pipeline.facts.errors import ChipfitError

FACTS = "core: cortex-m0\nclock: {clock}\nflash: {{origin: 0, size: 16 KiB}}\nram: {{size: 4 KiB}}\n"
PRODUCT = "product: net\nmodel: {source: m.onnx}\nchip: mine\n"


def chip(folder: Path, name: str, clock: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(f"chip: {name}\n" + FACTS.format(clock=clock), "utf-8")


def test_the_folder_is_relative_to_the_file_that_names_it(tmp_path: Path) -> None:
    chip(tmp_path / "boards" / "chips", "mine", "8 MHz")
    chip(tmp_path / "products" / "chips", "mine", "4 MHz")
    (tmp_path / "products" / "deep").mkdir()
    (tmp_path / "products" / "base.yaml").write_text(PRODUCT + "chips: ../boards/chips\n", "utf-8")
    (tmp_path / "products" / "deep" / "x.yaml").write_text("extends: ../base.yaml\n", "utf-8")
    for path in ("base.yaml", "deep/x.yaml"):
        assert load_project(tmp_path / "products" / path).chip.clock == 8_000_000, "before the one beside the product"
    (tmp_path / "products" / "base.yaml").write_text(PRODUCT, "utf-8")
    assert load_project(tmp_path / "products" / "base.yaml").chip.clock == 4_000_000


def test_a_chip_of_ones_own_stands_before_one_of_that_name(tmp_path: Path) -> None:
    chip(tmp_path / "chips", "rp2040", "12 MHz")
    (tmp_path / "x.yaml").write_text(PRODUCT.replace("mine", "rp2040") + "chips: chips\n", "utf-8")
    assert load_project(tmp_path / "x.yaml").chip.clock == 12_000_000


def test_what_is_not_there_is_said_with_what_is(tmp_path: Path) -> None:
    chip(tmp_path / "boards", "mine", "8 MHz")
    (tmp_path / "x.yaml").write_text(PRODUCT.replace("mine", "mime") + "chips: boards\n", "utf-8")
    with pytest.raises(ChipfitError, match=r"x.yaml:3: chip: 'mime' is not known. Hint: Did you mean 'mine'\?"):
        load_project(tmp_path / "x.yaml")
    (tmp_path / "x.yaml").write_text(PRODUCT + "chips: board\n", "utf-8")
    with pytest.raises(ChipfitError, match=r"x.yaml:4: chips: board is not a folder"):
        load_project(tmp_path / "x.yaml")
    (tmp_path / "x.yaml").write_text(PRODUCT + r'chips: "a\0b"' + "\n", "utf-8")
    with pytest.raises(ChipfitError, match="is not a folder"):
        load_project(tmp_path / "x.yaml")


def test_a_file_of_that_folder_is_a_chip_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards" / "mine.yaml").write_text("chip: mine\n", "utf-8")
    (tmp_path / "x.yaml").write_text(PRODUCT + "chips: boards\n", "utf-8")
    with pytest.raises(ChipfitError, match=r"mine.yaml: core: is missing"):
        load_project(tmp_path / "x.yaml")
