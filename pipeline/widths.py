"""How many bits a weight may take: eight down to two, for every layer and for single ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field

BITS: Mapping[str, int] = {**{f"int{n}": n for n in range(8, 1, -1)}, "ternary": 2}
"""What a product YAML says, and the bits that it means. Two bits are -1, 0 and 1: ternary is another name for int2."""


def peak_of(bits: int) -> int:
    """The largest weight of so many bits; the least is its negative, so that a sign costs nothing to change."""
    return 2 ** (bits - 1) - 1


@dataclass(frozen=True)
class Widths:
    """Bits of the weights: those of `layers` by the layer's name, `default` for all others."""

    default: int = 8
    layers: Mapping[str, int] = field(default_factory=dict)

    def of(self, layer: str) -> int:
        return self.layers.get(layer, self.default)

    @property
    def narrow(self) -> bool:
        """Whether any layer may have less than eight bits."""
        return min(self.default, *self.layers.values(), 8) < 8
