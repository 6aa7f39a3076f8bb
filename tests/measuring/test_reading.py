"""Functions and ranges of code in an image's symbols."""

from pathlib import Path

import pytest
from thumb_code import BASE, section

from pipeline.facts.errors import ChipfitError
from pipeline.measuring.footprint.reading import _code_ranges, _functions, alias_order, read_image
from pipeline.measuring.machine_code.decoded import Function, Label

OWN = section(bytes(64))


def test_a_function_without_a_size_ends_where_the_next_begins() -> None:
    labels = [Label(n, BASE + a, s, OWN, True) for n, a, s in (("f", 0, 0), ("g", 16, 8), ("h", 40, 0), ("i", 16, 4))]
    assert _functions(labels) == {
        BASE: Function("f", BASE, BASE + 16),
        BASE + 16: Function("g", BASE + 16, BASE + 24),
        BASE + 40: Function("h", BASE + 40, BASE + 64),
    }


def test_a_size_that_reaches_over_the_next_function_is_cut() -> None:
    labels = [Label("f", BASE, 48, OWN, True), Label("g", BASE + 16, 4, OWN, True)]
    assert _functions(labels)[BASE] == Function("f", BASE, BASE + 16)


def test_mapping_symbols_part_code_from_data() -> None:
    assert _code_ranges(OWN, []) == [(BASE, BASE + 64)]
    marks = [(BASE, True), (BASE + 20, False), (BASE + 28, True)]
    assert _code_ranges(OWN, marks) == [(BASE, BASE + 20), (BASE + 28, BASE + 64)]


def test_of_several_names_the_eabis_comes_first() -> None:
    assert sorted(["__muldi3", "__aeabi_lmul", "a"], key=alias_order) == ["__aeabi_lmul", "__muldi3", "a"]


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"no ELF at all"])
def test_a_file_that_is_no_image_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "library.elf"
    path.write_bytes(content)
    with pytest.raises(ChipfitError, match=r"size-check: library\.elf is not a linked image\."):
        read_image(path)
