"""Jump tables: every form gives the targets worked out by hand, and nothing is guessed."""

import pytest
from capstone import arm
from thumb_code import BASE, half_words, image

from pipeline.measuring.machine_code.family import UnboundedError
from pipeline.measuring.thumb.jumps import table_targets
from pipeline.measuring.thumb.values import ENTRY, State

NOP, RETURN = 0xBF00, 0x4770
CMP, BHI, BHS = 0x2802, 0xD80A, 0xD20A  # cmp r0, #2 and the branches away that 3 and 2 cases have
TBB, TBH = (0xE8DF, 0xF000), (0xE8DF, 0xF010)


def targets(code: bytes, at: int, begin: int, end: int, state: State | None = ENTRY, helper: str = "") -> list[int]:
    """Of the jump at `at`, whose table lies from `begin` to `end`."""
    decoded = image(code, {"f": (0, len(code))}, data=(begin, end))
    found = table_targets(decoded.instructions[BASE + at], decoded.functions[BASE], decoded, lambda _: state, helper)
    return [t - BASE for t in found]


def test_a_table_of_bytes_counts_half_words_from_the_program_counter() -> None:
    code = half_words(CMP, BHI, *TBB) + bytes([2, 3, 4, 0]) + half_words(RETURN, RETURN, RETURN, RETURN, RETURN)
    assert targets(code, 4, 8, 12) == [8 + 2 * 2, 8 + 2 * 3, 8 + 2 * 4]


def test_a_table_of_half_words_does_too_and_an_exclusive_limit_has_one_case_less() -> None:
    code = half_words(CMP, BHS, *TBH, 2, 3, RETURN, RETURN, RETURN)
    assert targets(code, 4, 8, 12) == [12, 14]


def test_a_load_of_the_program_counter_reads_addresses_from_a_known_table() -> None:
    # cmp, bhi, ldr pc, [r1, r0, lsl #2], and three words
    words = b"".join((BASE + t | 1).to_bytes(4, "little") for t in (20, 22, 20))
    code = half_words(CMP, BHI, 0xF851, 0xF020) + words + half_words(RETURN, RETURN)
    table = ENTRY.set(arm.ARM_REG_R1, BASE + 8)
    assert targets(code, 4, 8, 20, table) == [20, 22, 20]
    with pytest.raises(UnboundedError, match="f jumps through a register at 0x1004"):
        targets(code, 4, 8, 20)


@pytest.mark.parametrize(
    ("kind", "table", "expected"),
    [
        ("uqi", bytes([4, 5, 6, 0]), [8 + 8, 8 + 10, 8 + 12]),
        ("uhi", half_words(4, 5, 6), [16, 18, 20]),
        ("sqi", bytes([4, 5, 0x80, 0]), None),
        ("si", b"".join(n.to_bytes(4, "little") for n in (12, 14, 16)), [20, 22, 24]),
    ],
)
def test_helpers_of_libgcc_have_their_table_behind_the_call(
    kind: str, table: bytes, expected: list[int] | None
) -> None:
    code, end = half_words(CMP, BHI, 0xF000, 0xF800) + table, 8 + len(table)
    code += half_words(*[RETURN] * 6)
    if expected is None:  # it leads out of the function
        with pytest.raises(UnboundedError):
            targets(code, 4, 8, end, helper=f"__gnu_thumb1_case_{kind}")
    else:
        assert targets(code, 4, 8, end, helper=f"__gnu_thumb1_case_{kind}") == expected


def test_a_jump_without_a_comparison_or_out_of_the_function_is_not_guessed() -> None:
    code = half_words(NOP, NOP, *TBB) + bytes([2, 3, 4, 0]) + half_words(*[RETURN] * 5)
    with pytest.raises(UnboundedError, match="jumps through a register"):
        targets(code, 4, 8, 12)
    far = half_words(CMP, BHI, *TBB) + bytes([2, 3, 200, 0]) + half_words(*[RETURN] * 5)
    with pytest.raises(UnboundedError):
        targets(far, 4, 8, 12)
