"""What is one network is one result, however its file spells it; and folds in front of linear layers are exact."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import onnx
import pytest
from building import Built, assert_chip_equals, build, on_chip, write_library
from conftest import some
from onnx import TensorProto, helper, numpy_helper

from pipeline.graph.ir import Graph
from pipeline.graph.onnx_export import float_model
from pipeline.graph.tensor import Array, Shape
from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.passes import PASSES, canonical
from pipeline.importing.passes.editing import Editing
from pipeline.ops.affine import Affine
from pipeline.ops.shared.linear import Linear
from pipeline.quantizing.onnx_runtime import FloatOracle


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


def said(built: Built) -> list[Any]:
    """Everything that the chip would execute, without the names of tensors."""
    graph = built.quantized.graph
    calls = [(c, graph.tensors[c.outputs[0]].quant) for node in graph.nodes for c in node.calls(graph)]
    return [
        (c.kernel, c.node, c.params, {k: v.tolist() for k, v in c.tables.items()}, quant, c.in_place)
        for c, quant in calls
    ]


def same(ours: Built, theirs: Built) -> None:
    assert said(ours) == said(theirs)
    for a, b in zip(ours.expected, theirs.expected, strict=True):
        np.testing.assert_array_equal(a.reshape(len(a), -1), b.reshape(len(b), -1))


X = np.random.default_rng(1).normal(0, 1, (48, 3 * 32)).astype(np.float32)


@pytest.mark.parametrize("write", NETWORKS)
def test_one_dimension_is_two_of_height_one(write: Callable[[Net], None]) -> None:
    same(quantized(written(write, True), X), quantized(written(write, False), X))


@pytest.mark.exhaustive
@pytest.mark.parametrize("write", NETWORKS)
def test_one_dimension_takes_the_cycles_of_two(write: Callable[[Net], None], tmp_path: Path) -> None:
    totals = []
    for flat in (True, False):
        made = quantized(written(write, flat), X)
        runs = on_chip(made, write_library(made, tmp_path / str(flat), "cortex-m0"), "cortex-m0", count=2)
        assert_chip_equals(made, runs)
        totals.append(runs[0].total)
    assert totals[0] == totals[1]


def spelled(*steps: Any) -> Callable[[Net], None]:
    """A convolution, `steps` (an operator and its constants, or a function of the network), and a dense layer."""

    def write(n: Net) -> None:
        n.conv(4, 3)
        for step in steps:
            if callable(step):
                step(n)
            else:
                n.then(step[0], *(n.constant(v) for v in step[1:]))
        n.then("Flatten")
        size = 4 * 30
        n.then("Gemm", n.constant(np.linspace(-1, 1, 5 * size).reshape(5, size)), transB=1)

    return write


def turned(perm: list[int]) -> Callable[[Net], None]:
    return lambda n: n.then("Transpose", perm=perm) and None


FACTOR, OFFSET = np.array([0.5, 2.0, 1.0, 0.25]), np.array([-0.5, 0.25, 0.0, 1.0])
UNIT = (np.zeros(4), 1.0 - np.full(4, 1e-5))
SPELLINGS: dict[str, tuple[Callable[[Net], None], Callable[[Net], None]]] = {
    "Relu behind a Flatten": (spelled(["Relu"]), spelled(["Flatten"], ["Relu"])),
    "Relu behind a Reshape": (spelled(["Relu"]), spelled(["Reshape", np.array([1, 2, -1])], ["Relu"])),
    "Relu between Transposes": (spelled(["Relu"]), spelled(turned([0, 2, 1, 3]), ["Relu"], turned([0, 2, 1, 3]))),
    "Relu behind a pool": (
        spelled(["Relu"], lambda n: n.then("MaxPool", kernel_shape=[1, 1]) and None),
        spelled(lambda n: n.then("MaxPool", kernel_shape=[1, 1]) and None, ["Relu"]),
    ),
    "Transposes": (spelled(), spelled(turned([0, 3, 1, 2]), turned([0, 2, 3, 1]))),
    "Relu6": (spelled(["Clip", 0.0, 6.0]), spelled(["Max", 0.0], ["Min", 6.0])),
    "Relu6 the other way": (spelled(["Clip", 0.0, 6.0]), spelled(["Min", 6.0], ["Relu"])),
    "BatchNormalization": (
        spelled(["BatchNormalization", FACTOR, OFFSET, *UNIT]),
        spelled(["Mul", FACTOR.reshape(4, 1, 1)], ["Add", OFFSET.reshape(4, 1, 1)]),
    ),
    "BatchNormalization behind Relu": (
        spelled(["Relu"], ["BatchNormalization", FACTOR, OFFSET, *UNIT]),
        spelled(["Relu"], ["Mul", FACTOR.reshape(4, 1, 1)], ["Add", OFFSET.reshape(4, 1, 1)]),
    ),
    "BatchNormalization that stays": (
        spelled(["Relu"], ["BatchNormalization", FACTOR, OFFSET, *UNIT], ["Tanh"]),
        spelled(["Relu"], ["Mul", FACTOR.reshape(4, 1, 1)], ["Add", OFFSET.reshape(4, 1, 1)], ["Tanh"]),
    ),
    "Sub and Div": (
        spelled(["Relu"], ["Add", OFFSET.reshape(4, 1, 1)], ["Mul", FACTOR.reshape(4, 1, 1)]),
        spelled(["Relu"], ["Sub", -OFFSET.reshape(4, 1, 1)], ["Div", 1 / FACTOR.reshape(4, 1, 1)]),
    ),
}


def numbers(built: Built) -> list[Any]:
    """What `said` says without the nodes' names."""
    return [(kernel, params, tables, quant) for kernel, _, params, tables, quant, _ in said(built)]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spellings_of_one_network_are_one_result(spelling: str) -> None:
    ours, theirs = (quantized(written(write, False), X) for write in SPELLINGS[spelling])
    assert numbers(ours) == numbers(theirs)
    np.testing.assert_array_equal(ours.expected[0], theirs.expected[0])


