"""What exporters leave in ONNX files: unread outputs, sparse and four-bit constants, NaN, matrices on the left."""

from typing import Any

import numpy as np
import onnx
import pytest
from building import Built, build
from onnx import NodeProto, TensorProto, helper, numpy_helper

from pipeline.facts.errors import ChipfitError
from pipeline.graph.tensor import Array
from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.onnx_qoperator import MICROSOFT
from pipeline.quantizing.calibrate import Policy
from pipeline.quantizing.onnx_runtime import FloatSession

F, I4, U4 = TensorProto.FLOAT, TensorProto.INT4, TensorProto.UINT4
RNG = np.random.default_rng(3)
W = RNG.normal(0, 1, (6, 4)).astype(np.float32)
NAN = float("nan")
node = helper.make_node


def model_of(
    nodes: list[NodeProto],
    x: list[int],
    y: list[int],
    constants: dict[str, Any] | None = None,
    *,
    opset: int = 17,
    tensors: tuple[onnx.TensorProto, ...] = (),
    sparse: tuple[onnx.SparseTensorProto, ...] = (),
) -> onnx.ModelProto:
    """x of shape `x` to y of shape `y`."""
    initializers = [*(numpy_helper.from_array(np.asarray(v), n) for n, v in (constants or {}).items()), *tensors]
    infos = [[helper.make_tensor_value_info(n, F, shape)] for n, shape in (("x", x), ("y", y))]
    graph = helper.make_graph(nodes, "net", *infos, initializers, sparse_initializer=sparse)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def near(model: onnx.ModelProto, steps: float = 2.5) -> Built:
    """The integer network, within `steps` of ONNX Runtime."""
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(3).uniform(-2, 2, (64, *shape)).astype(np.float32)
    net = build(model, (x,), (x,), "multiplier", Policy("min-max"))
    (port,) = net.quantized.graph.outputs
    quant = net.quantized.graph.tensors[port.tensor].quant
    assert quant is not None
    theirs = FloatSession(model).stacked({"x": x})["y"]
    assert np.abs(port.to_onnx(quant.dequantize(net.expected[0])) - theirs).max() <= steps * quant.scale[0]
    return net


def refused(model: onnx.ModelProto) -> str:
    with pytest.raises(ChipfitError) as error:
        graph_of(model, "net.onnx", "net")
    return str(error.value)


@pytest.mark.parametrize("shape", [(5, 4), (5,), (1, 5, 4), (1, 2, 5, 3)])
def test_a_constant_matrix_on_the_left_is_a_layer(shape: tuple[int, ...]) -> None:
    matrix = RNG.normal(0, 0.5, (7, 5)).astype(np.float32)
    output_shape = list(np.matmul(matrix, np.zeros(shape)).shape)
    net = near(model_of([node("MatMul", ["w", "x"], ["y"])], list(shape), output_shape, {"w": matrix}))
    assert [type(n).__name__ for n in net.graph.nodes].count("Dense") == 1


def test_a_prescribed_matrix_on_the_left_keeps_its_integers() -> None:
    integers = RNG.integers(-127, 128, (7, 5)).astype(np.int8)
    constants = {"i": integers, "s": RNG.uniform(0.002, 0.01, 7).astype(np.float32), "z": np.zeros(7, np.int8)}
    nodes = [node("DequantizeLinear", ["i", "s", "z"], ["w"], axis=0), node("MatMul", ["w", "x"], ["y"])]
    net = near(model_of(nodes, [1, 5, 4], [1, 7, 4], constants))
    kept = [t.data for t in net.quantized.graph.tensors.values() if t.data is not None and t.shape == (7, 5)]
    np.testing.assert_array_equal(kept[0], integers)


