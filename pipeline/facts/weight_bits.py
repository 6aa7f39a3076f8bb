"""How many bits a weight may take: eight down to two, for every layer and for single ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

BITS: Mapping[str, int] = {**{f"int{n}": n for n in range(8, 1, -1)}, "ternary": 2}
"""What a product YAML says, and the bits that it means. Two bits are -1, 0 and 1: ternary is another name for int2."""


def peak_of(bits: int) -> int:
    """The largest weight of so many bits; the least is its negative, so that a sign costs nothing to change."""
    return 2 ** (bits - 1) - 1


def bits_of(integers: npt.NDArray[Any]) -> int:
    """The fewest bits, in two's complement, that hold every one of them; at most eight are told."""
    low, high = int(integers.min(initial=0)), int(integers.max(initial=0))
    return min(8, max((-low - 1).bit_length() if low < 0 else 0, high.bit_length()) + 1)


@dataclass(frozen=True)
class Widths:
    """Bits of the weights: those of `layers` by the layer's name, `default` for all others."""

    default: int = 8
    layers: Mapping[str, int] = field(default_factory=dict)

    def of(self, layer: str) -> int:
        return self.layers.get(layer, self.default)

    @property
    def least(self) -> int:
        """Bits of the narrowest."""
        return min(self.default, *self.layers.values(), 8)