def test_a_matrix_and_an_offset_are_a_gemm() -> None:
    def dense(gemm: bool) -> Callable[[Net], None]:
        def write(n: Net) -> None:
            n.then("Flatten")
            matrix, offset = n.random(96, 6), n.random(6)
            if gemm:
                n.then("Gemm", matrix, offset)
            else:
                n.then("MatMul", matrix)
                n.then("Add", offset)

        return write

    ours, theirs = (quantized(written(dense(g), False), X) for g in (True, False))
    assert numbers(ours) == numbers(theirs)


def imported(model: onnx.ModelProto) -> Graph:
    """The canonical graph, which means what ONNX Runtime says of the file."""
    graph = canonical(graph_of(model, "net.onnx", "net"), "net.onnx")
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    x = X[:4].reshape(4, *shape)
    theirs = FloatOracle(model).stacked({"x": x})
    ours = FloatOracle(float_model(graph)).stacked({p.tensor: p.to_stored(x) for p in graph.inputs})
    for port in graph.outputs:
        expected = theirs[port.onnx_name]
        np.testing.assert_allclose(
            port.to_onnx(ours[port.tensor]), expected, rtol=1e-4, atol=1e-4 * abs(expected).max()
        )
    return graph


def affines(graph: Graph) -> int:
    return sum(isinstance(n, Affine) for n in graph.nodes)


def scaled(behind: Callable[[Net], Any], factor: Any = (0.5, -2.0, 1.0), offset: Any = None) -> onnx.ModelProto:
    """A factor and an offset per channel of the input, and what reads the result."""

    def write(n: Net) -> None:
        n.then("Mul", n.constant(np.reshape(factor, (-1, 1, 1))))
        if offset is not None:
            n.then("Add", n.constant(np.reshape(offset, (-1, 1, 1))))
        behind(n)

    return written(write, False)


def two_readers(n: Net) -> None:
    source = n.last
    left = n.conv(2, 3)
    n.last, n.channels = source, 3
    right = n.conv(2, 3)
    n.add("Add", left, right)


def flattened(n: Net) -> None:
    n.then("Flatten")
    n.then("Gemm", n.random(96, 5))


