"""A small quantized TFLite model and its inputs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from tflite_models import Op, T, schema, tflite_model

from pipeline.graph.tensor import Array

SAME, VALID = schema.Padding.SAME, schema.Padding.VALID
NONE, RELU, RELU_N1, RELU6 = 0, 1, 2, 3


@dataclass(frozen=True, eq=False)
class Case:
    name: str
    model: bytes
    shapes: tuple[tuple[int, ...], ...]
    dtype: str = "int8"

    def inputs(self, count: int, seed: int = 1) -> list[Array]:
        """Random integers over the whole range; unary models of 256 values get each value once."""
        rng = np.random.default_rng(seed)
        limits = np.iinfo(self.dtype)
        return [rng.integers(limits.min, limits.max + 1, (count, *s)).astype(self.dtype) for s in self.shapes]


def rng_of(name: str) -> np.random.Generator:
    return np.random.default_rng(sum(name.encode()))


def unary(code: str, x: T, y: T, options: Any = None, **fields: Any) -> Case:
    name = f"{code}_{x.scale:g}_{x.zero}_{y.scale:g}_{y.zero}_{x.dtype}_{'_'.join(str(v) for v in fields.values())}"
    model = tflite_model({"x": x, "y": y}, [Op(code, ["x"], ["y"], options, fields)], ["x"], ["y"])
    return Case(name, model, (x.shape,), x.dtype)