def test_a_product_of_two_activations_is_refused_with_a_remedy_that_works() -> None:
    layer = node("MatMul", ["x", "w"], ["q"])
    weights = {"w": RNG.normal(0, 0.5, (8, 8)).astype(np.float32)}
    nodes = [layer, node("Transpose", ["x"], ["k"], perm=[0, 2, 1]), node("MatMul", ["q", "k"], ["y"], name="m")]
    assert refused(model_of(nodes, [1, 4, 8], [1, 4, 4], weights)) == (
        "net.onnx: MatMul node 'm': a product of two activations, as in attention, is not supported. "
        "Hint: Write it as a product of elements and a sum (Unsqueeze, Mul, ReduceSum), or use layers with weights."
    )
    nodes = [
        layer,
        node("Unsqueeze", ["q", "two"], ["q2"]),
        node("Unsqueeze", ["x", "one"], ["k2"]),
        node("Mul", ["q2", "k2"], ["p"]),
        node("ReduceSum", ["p", "three"], ["y"], keepdims=0),
    ]
    axes = {"one": np.array([1]), "two": np.array([2]), "three": np.array([3])}
    near(model_of(nodes, [1, 4, 8], [1, 4, 4], weights | axes), 4)


@pytest.mark.parametrize(
    ("operator", "constants", "message"),
    [
        (node("LeakyRelu", ["x"], ["y"], name="n", alpha=NAN), {}, "LeakyRelu node 'n': its attribute alpha is NaN"),
        (node("Shrink", ["x"], ["y"], name="n", lambd=NAN), {}, "Shrink node 'n': its attribute lambd is NaN"),
        (node("Clip", ["x", "c"], ["y"], name="n"), {"c": np.float32(NAN)}, "Clip node 'n': its input 1 ('c') is NaN"),
        (node("Max", ["x", "c"], ["y"], name="n"), {"c": np.float32(NAN)}, "Max node 'n': its input 1 ('c') is NaN"),
        (node("Clip", ["x", "c"], ["y"], name="n"), {"c": np.float32(np.inf)}, "bounds that leave no finite value"),
    ],
)
def test_parameters_that_are_no_numbers_are_refused_by_name(operator: NodeProto, constants: Any, message: str) -> None:
    assert message in refused(model_of([operator], [1, 6], [1, 6], constants))


def test_a_resize_beyond_every_chip_is_refused_as_too_large() -> None:
    resize = node("Resize", ["x", "", "s"], ["y"], name="r", mode="nearest")
    scales = {"s": np.array([1, 1, 4096, 4096], np.float32)}
    message = refused(model_of([resize], [1, 1, 4, 4], [1, 1, 16384, 16384], scales))
    assert "Resize node 'r': scales [1.0, 1.0, 4096.0, 4096.0]: the result is too large" in message


def prescribed(kind: type, out: type, weights: Array) -> Built:
    """A layer between activations of the types `kind` and `out`, with integer weights as they are."""
    constants = {"s": np.float32(0.01), "z": kind(0), "o": out(0), "i": weights}
    pairs = [("QuantizeLinear", "x s z", "q"), ("DequantizeLinear", "q s z", "r"), ("DequantizeLinear", "i s", "w")]
    pairs += [("MatMul", "r w", "m"), ("QuantizeLinear", "m s o", "p"), ("DequantizeLinear", "p s o", "y")]
    nodes = [node(op, given.split(), [output], name=output) for op, given, output in pairs]
    x = RNG.uniform(-1, 1, (8, 1, 6)).astype(np.float32)
    return build(model_of(nodes, [1, 6], [1, 4], constants, opset=21), (x,), (x,), "multiplier", Policy("min-max"))


def test_int16_weights_are_refused_with_a_remedy_that_works() -> None:
    wide = RNG.integers(-32768, 32768, (6, 4)).astype(np.int16)
    message = rf"'m' \(Dense\): its weights .* are {wide.min()} to {wide.max()}; int16 activations take int8 weights"
    with pytest.raises(ChipfitError, match=message) as error:
        prescribed(np.int16, np.int16, wide)
    assert "weight_type=QuantType.QInt8" in error.value.hint
    assert prescribed(np.int16, np.int16, RNG.integers(-127, 128, (6, 4)).astype(np.int8)).expected


