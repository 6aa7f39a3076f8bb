"""The state of drawing one network: a random generator, the tensors so far, and helpers that keep draws legal."""

from collections.abc import Callable, Sequence
from functools import cache
from math import prod
from typing import Any

import numpy as np
import onnx

from networks.network import Layer, Network
from pipeline.graph.tensor import Array, Shape

LARGEST = 2500
"""Elements of an activation; small networks run fast, and shapes are what matters."""


class Skip(Exception):
    """This operator cannot be drawn here; another one is tried."""


@cache
def available(op: str, opset: int) -> bool:
    try:
        return not onnx.defs.get_schema(op, opset).deprecated
    except onnx.defs.SchemaError:
        return False


class Drawing:
    def __init__(self, rng: np.random.Generator, opset: int) -> None:
        self.rng, self.opset = rng, opset
        self.inputs: list[str] = []
        self.layers: list[Layer] = []
        self.constants: dict[str, Array] = {}
        self.shapes: dict[str, Shape] = {}
        self.kinds: dict[str, str] = {}
        self.read: set[str] = set()
        self.named = 0

    # Random choices.
    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def upto(self, low: int, high: int) -> int:
        """An integer of [low, high]."""
        return int(self.rng.integers(low, high + 1)) if high > low else low

    def one(self, choices: Sequence[Any]) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def real(self, low: float, high: float) -> float:
        """A float32 value as a Python float."""
        return float(np.float32(self.rng.uniform(low, high)))

    def axis(self, rank: int, first: int = 0) -> int:
        """An axis, said negative half of the time where the opset allows that."""
        if rank <= first:
            raise Skip
        axis = self.upto(first, rank - 1)
        return axis - rank if self.opset >= 13 and self.chance(0.5) else axis

    # Tensors.
    def fresh(self) -> str:
        self.named += 1
        return f"t{self.named}"

    def add_input(self, shape: Shape) -> str:
        name = self.fresh()
        self.inputs.append(name)
        self.shapes[name] = shape
        return name

    def constant(self, value: Any, dtype: str = "float32") -> str:
        name = self.fresh()
        self.constants[name] = np.ascontiguousarray(np.asarray(value, dtype)).reshape(np.shape(value))
        return name

    def ints(self, values: Sequence[int] | int) -> str:
        return self.constant(values, "int64")

    def pick(self, accept: Callable[[Shape], bool] = lambda s: True) -> str:
        """An activation of an accepted shape: most often a recent one that nobody has read."""
        found = [n for n, s in self.shapes.items() if n not in self.kinds and accept(s)]
        if not found:
            raise Skip
        unread = [n for n in found if n not in self.read]
        if self.chance(0.6):
            return found[-1]
        return self.one(unread) if unread and self.chance(0.7) else self.one(found)

    def ranked(self, *ranks: int) -> str:
        return self.pick(lambda s: len(s) in ranks)

    def spatial(self) -> str:
        """(1, channels, length) or (1, channels, height, width)."""
        return self.pick(lambda s: len(s) in (3, 4) and s[0] == 1)

    def same_shape(self, x: str) -> str:
        """Another activation (or, rarely, the same) of x's shape, or of one that is broadcast to it."""
        shape = self.shapes[x]
        found = [n for n, s in self.shapes.items() if n != x and n not in self.kinds and broadcasts(s, shape)]
        if not found and not self.chance(0.1):
            raise Skip
        return self.one(found or [x])

    def emit(self, op: str, inputs: Sequence[str], shape: Shape | Sequence[Shape], **attributes: Any) -> str:
        """Append a layer; several outputs when `shape` is a list. Returns the first output."""
        shapes = [tuple(shape)] if not isinstance(shape, list) else [tuple(s) for s in shape]
        if any(prod(s) > LARGEST or prod(s) == 0 for s in shapes) or not available(op, self.opset):
            raise Skip
        outputs = []
        for s in shapes:
            outputs.append(self.fresh())
            self.shapes[outputs[-1]] = s
        self.layers.append(Layer(op, tuple(inputs), tuple(outputs), attributes))
        self.read |= set(inputs)
        return outputs[0]

    def clipped(self, x: str, low: float, high: float) -> str:
        """x within [low, high]."""
        if self.opset < 11:
            return self.emit("Clip", [x], self.shapes[x], min=low, max=high)
        return self.emit("Clip", [x, self.constant(low), self.constant(high)], self.shapes[x])

    # Weights.
    def weights(self, shape: Shape, fan: int, axis: int = 0) -> str:
        """Normal weights; often a dead, near-dead, sparse or huge channel along `axis`; sometimes shared."""
        shared = [n for n, c in self.constants.items() if c.shape == shape and c.dtype == np.float32 and c.ndim > 1]
        if shared and self.chance(0.5):
            return self.one(shared)
        values = self.rng.normal(0, 1 / max(fan, 1) ** 0.5, shape)
        channels = np.moveaxis(values, axis, 0)
        kind = self.rng.random()
        if kind < 0.5:
            return self.constant(values)
        at = self.upto(0, len(channels) - 1)
        if kind < 0.6:
            channels[at] = 0
        elif kind < 0.68:
            channels[at] *= self.one([1e-30, 1e-12, 1e-6, 1e-4])
        elif kind < 0.76:
            channels[at] *= self.one([10.0, 50.0, 300.0])
        elif kind < 0.86:
            values *= self.rng.random(shape) < self.rng.random()
        elif kind < 0.88:
            values *= 0
        elif kind < 0.94:
            values = np.abs(values)
        else:
            values = np.rint(values * 8) / 8
        return self.constant(values)

    def bias(self, count: int) -> str:
        values = self.rng.normal(0, 0.5, count)
        kind = self.rng.random()
        if kind < 0.1:
            values *= 0
        elif kind < 0.2:
            values[self.upto(0, count - 1)] *= self.one([0.0, 1e-8, 20.0, 400.0])
        return self.constant(values)

    def network(self) -> Network:
        """What was drawn; its outputs are the tensors that nobody reads, and sometimes one that somebody does."""
        produced = [o for n in self.layers for o in n.outputs]
        outputs = [o for o in produced if o not in self.read and self.kinds.get(o) != "bool"]
        inner = [o for o in produced if o in self.read and o not in self.kinds]
        if inner and self.chance(0.1):
            outputs.append(self.one(inner))
        if len(outputs) > 1:
            outputs = [str(o) for o in self.rng.permutation(outputs)]
        network = Network(
            self.opset, tuple(self.inputs), tuple(outputs), tuple(self.layers), self.constants, self.shapes, self.kinds
        )
        return network.pruned()


def broadcasts(shape: Shape, to: Shape) -> bool:
    """Whether numpy broadcasts `shape` to exactly `to`."""
    padded = (1,) * (len(to) - len(shape)) + shape
    return len(shape) <= len(to) and all(a in (1, b) for a, b in zip(padded, to, strict=True))
