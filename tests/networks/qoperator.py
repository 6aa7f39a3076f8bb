"""A float network written again with quantized operators, and those said as what they mean: DQ, float operator, Q."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from networks.network import Layer, Network
from networks.qdq import WEIGHTED, Writer
from pipeline.importing.onnx_qoperator import MICROSOFT

BINARY = {"Add": "QLinearAdd", "Mul": "QLinearMul"}
UNARY = {
    "AveragePool": "QLinearAveragePool", "GlobalAveragePool": "QLinearGlobalAveragePool",
    "LeakyRelu": "QLinearLeakyRelu", "Sigmoid": "QLinearSigmoid", "Softmax": "QLinearSoftmax",
}  # fmt: skip


class OperatorWriter(Writer):
    """Writes a layer with quantized inputs and outputs as a quantized operator, where there is one."""

    def layer(self, layer: Layer) -> None:
        operator = None
        if all(o in self.params for o in layer.outputs) and layer.inputs[0] in {*self.params, *self.network.constants}:
            operator = self.operator(layer)
        if operator is None:
            super().layer(layer)
            return
        for o in layer.outputs:
            q = self.quantized(o)
            self.shapes[q], self.kinds[q] = self.shapes[o], self.params[o].dtype
        self.layers.append(operator)

    def operator(self, layer: Layer) -> Layer | None:
        y = [self.quantized(layer.outputs[0])]
        behind = self.parameters(self.params[layer.outputs[0]])
        constants, inputs = self.network.constants, layer.inputs
        if layer.op in WEIGHTED and layer.op != "ConvTranspose" and len(inputs) > 1 and inputs[1] in constants:
            return self.weighted(layer, y, behind)
        if layer.op in BINARY and self.network.opset >= 13:
            sides = [side for n in inputs for side in self.side(n)]
            return Layer(BINARY[layer.op], (*sides, *behind), tuple(y), {}, MICROSOFT)
        if layer.op == "Concat":
            sides = [side for n in inputs for side in self.side(n)]
            return Layer("QLinearConcat", (*behind, *sides), tuple(y), layer.attributes, MICROSOFT)
        if layer.op in UNARY and "dilations" not in layer.attributes:
            attributes = dict(layer.attributes)
            if layer.op == "Softmax":
                attributes |= {"opset": 13, "axis": attributes.get("axis", -1)}
            return Layer(UNARY[layer.op], (*self.side(inputs[0]), *behind), tuple(y), attributes, MICROSOFT)
        return None

    def side(self, name: str) -> list[str]:
        """Integers, scale and zero point of an operand, constant or not."""
        if name in self.params:
            return [self.quantized(name), *self.parameters(self.params[name])]
        if name not in self.network.constants:  # a tensor without a scale
            p = self.choose(name)
            q = f"{name}.own{len(self.layers)}"
            self.shapes[q], self.kinds[q] = self.shapes[name], p.dtype
            self.emit("QuantizeLinear", [self.real.get(name, name), *self.parameters(p)], q)
            return [q, *self.parameters(p)]
        value = self.network.constants[name]
        saved, self.values = self.values, {**self.values, name: value}
        p = self.choose(name)
        self.values = saved
        self.count += 1
        key = f"{name}.c{self.count}"
        self.constants[key] = p.quantize(value)
        return [key, *self.parameters(p)]

    def weighted(self, layer: Layer, y: list[str], behind: list[str]) -> Layer | None:
        constants, inputs = self.network.constants, layer.inputs
        axis = WEIGHTED[layer.op]
        if layer.attributes.get("transB"):
            axis = 0
        elif layer.op == "MatMul":
            axis = constants[inputs[1]].ndim - 1
        x = self.params.get(inputs[0])
        if x is None or "beta" in layer.attributes:
            return None
        count = len(self.layers)
        name, scale = self.weights(layer, inputs[1], axis)
        if len(self.layers) > count:  # the DequantizeLinear that a Q/DQ file has
            self.layers.pop()
            del self.shapes[name]
        key = name.removesuffix(".d")
        three = [key, f"{key}.scale", f"{key}.zero"]
        bias: list[str] = []
        if len(inputs) > 2 and inputs[2]:
            if constants[inputs[2]].ndim != 1 or (scale.ndim and scale.size != constants[inputs[2]].size):
                return None
            steps = np.maximum(np.float32(x.scale) * scale, np.float32(1e-30)) * layer.attributes.get("alpha", 1.0)
            values = np.clip(np.rint(constants[inputs[2]] / steps), -(2**31) + 1, 2**31 - 1)
            self.count += 1
            bias = [f"{inputs[2]}.b{self.count}"]
            self.constants[bias[0]] = values.astype(np.int64).astype(np.int32)
        first = self.side(inputs[0])
        if layer.op == "Conv":
            return Layer("QLinearConv", (*first, *three, *behind, *bias), tuple(y), layer.attributes)
        if layer.op == "MatMul":
            return Layer("QLinearMatMul", (*first, *three, *behind), tuple(y))
        return Layer("QGemm", (*first, *three, *(bias or [""]), *behind), tuple(y), layer.attributes, MICROSOFT)


class _Plain:
    """Layers of float operators between Q and DQ, in the meaning of ONNX's and ONNX Runtime's specifications."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.layers: list[Layer] = []
        self.constants = dict(network.constants)
        self.shapes = dict(network.shapes)
        self.count = 0

    def real(self, three: tuple[str, ...], axis: int | None = None) -> str:
        self.count += 1
        dequantized = f"{three[0]}.plain{self.count}"
        stored = self.network.constants.get(three[0])
        self.shapes[dequantized] = self.network.shapes[three[0]] if stored is None else stored.shape
        channels = self.network.constants[three[1]].size > 1 and axis is not None
        self.layers.append(Layer("DequantizeLinear", three, (dequantized,), {"axis": axis} if channels else {}))
        return dequantized

    def say(
        self, layer: Layer, op: str, inputs: list[str], behind: tuple[str, ...], attributes: Mapping[str, object]
    ) -> None:
        y = layer.outputs[0]
        float_name = f"{y}.plain"
        self.shapes[float_name] = self.network.shapes[y]
        self.layers.append(Layer(op, tuple(inputs), (float_name,), attributes))
        self.layers.append(Layer("QuantizeLinear", (float_name, *behind), (y,)))

    def bias(self, layer: Layer, at: int, scales: tuple[int, int]) -> list[str]:
        if len(layer.inputs) <= at or not layer.inputs[at]:
            return []
        k = self.network.constants
        integers, x, w = (k[layer.inputs[i]].astype(np.float64) for i in (at, *scales))
        steps = x * w * (layer.attributes.get("alpha", 1.0) if layer.op == "QGemm" else 1.0)
        self.count += 1
        name = f"{layer.inputs[at]}.plain{self.count}"
        self.constants[name] = np.asarray(integers * steps, np.float32)
        return [name]

    def conv(self, n: Layer) -> None:
        inputs = [self.real(n.inputs[:3]), self.real(n.inputs[3:6], 0), *self.bias(n, 8, (1, 4))]
        self.say(n, "Conv", inputs, n.inputs[6:8], n.attributes)

    def matmul(self, n: Layer) -> None:
        axis = self.network.constants[n.inputs[3]].ndim - 1
        self.say(n, "MatMul", [self.real(n.inputs[:3]), self.real(n.inputs[3:6], axis)], n.inputs[6:8], {})

    def gemm(self, n: Layer) -> None:
        axis = 0 if n.attributes.get("transB") else 1
        inputs = [self.real(n.inputs[:3]), self.real(n.inputs[3:6], axis), *self.bias(n, 6, (1, 4))]
        self.say(n, "Gemm", inputs, n.inputs[7:9], n.attributes)

    def binary(self, n: Layer) -> None:
        op = {v: k for k, v in BINARY.items()}[n.op]
        self.say(n, op, [self.real(n.inputs[:3]), self.real(n.inputs[3:6])], n.inputs[6:8], {})

    def unary(self, n: Layer) -> None:
        op = {v: k for k, v in UNARY.items()}[n.op]
        attributes = {k: v for k, v in n.attributes.items() if k != "opset"}
        self.say(n, op, [self.real(n.inputs[:3])], n.inputs[3:5], attributes)

    def concat(self, n: Layer) -> None:
        parts = [self.real(n.inputs[i : i + 3]) for i in range(2, len(n.inputs), 3)]
        self.say(n, "Concat", parts, n.inputs[:2], n.attributes)


_MEANINGS: Mapping[str, Callable[[_Plain, Layer], None]] = {
    "QLinearConv": _Plain.conv, "QLinearMatMul": _Plain.matmul, "QGemm": _Plain.gemm, "QLinearConcat": _Plain.concat,
    **dict.fromkeys(BINARY.values(), _Plain.binary), **dict.fromkeys(UNARY.values(), _Plain.unary),
}  # fmt: skip


def plain(network: Network) -> Network:
    """The network with float operators between Q and DQ for its quantized ones."""
    writer = _Plain(network)
    for layer in network.layers:
        if layer.op in _MEANINGS:
            _MEANINGS[layer.op](writer, layer)
        else:
            writer.layers.append(layer)
    return replace(network, layers=tuple(writer.layers), constants=writer.constants, shapes=writer.shapes)
