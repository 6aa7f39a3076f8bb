"""Bits of a weight: eight down to two, for all layers and for single ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # configuration is read by builds that compute nothing
    import numpy.typing as npt

BITS: Mapping[str, int] = {**{f"int{n}": n for n in range(8, 1, -1)}, "ternary": 2}
"""Bits by the name that a product YAML has for them. Two bits are -1, 0 and 1: ternary is another name for int2."""


def largest_weight(bits: int) -> int:
    """The largest weight of `bits` bits; the least is its negative, so that a sign costs nothing to change."""
    return 2 ** (bits - 1) - 1


def bits_needed(integers: "npt.NDArray[Any]") -> int:
    """The fewest bits that hold each of `integers` in two's complement, at most 8."""
    low, high = int(integers.min(initial=0)), int(integers.max(initial=0))
    return min(8, max((-low - 1).bit_length() if low < 0 else 0, high.bit_length()) + 1)


@dataclass(frozen=True)
class Widths:
    """Bits of the weights: those of `layers` by the layer's name, `default` for all others."""

    default: int = 8
    layers: Mapping[str, int] = field(default_factory=dict)

    def bits(self, layer: str) -> int:
        """Bits of one layer's weights."""
        return self.layers.get(layer, self.default)

    @property
    def least(self) -> int:
        """Bits of the narrowest layer's weights."""
        return min(self.default, *self.layers.values(), 8)
