"""A float network written again with Q/DQ pairs, in the habits of PyTorch's PT2E and of ONNX Runtime's quantizer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from networks.network import Layer, Network
from networks.pointwise import COMPARE
from pipeline.graph.tensor import Array

MOVES = frozenset(
    "Reshape Flatten Squeeze Unsqueeze Identity Dropout Transpose Slice Split Gather MaxPool GlobalMaxPool Expand Tile "
    "DepthToSpace SpaceToDepth ReduceMax ReduceMin Trilu GatherElements GatherND ReverseSequence Compress".split()
)
"""Their outputs often share the scale of their input."""
ON_INTEGERS = frozenset("Reshape Flatten Squeeze Unsqueeze Transpose Slice Gather MaxPool".split())
WEIGHTED = {"Conv": 0, "ConvTranspose": 1, "Gemm": 1, "MatMul": 1}
"""The axis of the output channels in the weights; Gemm's with transB is 0."""
OPERANDS = frozenset("Add Sub Mul Div Max Min Sum Mean Concat".split())
FUSED = frozenset({"Relu", "Clip"})
PRODUCERS = frozenset("Conv ConvTranspose Gemm MatMul Add Sub Mul BatchNormalization AveragePool".split())


@dataclass(frozen=True)
class Params:
    """real = scale * (integer - zero)."""

    scale: float
    zero: int
    dtype: str

    def quantize(self, real: Array) -> Array:
        info = np.iinfo(self.dtype)
        scaled = np.rint(real.astype(np.float32) / np.float32(self.scale)).astype(np.float64) + self.zero
        return np.clip(scaled, info.min, info.max).astype(self.dtype)

    def dequantize(self, integers: Array) -> Array:
        return (integers.astype(np.float32) - np.float32(self.zero)) * np.float32(self.scale)


@dataclass(frozen=True)
class Habits:
    """How one tool writes: every choice that is made once for a whole file."""

    activations: str
    symmetric: bool
    weights: str
    per_channel: bool
    bias: str
    """float, or int32 with the scale of input times weights."""
    fuse: bool
    """No pair between a layer and the Relu or Clip behind it."""
    share: float
    """How many moves share their input's scale."""
    operands: str
    """Constant operands: float, dequantized, or a float constant through a pair."""
    raw: bool
    """Inputs and outputs of the file are integers."""
    integers: float
    """How many moves work on the integers."""
    left: float
    """How many tensors are left without a scale."""


def habits(rng: np.random.Generator) -> Habits:
    def one(*values: Any) -> Any:
        return values[int(rng.integers(len(values)))]

    activations = one("int8", "int8", "uint8", "uint8", "int16")
    return Habits(
        activations,
        symmetric=activations == "int16" or one(True, False, False),
        weights=one("int8", "int8", "int8", "uint8") if activations != "int16" else "int8",
        per_channel=one(True, False),
        bias=one("float", "int32"),
        fuse=one(True, True, False),
        share=one(0.0, 1.0, 0.7),
        operands=one("float", "dequantized", "pair"),
        raw=one(True, False, False),
        integers=one(0.0, 0.0, 0.5),
        left=one(0.0, 0.0, 0.0, 0.0, 0.1),
    )