def test_a_layer_between_two_types_is_refused_with_a_hint() -> None:
    weights = RNG.integers(-127, 128, (6, 4)).astype(np.int8)
    with pytest.raises(ChipfitError, match=r"'m' \(Dense\): goes from int16 to int8") as error:
        prescribed(np.int16, np.int8, weights)
    assert "activation_type" in error.value.hint


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_scale_that_leaves_float32_is_refused_without_a_warning() -> None:
    constants = {"i": np.full((4, 6), 100, np.int8), "s": np.float32(3e38)}
    nodes = [node("DequantizeLinear", ["i", "s"], ["w"], name="d"), node("Gemm", ["x", "w"], ["y"], transB=1)]
    message = "DequantizeLinear node 'd': a scale at which its integers leave float32"
    assert message in refused(model_of(nodes, [1, 6], [1, 4], constants))


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(("scale", "message"), [(3e38, "leaves float32"), (NAN, "its scale holds NaN or infinity")])
def test_a_bias_that_leaves_float32_is_refused_without_a_warning(scale: float, message: str) -> None:
    """QGemm's bias has the product of both scales."""
    constants = {
        "zero": np.uint8(0),
        "s": np.float32(scale),
        "w": np.ones((6, 4), np.uint8),
        "b": np.full(4, 1 << 20, np.int32),
    }
    gemm = node("QGemm", ["q", "s", "zero", "w", "s", "zero", "b"], ["y"], name="g", domain=MICROSOFT)
    nodes = [node("QuantizeLinear", ["x", "s", "zero"], ["q"]), gemm]
    assert message in refused(model_of(nodes, [1, 6], [1, 4], constants))


@pytest.mark.parametrize(("domain", "opset"), [("", 21), (MICROSOFT, 17)])
@pytest.mark.parametrize(("kind", "zero"), [(I4, 0), (U4, 8), (U4, 3)])
def test_four_bit_weights_are_kept_exactly(domain: str, opset: int, kind: int, zero: int) -> None:
    integers: Array = RNG.integers(-8, 8, (6, 4)) + (8 if kind == U4 else 0)
    tensors = (
        helper.make_tensor("i", kind, [6, 4], integers.reshape(-1)), helper.make_tensor("z", kind, [4], [zero] * 4),
    )  # fmt: skip
    nodes = [
        node("DequantizeLinear", ["i", "s", "z"], ["w"], domain=domain, axis=1),
        node("MatMul", ["x", "w"], ["y"]),
    ]
    scales = {"s": RNG.uniform(0.05, 0.2, 4).astype(np.float32)}
    net = near(model_of(nodes, [1, 6], [1, 4], scales, opset=opset, tensors=tensors))
    (kept,) = [t.data for t in net.quantized.graph.tensors.values() if t.data is not None and t.size == 24]
    np.testing.assert_array_equal(kept, integers.T - zero)


@pytest.mark.parametrize("domain", ["", MICROSOFT])
def test_four_bit_activations_are_refused_by_name(domain: str) -> None:
    zero = helper.make_tensor("z", I4, [], [0])
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"], domain=domain, name="n"),
        node("DequantizeLinear", ["q", "s", "z"], ["y"], domain=domain),
    ]
    model = model_of(nodes, [1, 6], [1, 6], {"s": np.float32(0.1)}, opset=21, tensors=(zero,))
    assert "QuantizeLinear node 'n': type int4" in refused(model)


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16"])
def test_pairs_of_microsoft_s_domain_mean_what_the_standard_ones_do(kind: str) -> None:
    constants = {"s": np.float32(0.01), "z": np.array(3, kind)}
    pair = [("QuantizeLinear", ["x", "s", "z"], ["q"]), ("DequantizeLinear", ["q", "s", "z"], ["d"])]
    again = [("QuantizeLinear", ["r", "s", "z"], ["p"]), ("DequantizeLinear", ["p", "s", "z"], ["y"])]
    first, last = ([node(*n, domain=MICROSOFT) for n in side] for side in (pair, again))
    near(model_of([*first, node("Relu", ["d"], ["r"]), *last], [1, 6], [1, 6], constants), 1e-3)