FOLDED = {
    "convolution": (lambda n: n.conv(4, 3), (-1.0, 0.5, 0.25)),
    "padded, no offset": (lambda n: n.conv(4, 3, pad=1), None),
    "grouped": (lambda n: n.conv(6, 3, groups=3), (-1.0, 0.5, 0.25)),
    "transposed": (lambda n: n.conv(2, 3, stride=2, op="ConvTranspose"), None),
    "two readers": (two_readers, (-1.0, 0.5, 0.25)),
    "flattened": (flattened, (-1.0, 0.5, 0.25)),
    "averaged": (lambda n: (n.pool("AveragePool", 2), n.conv(4, 3)), (-1.0, 0.5, 0.25)),
    "summed": (lambda n: (n.then("ReduceSum", n.constant(np.array([2, 3]))), n.conv(4, 1)), (-1.0, 0.5, 0.25)),
    "padded before": (lambda n: (n.then("Pad", n.constant(np.array([0, 0, 0, 1] * 2))), n.conv(4, 3)), None),
}


@pytest.mark.parametrize("case", FOLDED)
def test_an_affine_folds_into_the_linear_layers_behind_it(case: str) -> None:
    behind, offset = FOLDED[case]
    assert affines(imported(scaled(behind, offset=offset))) == 0


def test_one_value_passes_a_padding_with_another_value() -> None:
    pads = np.array([0, 0, 0, 2, 0, 0, 0, 1])
    model = scaled(lambda n: (n.then("Pad", n.constant(pads), n.constant(0.75)), n.conv(4, 3)), 0.5, 0.25)
    assert affines(imported(model)) == 0


def test_positive_scales_pass_a_maximum_and_negative_ones_do_not() -> None:
    for factor, left in ((0.5, 2.0, 1.0), 0), ((0.5, -2.0, 1.0), 1):
        model = scaled(lambda n: (n.pool("MaxPool", 2), n.conv(4, 3)), factor, (-1.0, 0.5, 0.25))
        assert affines(imported(model)) == left


@pytest.mark.parametrize(
    "behind",
    [
        lambda n: n.conv(4, 3, pad=1),
        lambda n: (n.then("Relu"), n.conv(4, 3)),
        lambda n: (n.then("Pad", n.constant(np.array([0, 0, 0, 1] * 2))), n.conv(4, 3)),
        lambda n: n.add("Add", n.conv(3, 1), "t1"),
        lambda n: n.conv(2, 3, stride=2, op="ConvTranspose"),
    ],
    ids=["padding", "nonlinear", "zeros around", "another reader", "zeros between"],
)
def test_an_offset_stays_where_it_cannot_be_said_exactly(behind: Callable[[Net], Any]) -> None:
    assert affines(imported(scaled(behind, offset=(-1.0, 0.5, 0.25)))) == 1


def test_weights_that_another_layer_shares_are_not_stored_twice() -> None:
    def write(n: Net) -> None:
        kernel = n.random(3, 3, 1, 1)
        n.then("Conv", kernel)
        n.then("Relu")
        n.then("Mul", n.constant(np.array([0.5, 2.0, 1.0]).reshape(3, 1, 1)))
        n.then("Conv", kernel)

    graph = imported(written(write, False))
    assert affines(graph) == 1
    assert len({graph.constant(n.weights).tobytes() for n in graph.nodes if isinstance(n, Linear)}) == 1


def test_a_fold_never_overflows_and_never_buries_an_input() -> None:
    huge = scaled(lambda n: n.then("Conv", n.constant(np.full((2, 3, 1, 1), 3e38))), (2.0, 1.0, 1.0))
    with np.errstate(over="ignore"):
        assert affines(canonical(graph_of(huge, "net.onnx", "net"), "net.onnx")) == 1
    unlike = (1e-3, 1.0, 300.0)
    assert affines(imported(scaled(lambda n: n.conv(4, 3), unlike))) == 1, "what makes channels alike stays in front"
    kernel = np.random.default_rng(2).normal(0, 1, (4, 3, 1, 1)) / np.reshape(unlike, (3, 1, 1))
    assert affines(imported(scaled(lambda n: n.then("Conv", n.constant(kernel)), unlike))) == 0


def test_a_scale_that_the_file_prescribes_between_stays() -> None:
    def write(n: Net) -> None:
        n.then("Relu")
        n.then("Mul", n.constant(np.array([0.5, 2.0, 1.0]).reshape(3, 1, 1)))
        pair = (n.constant(0.05), n.constant(np.int8(0)))
        n.then("QuantizeLinear", *pair)
        n.then("DequantizeLinear", *pair)
        n.conv(4, 1)

    graph = canonical(graph_of(written(write, False), "net.onnx", "net"), "net.onnx")
    assert affines(graph) == 1