class Writer:
    """Writes `network` with pairs; `params` says which activations have which."""

    def __init__(self, network: Network, values: Mapping[str, Array], h: Habits, rng: np.random.Generator) -> None:
        self.network, self.values, self.h, self.rng = network, values, h, rng
        self.layers: list[Layer] = []
        self.constants = dict(network.constants)
        self.shapes = dict(network.shapes)
        self.kinds = dict(network.kinds)
        self.readers: dict[str, list[Layer]] = {n: [] for n in network.shapes}
        for layer in network.layers:
            for name in layer.inputs:
                self.readers.setdefault(name, []).append(layer)
        self.params: dict[str, Params] = {}
        self.real: dict[str, str] = {}
        """What reads an activation reads: its name in the file."""
        self.written: dict[str, str] = {}
        self.count = 0

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    # Scales.
    def choose(self, name: str) -> Params:
        low, high = min(float(self.values[name].min()), 0.0), max(float(self.values[name].max()), 0.0)
        if self.chance(0.2):  # calibration data saw less
            low, high = low * self.rng.uniform(0.3, 1), high * self.rng.uniform(0.3, 1)
        info = np.iinfo(self.h.activations)
        if high - low < 1e-35:
            return Params(float(np.float32(1.0)), 0 if info.min else 128, self.h.activations)
        if self.h.symmetric:
            scale = np.float32(max(-low, high) / info.max if info.min else max(-low, high) / 127)
            return Params(float(max(scale, np.float32(1e-30))), 0 if info.min else 128, self.h.activations)
        scale = max(np.float32((high - low) / (int(info.max) - int(info.min))), np.float32(1e-30))
        zero = int(np.clip(np.rint(info.min - low / scale), info.min, info.max))
        return Params(float(scale), zero, self.h.activations)

    def settle(self) -> None:
        """Which tensors get a pair, and with which parameters."""
        for name in self.network.inputs:
            self.params[name] = self.choose(name)
        for layer in self.network.layers:
            for name in layer.outputs:
                after = self.readers.get(name, [])
                fused = (
                    self.h.fuse and layer.op in PRODUCERS and len(after) == 1 and after[0].op in FUSED
                    and name not in self.network.outputs
                )  # fmt: skip
                compared = any(n.op in ("Where", *COMPARE) for n in after)
                if name in self.kinds or fused or compared or self.chance(self.h.left):
                    continue
                source = self.params.get(layer.inputs[0])
                if layer.op in MOVES and source is not None and self.chance(self.h.share):
                    self.params[name] = source
                else:
                    self.params[name] = self.choose(name)

    # Writing.
    def emit(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.layers.append(Layer(op, tuple(inputs), (output,), attributes))
        return output

    def parameters(self, p: Params) -> list[str]:
        names = [f"scale{p.scale!r}", f"zero{p.zero}{p.dtype}"]
        self.constants[names[0]] = np.asarray(p.scale, np.float32)
        self.constants[names[1]] = np.asarray(p.zero, p.dtype)
        return names

    def quantized(self, name: str) -> str:
        return f"{name}.q"

    def read(self, name: str) -> str:
        """An activation as a float layer reads it: a DequantizeLinear of its own, or one for all."""
        if name not in self.params:
            return self.real.get(name, name)
        if name in self.real and self.chance(0.7):
            return self.real[name]
        self.count += 1
        dequantized = f"{name}.d{self.count}"
        self.shapes[dequantized] = self.shapes[name]
        self.real[name] = self.emit(
            "DequantizeLinear", [self.quantized(name), *self.parameters(self.params[name])], dequantized
        )
        return dequantized

    def pair(self, name: str, real: str) -> None:
        """A QuantizeLinear that makes the integers of `name` from the float tensor `real`."""
        q = self.quantized(name)
        self.shapes[q], self.kinds[q] = self.shapes[name], self.params[name].dtype
        self.emit("QuantizeLinear", [real, *self.parameters(self.params[name])], q)

    def weights(self, layer: Layer, name: str, axis: int) -> tuple[str, Array]:
        """Dequantized weights, and their scales."""
        w = self.network.constants[name]
        channels = self.h.per_channel and not (layer.op == "ConvTranspose" and layer.attributes.get("group", 1) > 1)
        others = tuple(i for i in range(w.ndim) if i != axis)
        along = others if channels else None
        low, high = np.minimum(w.min(axis=along), 0), np.maximum(w.max(axis=along), 0)
        if self.h.weights == "int8":
            scale = np.maximum(-low, high) / 127
            zero = np.zeros_like(scale)
        else:
            scale = (high - low) / 255
            zero = np.rint(-low / np.maximum(scale, 1e-30))
        scale = np.where(scale < 1e-30, 1.0 if self.h.bias == "int32" else 1.1920929e-07, scale).astype(np.float32)
        info = np.iinfo(self.h.weights)
        zero = np.clip(zero, info.min, info.max).astype(self.h.weights)
        spread = [-1 if i == axis else 1 for i in range(w.ndim)] if channels else []
        integers = np.rint(w / scale.reshape(spread)) + zero.reshape(spread).astype(np.float64)
        key = f"{name}.{self.h.weights}.{axis}"
        self.constants[key] = np.clip(integers, -127 if info.min else 0, info.max).astype(self.h.weights)
        self.constants[f"{key}.scale"], self.constants[f"{key}.zero"] = scale, zero
        if f"{key}.d" not in self.shapes:
            self.shapes[f"{key}.d"] = w.shape
            attributes = {"axis": axis} if channels else {}
            self.emit("DequantizeLinear", [key, f"{key}.scale", f"{key}.zero"], f"{key}.d", **attributes)
        return f"{key}.d", scale

    def bias(self, name: str, source: str, scale: Array) -> str:
        p = self.params.get(source)
        if self.h.bias == "float" or p is None:
            return name
        steps = (np.float32(p.scale) * scale).astype(np.float32)
        steps = np.where(steps > 0, steps, np.float32(1e-30)).astype(np.float32)
        self.count += 1
        key = f"{name}.int32.{self.count}"
        values = np.rint(self.network.constants[name].astype(np.float64) / steps)
        self.constants[key] = np.clip(values, -(2**31), 2**31 - 1).astype(np.int32)
        self.constants[f"{key}.scale"] = steps
        self.constants[f"{key}.zero"] = np.zeros(steps.shape, np.int32)
        self.shapes[f"{key}.d"] = self.network.constants[name].shape
        attributes = {"axis": 0} if steps.ndim else {}
        return self.emit("DequantizeLinear", [key, f"{key}.scale", f"{key}.zero"], f"{key}.d", **attributes)

    def operand(self, name: str) -> str:
        """A constant operand by the habit."""
        value = self.network.constants[name]
        if self.h.operands == "float" or value.dtype != np.float32:
            return name
        self.count += 1
        saved, self.values = self.values, {**self.values, name: value}
        p = self.choose(name)
        self.values = saved
        key = f"{name}.c{self.count}"
        self.shapes[f"{key}.d"] = value.shape
        if self.h.operands == "pair":
            self.shapes[key], self.kinds[key] = value.shape, p.dtype
            self.emit("QuantizeLinear", [name, *self.parameters(p)], key)
        else:
            self.constants[key] = p.quantize(value)
        return self.emit("DequantizeLinear", [key, *self.parameters(p)], f"{key}.d")

    def layer(self, layer: Layer) -> None:
        inputs = list(layer.inputs)
        constants = self.network.constants
        first = layer.inputs[0]
        same = first in self.params and all(self.params.get(o) == self.params[first] for o in layer.outputs)
        if layer.op in ON_INTEGERS and same and self.chance(self.h.integers) and self.h.activations != "int16":
            stored = [self.quantized(o) for o in layer.outputs]
            for o, q in zip(layer.outputs, stored, strict=True):
                self.shapes[q], self.kinds[q] = self.shapes[o], self.params[o].dtype
            self.layers.append(replace(layer, inputs=(self.quantized(first), *layer.inputs[1:]), outputs=tuple(stored)))
            return
        axis = WEIGHTED.get(layer.op)
        if axis is not None and len(inputs) > 1 and inputs[1] in constants:
            if layer.attributes.get("transB"):
                axis = 0
            if layer.op == "MatMul":
                axis = constants[inputs[1]].ndim - 1
            inputs[0] = self.read(first)
            inputs[1], scale = self.weights(layer, layer.inputs[1], axis)
            plain = not {"alpha", "beta"} & set(layer.attributes)
            if len(inputs) > 2 and inputs[2] and plain and constants[inputs[2]].ndim == 1:
                sizes = constants[inputs[2]].size
                if scale.ndim == 0 or scale.size == sizes:
                    inputs[2] = self.bias(layer.inputs[2], first, scale)
        else:
            for i, name in enumerate(layer.inputs):
                if name in constants and layer.op in OPERANDS:
                    inputs[i] = self.operand(name)
                elif name and name not in constants:
                    inputs[i] = self.read(name)
        outputs = [f"{o}.f" if o in self.params else o for o in layer.outputs]
        for o, f in zip(layer.outputs, outputs, strict=True):
            self.shapes[f] = self.shapes[o]
        self.layers.append(replace(layer, inputs=tuple(inputs), outputs=tuple(outputs)))
        for o, f in zip(layer.outputs, outputs, strict=True):
            if o in self.params:
                self.pair(o, f)

    def network_of(self) -> tuple[Network, dict[str, Params]]:
        """The network, and the parameters of its integer inputs and outputs."""
        self.settle()
        inputs, ports = [], {}
        for name in self.network.inputs:
            if self.h.raw:
                q = self.quantized(name)
                self.shapes[q], self.kinds[q] = self.shapes[name], self.params[name].dtype
                inputs.append(q)
                ports[q] = self.params[name]
            else:
                inputs.append(name)
                self.pair(name, name)
        for layer in self.network.layers:
            self.layer(layer)
        outputs = []
        for name in self.network.outputs:
            if name in self.params and self.h.raw:
                outputs.append(self.quantized(name))
                ports[outputs[-1]] = self.params[name]
            else:
                outputs.append(self.read(name))
        network = Network(
            self.network.opset, tuple(inputs), tuple(outputs), tuple(self.layers), self.constants, self.shapes,
            self.kinds,
        )  # fmt: skip
        return network.pruned(), ports


def in_range(ports: Mapping[str, Params], network: Network, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """The float samples as the quantized file takes them."""
    stored = {}
    for name in network.inputs:
        source = name.removesuffix(".q")
        stored[name] = ports[name].quantize(feeds[source]) if name in ports else feeds[source]
    return stored
