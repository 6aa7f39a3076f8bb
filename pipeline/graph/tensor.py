"""Tensors, with the real values that their integers stand for, and ports: the tensors that a caller sees."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

INTEGER_DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "int64")
DTYPES = ("float32", *INTEGER_DTYPES)


@dataclass(frozen=True)
class QuantParams:
    """real = scale * (integer - zero_point); one scale, or one for each index of `axis` (then zero_point is 0)."""

    scale: tuple[float, ...]
    zero_point: int = 0
    axis: int | None = None
    dtype: str = "int8"

    @property
    def limits(self) -> tuple[int, int]:
        """The least and the largest integer."""
        info = np.iinfo(self.dtype)
        return int(info.min), int(info.max)

    @property
    def real_range(self) -> tuple[float, float]:
        """The least and the largest real value, at one scale."""
        low, high = ((limit - self.zero_point) * self.scale[0] for limit in self.limits)
        return low, high

    def quantize(self, real: Array) -> Array:
        """Integers of `real`'s shape and this type: rounded half to even, saturated.

        float32 values are divided as ONNX QuantizeLinear does it, in float32; others in float64.
        """
        kind = np.float32 if real.dtype == np.float32 else np.float64
        with np.errstate(over="ignore"):
            steps = np.rint(real.astype(kind) / self.spread(real.ndim).astype(kind)).astype(np.float64)
        return np.clip(steps + self.zero_point, *self.limits).astype(self.dtype)

    def dequantize(self, integer: Array) -> Array:
        """The real values of `integer`: float64, of its shape."""
        return (integer.astype(np.float64) - self.zero_point) * self.spread(integer.ndim)

    def spread(self, rank: int) -> Array:
        """The scales, to be broadcast over an array of this rank."""
        if self.axis is None:
            return np.float64(self.scale[0]) * np.ones((), np.float64)
        return np.asarray(self.scale, np.float64).reshape([-1 if i == self.axis else 1 for i in range(rank)])


@dataclass(frozen=True, eq=False)
class Tensor:
    """A named value: an activation (`data` is None) or a constant."""

    name: str
    shape: Shape
    dtype: str = "float32"
    data: Array | None = None
    quant: QuantParams | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.size * np.dtype(self.dtype).itemsize

    def stored(self, real: Array) -> Array:
        """`real` values as this quantized tensor's integers, saturated to its type."""
        assert self.quant is not None
        return np.ascontiguousarray(self.quant.quantize(real))

    @classmethod
    def constant(cls, name: str, data: Array, quant: QuantParams | None = None) -> "Tensor":
        frozen = np.array(data, order="C")
        frozen.flags.writeable = False
        return cls(name, frozen.shape, frozen.dtype.name, frozen, quant)


@dataclass(frozen=True)
class Port:
    """One input or output of the network as its owner knows it.

    `perm` says how the stored (channels-last) tensor is made from the ONNX one: stored = onnx.transpose(perm).
    """

    tensor: str
    onnx_name: str
    onnx_shape: Shape
    perm: tuple[int, ...]
    unsigned: bool = False
    """Whether the model file stores it as uint8; the ports of an integer graph are uint8 then."""

    def to_stored(self, samples: Array) -> Array:
        """Samples as the graph stores them: (n, *onnx_shape) -> (n, *stored shape)."""
        return samples.transpose(0, *(1 + p for p in self.perm))

    def to_onnx(self, samples: Array) -> Array:
        """Samples as the model file has them: (n, *stored shape) -> (n, *onnx_shape)."""
        return samples.transpose(0, *(1 + int(p) for p in np.argsort(self.perm)))
