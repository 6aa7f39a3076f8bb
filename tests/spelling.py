"""ONNX networks spelled step by step, of one dimension or two, and what chipfit makes of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from building import Built, build
from onnx import TensorProto, helper, numpy_helper

from pipeline.graph.ir import Graph
from pipeline.graph.onnx_export import float_model
from pipeline.graph.tensor import Array, Shape
from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.passes import canonical
from pipeline.quantizing.onnx_runtime import FloatSession


@dataclass
class Net:
    """A network being written; with `flat`, spatial tensors and kernels have one dimension, else a height of 1."""

    flat: bool
    shape: Shape
    channels: int = 3
    last: str = "x"
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(5)

    def sized(self, *values: int, default: int = 1) -> list[int]:
        """An attribute of spatial sizes."""
        return list(values) if self.flat else [v for x in values for v in (default, x)] if len(values) == 1 else [
            default, values[0], default, values[1]
        ]  # fmt: skip

    def random(self, *shape: int, low: float = -0.6, high: float = 0.6) -> str:
        # Multiples of a power of two: the same in whichever order they are multiplied.
        return self.constant(np.round(self.rng.uniform(low, high, shape) * 64) / 64)

    def constant(self, values: Any) -> str:
        name = f"c{len(self.constants)}"
        array = np.asarray(values)
        self.constants[name] = array.astype(np.float32) if array.dtype.kind == "f" else array
        return name

    def add(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        label = f"n{len(self.nodes)}"
        self.last = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs or [self.last], [self.last], name=label, **attributes))
        return self.last

    def then(self, op: str, *inputs: str, **attributes: Any) -> str:
        return self.add(op, self.last, *inputs, **attributes)

    def per_channel(self, low: float = -0.6, high: float = 0.6) -> str:
        return self.random(self.channels, *(1,) * (1 if self.flat else 2), low=low, high=high)

    def conv(self, out: int, width: int, stride: int = 1, pad: int = 0, groups: int = 1, op: str = "Conv") -> str:
        sizes = (out, self.channels // groups) if op == "Conv" else (self.channels, out)
        kernel = self.random(*sizes, *((width,) if self.flat else (1, width)))
        bias = self.random(out)
        self.channels = out
        return self.then(
            op, kernel, bias, strides=self.sized(stride), pads=self.sized(pad, pad, default=0), group=groups
        )

    def norm(self) -> str:
        values = [self.random(self.channels, low=low, high=1.0) for low in (0.2, -0.5, -0.3, 0.3)]
        return self.then("BatchNormalization", *values)

    def pool(self, op: str, width: int, pad: int = 0) -> str:
        sizes = {"kernel_shape": self.sized(width), "strides": self.sized(width)}
        return self.then(op, **sizes, pads=self.sized(pad, pad, default=0))

    def model(self) -> onnx.ModelProto:
        tensors = [numpy_helper.from_array(v, n) for n, v in self.constants.items()]
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)
        y = helper.make_tensor_value_info(self.last, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "net", [x], [y], tensors)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def relu(n: Net) -> None:
    n.conv(8, 5, stride=2)
    n.then("Relu")
    n.conv(6, 3, pad=1)
    n.then("Clip", n.constant(-1.0), n.constant(1.0))
    n.then("GlobalAveragePool")
    n.then("Flatten")
    n.then("Gemm", n.random(4, 6), n.random(4), transB=1)


def normalized(n: Net) -> None:
    n.norm()
    n.conv(4, 3)
    n.norm()
    n.then("Relu")
    n.pool("MaxPool", 2)
    n.then("Mul", n.per_channel(0.5, 2.0))
    n.conv(5, 3)
    n.then("Flatten")
    n.then("Gemm", n.random(3, 5 * 13), n.random(3), transB=1)


def residual(n: Net) -> None:
    n.conv(4, 3, pad=1)
    first = n.then("Relu")
    n.conv(4, 3, pad=1)
    n.norm()
    n.add("Add", n.last, first)
    n.then("Relu")
    n.pool("AveragePool", 2)
    n.conv(4, 3, groups=4)
    n.then("Clip", n.constant(0.0), n.constant(6.0))
    n.then("GlobalMaxPool")


def padded(n: Net) -> None:
    pads = [0, 0, 2, 0, 0, 1] if n.flat else [0, 0, 0, 2, 0, 0, 0, 1]
    n.then("Pad", n.constant(np.array(pads, np.int64)))
    n.conv(4, 4)
    n.then("PRelu", n.per_channel())
    n.conv(6, 2, groups=2)
    n.then("LeakyRelu", alpha=0.25)
    n.norm()
    n.pool("MaxPool", 3, pad=1)
    n.then("Relu")
    n.conv(3, 1)


def branches(n: Net) -> None:
    n.conv(4, 3, pad=1)
    source = n.then("Relu")
    left = n.conv(2, 3, pad=1)
    n.last, n.channels = source, 4
    right = n.conv(3, 1)
    n.add("Concat", left, right, axis=1)
    n.channels = 5
    n.then("Relu")
    n.conv(4, 3, op="ConvTranspose", stride=2)
    n.then("Add", n.per_channel())
    n.then("Relu")
    n.then("ReduceMean", axes=[2] if n.flat else [2, 3], keepdims=0)


NETWORKS: list[Callable[[Net], None]] = [relu, normalized, residual, padded, branches]


def written(write: Callable[[Net], None], flat: bool, length: int = 32) -> onnx.ModelProto:
    net = Net(flat, (1, 3, length) if flat else (1, 3, 1, length))
    write(net)
    return net.model()


def quantized(model: onnx.ModelProto, x: Array) -> Built:
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    samples = x.reshape(-1, *shape)
    return build(model, (samples,), (samples,))


def calls_of(built: Built) -> list[Any]:
    """Everything that the chip would execute, without the names of tensors."""
    graph = built.quantized.graph
    calls = [(c, graph.tensors[c.outputs[0]].quant) for node in graph.nodes for c in node.calls(graph)]
    return [
        (c.kernel, c.node, {k: np.asarray(v).tolist() for k, v in c.params.members()}, quant, c.in_place)
        for c, quant in calls
    ]


def same(ours: Built, theirs: Built) -> None:
    assert calls_of(ours) == calls_of(theirs)
    for a, b in zip(ours.expected, theirs.expected, strict=True):
        np.testing.assert_array_equal(a.reshape(len(a), -1), b.reshape(len(b), -1))


X = np.random.default_rng(1).normal(0, 1, (48, 3 * 32)).astype(np.float32)


def numbers(built: Built) -> list[Any]:
    """`calls_of` without the nodes' names."""
    return [(kernel, params, quant) for kernel, _, params, quant, _ in calls_of(built)]