def branched(n: Net) -> None:
    source, channels = n.last, n.channels
    left = n.conv(2, 3, pad=1)
    n.last, n.channels = source, channels
    right = n.conv(3, 1)
    n.add("Concat", left, right, axis=1)
    n.channels = 5


STEPS: list[Callable[[Net], Any]] = [
    lambda n: n.conv(int(n.rng.integers(2, 6)), int(n.rng.integers(1, 4)), pad=int(n.rng.integers(0, 2))),
    lambda n: n.then("Relu"),
    lambda n: n.norm(),
    lambda n: n.pool("MaxPool", 2),
    lambda n: n.then("Mul", n.per_channel(0.3, 2.0)),
    lambda n: n.then("Add", n.per_channel()),
    lambda n: n.then("Clip", n.constant(-1.0), n.constant(2.0)),
    lambda n: n.pool("AveragePool", 2),
    lambda n: n.conv(n.channels, 2, groups=n.channels),
    lambda n: n.add("Add", n.last, n.then("Relu")),
    lambda n: n.then("PRelu", n.per_channel()),
    lambda n: n.then("Tanh"),
    branched,
]
ENDS: list[Callable[[Net], Any]] = [
    lambda n: (n.then("GlobalAveragePool"), n.then("Flatten")),
    lambda n: (n.then("Flatten"), n.then("Relu")),
    lambda n: (n.then("GlobalMaxPool"), n.norm(), n.then("Flatten"), n.then("Gemm", n.random(n.channels, 3))),
    lambda n: n.then("Tanh"),
]


def randomly(seed: int) -> Callable[[Net], None]:
    def write(n: Net) -> None:
        n.rng = np.random.default_rng(seed)
        for step in n.rng.integers(0, len(STEPS), n.rng.integers(2, 9)):
            STEPS[step](n)
        ENDS[n.rng.integers(0, len(ENDS))](n)

    return write


@pytest.mark.parametrize(
    "seeds", [range(8), pytest.param(range(8, 250), marks=pytest.mark.exhaustive)], ids=["a few", "many"]
)
def test_random_networks_of_one_dimension_are_those_of_two(seeds: range) -> None:
    for seed in some(seeds):
        models = [written(randomly(seed), flat) for flat in (True, False)]
        for model in models:
            imported(model)
        ours, theirs = (quantized(m, X) for m in models)
        assert numbers(ours) == numbers(theirs), f"seed {seed}"
        np.testing.assert_array_equal(ours.expected[0].reshape(48, -1), theirs.expected[0].reshape(48, -1))


def test_a_mean_over_axes_that_fall_apart_when_channels_are_last_is_taken_as_the_file_lies() -> None:
    def write(n: Net) -> None:
        n.conv(4, 3)
        n.then("ReduceMean", axes=[1, 2], keepdims=0)

    imported(written(write, False))
    net = Net(False, (1, 3, 6, 6))
    net.conv(4, 1)
    net.then("ReduceMean", axes=[1, 2], keepdims=0)
    canonical(graph_of(net.model(), "net.onnx", "net"), "net.onnx")


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


def test_passes_take_steps_in_proportion_to_the_layers() -> None:
    """Calls of Python functions, which are the same on every machine."""
    counts = []
    for layers in (60, 180):
        graph, calls = long_chain(layers), 0

        def called(frame: FrameType, event: str, argument: Any) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        before = sys.getprofile()
        sys.setprofile(called)
        try:
            for step in PASSES:
                graph = step(graph)
        finally:
            sys.setprofile(before)
        counts.append(calls)
    assert counts[1] < 3.5 * counts[0]


def test_layers_of_equal_weights_are_known_while_layers_change() -> None:
    editing = Editing(canonical(long_chain(3), "net.onnx"))
    slots = [at for at, n in enumerate(editing.nodes) if isinstance(n, Linear)]
    first = editing.node(slots[0])
    assert isinstance(first, Linear)
    alike = {
        at for at in slots if np.array_equal(editing.data(editing.node(at).inputs[1]), editing.data(first.weights))
    }
    assert editing.sharers(first) == alike and len(alike) > 1
    other = editing.constant("other", editing.data(first.weights) + 1)
    editing.put(slots[0], first.renamed({first.weights: other}))
    assert editing.sharers(first) == alike - {slots[0]}
    changed = editing.node(slots[0])
    assert isinstance(changed, Linear)
    assert editing.sharers(changed) == {slots[0]}
