"""Decoded Thumb code: both lengths, gaps that are no instruction, and what an IT block governs."""

from thumb_code import BASE, half_words, image, section

from pipeline.measuring.thumb.decoding import conditional_addresses, decode, is_it

NOP, BL = 0xBF00, (0xF000, 0xF802)  # bl to 4 + 4 bytes further


def test_instructions_of_two_and_four_bytes_are_told_apart() -> None:
    found = decode(section(half_words(NOP, *BL, NOP)), BASE, BASE + 8)
    assert {a - BASE: (i.mnemonic, i.size) for a, i in found.items()} == {0: ("nop", 2), 2: ("bl", 4), 6: ("nop", 2)}


def test_what_is_no_instruction_is_left_out_and_the_rest_is_read() -> None:
    code = half_words(NOP, 0xFFFF, 0xFFFF, NOP, 0xBA80, NOP)  # of 32 bits and of 16 bits, both undefined
    assert [a - BASE for a in decode(section(code), BASE, BASE + 12)] == [0, 6, 10]
    assert not decode(section(half_words(NOP)), BASE, BASE + 1), "half of an instruction is none"


def test_only_the_asked_range_is_read() -> None:
    assert [a - BASE for a in decode(section(half_words(NOP, NOP, NOP, NOP)), BASE + 2, BASE + 6)] == [2, 4]


def test_an_it_block_governs_as_many_instructions_as_its_letters_say() -> None:
    ittee = 0xBF07  # ittee eq
    decoded = image(half_words(ittee, NOP, *BL, NOP, NOP, NOP), {})
    assert [is_it(i) for _, i in sorted(decoded.instructions.items())] == [True] + [False] * 5
    assert sorted(a - BASE for a in conditional_addresses(decoded.instructions)) == [2, 4, 8, 10]
