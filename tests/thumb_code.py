"""Thumb code made of numbers, and an image of one section of it: for tests that need no compiler and no linker."""

from collections.abc import Mapping

from pipeline.facts.cores import THUMB
from pipeline.measuring.machine_code.decoded import DecodedImage, Function, Section
from pipeline.measuring.thumb.decoding import decode

BASE = 0x1000


def section(code: bytes, kind: str = "code", address: int = BASE) -> Section:
    return Section(".text", address, len(code), kind, code, False)


def half_words(*values: int) -> bytes:
    return b"".join(v.to_bytes(2, "little") for v in values)


def image(code: bytes, functions: Mapping[str, tuple[int, int]], data: tuple[int, int] = (0, 0)) -> DecodedImage:
    """One section at BASE, all of it code but for `data`; functions are [begin, end), all from BASE."""
    own, (begin, end) = section(code), data
    found = {BASE + b: Function(n, BASE + b, BASE + e) for n, (b, e) in functions.items()}
    instructions = {**decode(own, BASE, BASE + begin), **decode(own, BASE + end, BASE + len(code))}
    return DecodedImage(THUMB, (own,), (), found, {a: f.name for a, f in found.items()}, instructions)
