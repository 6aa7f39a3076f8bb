"""A loaded image: which function holds an address, and half-words of several sections numbered in one row."""

import pytest

from pipeline.measuring.machine_code.loaded import LoadedImage

IMAGE = LoadedImage((), (), 0x10, 0x20, ((0x10, 8, "f"), (0x20, 4, "g")), ((0x10, 0x15), (0x100, 0x104)), None)


def test_a_symbol_holds_its_bytes_and_no_other() -> None:
    found = [IMAGE.symbol_at(a) for a in (0x0F, 0x10, 0x17, 0x18, 0x20, 0x24)]
    assert found == ["no function", "f", "f", "no function", "g", "no function"]


def test_half_words_are_numbered_through_all_sections() -> None:
    assert IMAGE.count_half_words() == 3 + 2, "half of a half-word counts"
    assert [IMAGE.address_of(n) for n in range(5)] == [0x10, 0x12, 0x14, 0x100, 0x102]
    with pytest.raises(IndexError):
        IMAGE.address_of(5)
