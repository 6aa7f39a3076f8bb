"""A tensor as an affine function of another, element by element: what an operator passes on when an affine moves."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.graph.tensor import Array, Shape


@dataclass(frozen=True, eq=False)
class AffineForm:
    """A tensor by the one without the affine: tensor == scale * other + offset, arrays of its shape."""

    scale: Array
    offset: Array

    def mapped(self, function: Callable[[Array], Array]) -> "AffineForm":
        return AffineForm(function(self.scale), function(self.offset))

    def constant_along(self, axes: tuple[int, ...]) -> bool:
        return all((v == v.take([0], axis=a)).all() for v in (self.scale, self.offset) for a in axes)

    def reduced(self, axes: tuple[int, ...]) -> "AffineForm":
        """The form of a tensor of size 1 along `axes`, along which this one is constant."""
        first = tuple(slice(0, 1) if a in axes else slice(None) for a in range(self.scale.ndim))
        return self.mapped(lambda v: v[first])

    def resized(self, axes: tuple[int, ...], shape: Shape) -> "AffineForm":
        """The form of a tensor of `shape`, another along `axes` alone, along which this one is constant."""
        return self.reduced(axes).mapped(lambda v: np.broadcast_to(v, shape))