def imported(model: onnx.ModelProto) -> Graph:
    """The canonical graph, which means what ONNX Runtime says of the file."""
    graph = canonical(graph_of(model, "net.onnx", "net"), "net.onnx")
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    x = X[:4].reshape(4, *shape)
    theirs = FloatSession(model).stacked({"x": x})
    ours = FloatSession(float_model(graph)).stacked({p.tensor: p.to_stored(x) for p in graph.inputs})
    for port in graph.outputs:
        expected = theirs[port.onnx_name]
        np.testing.assert_allclose(
            port.to_onnx(ours[port.tensor]), expected, rtol=1e-4, atol=1e-4 * abs(expected).max()
        )
    return graph


def long_chain(layers: int) -> Graph:
    """Relu, a constant factor and a layer whose weights all share, over and over."""
    net = Net(True, (4,))
    weights, factor = net.constant(np.eye(4)), net.constant(np.full(4, 1.0625))
    for _ in range(layers):
        net.then("Relu")
        net.then("Mul", factor)
        net.then("MatMul", weights)
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, 4)) for n in ("x", net.last)]
    tensors = [numpy_helper.from_array(v, n) for n, v in net.constants.items()]
    proto = helper.make_graph(net.nodes, "net", infos[:1], infos[1:], tensors)
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return graph_of(model, "net.onnx", "net")
