"""A decoded image: constant bytes, and the function at an address or the rest of one."""

from dataclasses import replace

from thumb_code import BASE, half_words, image, section

from pipeline.measuring.machine_code.decoded import Function

CODE = image(half_words(*[0xBF00] * 8), {"f": (0, 6), "g": (8, 16)})


def test_bytes_are_read_inside_one_constant_section_alone() -> None:
    data = section(b"abcdef", "constant", 0x4000)
    whole = replace(CODE, sections=(*CODE.sections, data, section(b"ghij", "data", 0x5000)))
    assert whole.read(0x4002, 4) == b"cdef" and whole.read(BASE, 2) == half_words(0xBF00)
    assert whole.read(0x4002, 5) is whole.read(0x3FFF, 2) is whole.read(0x5000, 1) is None


def test_a_jump_into_a_function_meets_its_rest_up_to_the_next() -> None:
    assert CODE.function_at(BASE) == Function("f", BASE, BASE + 6)
    assert CODE.function_at(BASE + 4) == Function(f"the code at {BASE + 4:#x}", BASE + 4, BASE + 8)
    assert CODE.function_at(BASE + 10) == Function(f"the code at {BASE + 10:#x}", BASE + 10, BASE + 16)
    assert CODE.function_at(BASE + 1) is CODE.function_at(BASE + 16) is None
