"""Quantized TensorFlow Lite networks: int8, uint8 or int16 activations, as LiteRT's reference kernels take them."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from tflite_models import Op, T, tflite_model

from networks.drawing import LARGEST, Drawing, Skip
from networks.network import Layer, Network
from pipeline.graph.tensor import Array, Shape

VERSIONS = {
    "FULLY_CONNECTED": 5, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "AVERAGE_POOL_2D": 3, "MAX_POOL_2D": 3,
    "TRANSPOSE_CONV": 3, "PRELU": 1, "RESHAPE": 1, "EXPAND_DIMS": 1, "SHAPE": 1, "RESIZE_NEAREST_NEIGHBOR": 3,
}  # fmt: skip
_EDGES = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}

Quant = tuple[float, int]


class LiteDrawing(Drawing):
    """`scales` maps a tensor to its scale or scales, its zero point and the axis of its scales."""

    def __init__(self, rng: np.random.Generator, dtype: str) -> None:
        super().__init__(rng, 0)
        self.dtype = dtype
        self.scales: dict[str, list[Any]] = {}

    def zero(self) -> int:
        """A zero point; int16 has none."""
        low, high = _EDGES[self.dtype]
        if self.dtype == "int16":
            return 0
        return int(self.one([low, high, self.upto(low, high), self.upto(low // 2 + high // 4, high // 2)]))

    def quant(self, unit: float) -> Quant:
        """A scale near `unit`, and a zero point."""
        return float(np.float32(unit * self.rng.uniform(0.6, 1.6))), self.zero()

    def quant_of(self, name: str) -> Quant:
        scale, zero, _ = self.scales[name]
        return float(scale), int(zero)

    def scale(self, name: str) -> float:
        return self.quant_of(name)[0]

    def add_quantized(self, shape: Shape) -> str:
        name = self.add_input(shape)
        self.scales[name] = [*self.quant(10 ** self.rng.uniform(-3, 0)), 0]
        return name

    def lite(
        self, op: str, inputs: Sequence[str], shape: Shape | list[Shape], quant: Quant | None, **attributes: Any
    ) -> str:
        """Append an operator whose outputs have `quant`; attributes are `options` and fields of that table."""
        shapes = shape if isinstance(shape, list) else [shape]
        if any(prod(s) > LARGEST or prod(s) == 0 or len(s) > 5 for s in shapes):
            raise Skip
        outputs = []
        for s in shapes:
            outputs.append(self.fresh())
            self.shapes[outputs[-1]] = tuple(s)
            if quant is not None:
                self.scales[outputs[-1]] = [*quant, 0]
        self.layers.append(Layer(op, tuple(inputs), tuple(outputs), attributes, "tflite"))
        self.read |= set(inputs)
        return outputs[0]

    def moved(self, op: str, inputs: Sequence[str], shape: Shape | list[Shape], **attributes: Any) -> str:
        """An operator that keeps the scale of the first activation among its inputs."""
        source = next(n for n in inputs if n in self.shapes)
        return self.lite(op, inputs, shape, self.quant_of(source), **attributes)

    def indices(self, values: Any) -> str:
        return self.constant(values, "int32")

    def stored(self, values: Array, scale: Any, zero: int = 0, axis: int = 0, dtype: str | None = None) -> str:
        """A constant of integers with a scale."""
        name = self.constant(values, dtype or self.dtype)
        self.scales[name] = [np.asarray(scale, np.float32).tolist(), zero, axis]
        return name

    def operand(self, shape: Shape, unit: float) -> str:
        """A constant operand of the activations' type."""
        low, high = _EDGES[self.dtype]
        return self.stored(self.rng.integers(low, high + 1, shape), *self.quant(unit))

    def network(self) -> Network:
        drawn = super().network()
        alive = {*drawn.inputs, *(o for n in drawn.layers for o in n.outputs)}
        kinds = {n: self.kinds.get(n, self.dtype) for n in alive}
        return Network(0, drawn.inputs, drawn.outputs, drawn.layers, drawn.constants, drawn.shapes, kinds, self.scales)


def flatbuffer(network: Network, observe: Sequence[str] = ()) -> bytes:
    """The network as a TFLite file, with `observe` as further outputs."""
    tensors: dict[str, T] = {}
    used = {*network.inputs, *(i for n in network.layers for i in (*n.inputs, *n.outputs))}
    for name in used - {""}:
        data = network.constants.get(name)
        scale, zero, axis = network.scales.get(name, [None, 0, 0])
        shape = network.shapes[name] if data is None else data.shape
        tensors[name] = T(shape, network.kinds[name] if data is None else data.dtype.name, scale, zero, axis, data)
    ops = []
    for layer in network.layers:
        fields = {k: v for k, v in layer.attributes.items() if k != "options"}
        version = VERSIONS.get(layer.op, 2)
        ops.append(Op(layer.op, layer.inputs, layer.outputs, layer.attributes.get("options"), fields, version))
    return tflite_model(tensors, ops, network.inputs, list(dict.fromkeys([*network.outputs, *observe])))


def samples(network: Network, rng: np.random.Generator, count: int) -> Mapping[str, Array]:
    """Integers: of the whole range, of a narrow one, and the extremes."""
    feeds = {}
    for name in network.inputs:
        low, high = _EDGES[network.kinds[name]]
        values = rng.integers(low, high + 1, (count, *network.shapes[name]))
        centre = int(rng.integers(low, high + 1))
        values[0] = np.clip(values[0] // 16 + centre, low, high)
        values[1] = rng.choice([low, high], network.shapes[name])
        feeds[name] = values.astype(network.kinds[name])
    return feeds
