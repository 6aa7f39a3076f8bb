"""Routines that layers in assembly share: paid once for all layers of the same memory."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Shared:
    """`functions` that the macro `<name>_routines` of `<name>.inc` defines; `code`: bytes of all (a test compares)."""

    functions: tuple[str, ...]
    code: int


SHARED: Mapping[str, Shared] = {"im2col": Shared(("widen", "fill", "im2col"), 384)}
"""By the name of their file in kernels/<instruction set>."""
