"""ONNX files that came quantized: within one step of ONNX Runtime, and bit-exact from there to the chip."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from building import Built, assert_chip_equals, exported_model, on_chip, on_host, with_expected, write_library
from conftest import ROOT, chipfit_here, some
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from pipeline.facts.errors import ChipfitError
from pipeline.graph.tensor import Array
from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.onnx_qoperator import MICROSOFT, OPERATORS
from pipeline.importing.passes import canonical
from pipeline.quantizing.calibrate import Policy, observe
from pipeline.quantizing.data import Samples
from pipeline.quantizing.integer_graph import quantize, unprescribed_activations
from pipeline.quantizing.onnx_runtime import FloatSession

MODELS = ROOT / "configs" / "models"
FORMATS = [
    (form, activations, weights, per_channel)
    for form in ("QDQ", "QOperator")
    for activations, weights in (("QInt8", "QInt8"), ("QUInt8", "QInt8"), ("QUInt8", "QUInt8"), ("QInt16", "QInt8"))
    for per_channel in (False, True)
    if (form, activations) != ("QOperator", "QInt16")
]


def built(model: onnx.ModelProto, real: list[Array]) -> Built:
    """The integer network, fed `real` inputs."""
    graph = canonical(graph_of(model, "net.onnx", "net"), "net.onnx")
    names = unprescribed_activations(graph)
    observed = observe(graph, Samples(tuple(real)), lambda done, total: None, names) if names else {}
    result = quantize(graph, observed, Policy("min-max"), per_channel=True, requantizer="multiplier")
    return with_expected(graph, result, result.graph.integers(real))


def steps(net: Built, model: onnx.ModelProto, feeds: Mapping[str, Array]) -> tuple[int, int]:
    """(differing outputs, largest difference) between our integers and ONNX Runtime's, in steps of the output."""
    theirs = FloatSession(model).stacked(feeds)
    differing = worst = 0
    for port, ours in zip(net.quantized.graph.outputs, net.expected, strict=True):
        quant = net.quantized.graph.tensors[port.tensor].quant
        other = theirs[port.onnx_name].reshape(len(ours), *port.onnx_shape)
        if other.dtype.kind == "f" and quant is not None:
            other = np.rint(other / quant.scale[0]) + quant.zero_point
        off = np.abs(other.astype(np.int64) - port.to_onnx(ours).astype(np.int64))
        differing, worst = differing + int((off > 0).sum()), max(worst, int(off.max()))
    return differing, worst


def ours(net: Built) -> Array:
    """The first output's integers as the file means them: (n, *shape)."""
    return net.quantized.graph.outputs[0].to_onnx(net.expected[0]).astype(np.int64)


@pytest.mark.parametrize(("form", "activations", "weights", "per_channel"), FORMATS)
def test_static_quantization_by_onnx_runtime(
    form: str, activations: str, weights: str, per_channel: bool, tmp_path: Path
) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization")
    data = np.load(MODELS / "digits.npz")
    images = data["x"][:200].reshape(-1, 1, 1, 8, 8).astype(np.float32)

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.rows = iter(data["calib"].reshape(-1, 1, 1, 8, 8).astype(np.float32))

        def get_next(self) -> dict[str, Array] | None:
            row = next(self.rows, None)
            return None if row is None else {"input": row}

    target = tmp_path / "q.onnx"
    model = onnx.load(MODELS / "digits.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    quantization.quantize_static(
        model, target, Reader(), quant_format=quantization.QuantFormat[form],
        activation_type=quantization.QuantType[activations], weight_type=quantization.QuantType[weights],
        per_channel=per_channel,
    )  # fmt: skip
    quantized = onnx.load(target)
    quantized.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    net = built(quantized, [images])
    differing, worst = steps(net, quantized, {"input": images})
    assert steps(net, exported_model(net), {"input": images})[1] <= (2 if activations == "QInt16" else 1)
    # Each layer is within one step; ten layers of int16, near the end of float32's precision, add up to two of 65,536.
    wide = activations == "QInt16"
    assert worst <= (2 if wide else 1)
    assert differing <= (0.1 if wide else 0.02) * net.expected[0].size
    library = write_library(net, tmp_path / "c", "cortex-m0")
    for got, expected in zip(on_host(net, library), net.expected, strict=True):
        np.testing.assert_array_equal(got, expected)


def model_of(
    nodes: list[onnx.NodeProto], inputs: Mapping[str, Any], outputs: Mapping[str, Any], constants: Mapping[str, Any]
) -> onnx.ModelProto:
    """`inputs` and `outputs` map a name to (element type, shape)."""
    infos = [[helper.make_tensor_value_info(n, *t) for n, t in side.items()] for side in (inputs, outputs)]
    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    graph = helper.make_graph(nodes, "net", infos[0], infos[1], tensors)
    opsets = [helper.make_opsetid("", 19), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


F, U8, S8 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT8
RNG = np.random.default_rng(3)


def qlinear() -> Iterator[tuple[str, onnx.ModelProto]]:
    """One model for each quantized operator, on raw integers as the operators take them."""
    s, z = np.float32(0.0537), np.uint8(120)
    base = {"s": s, "z": z, "t": np.float32(0.0831), "u": np.uint8(110)}
    w = RNG.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
    sw = RNG.uniform(0.002, 0.01, 4).astype(np.float32)
    conv = {"w": w, "sw": sw, "zw": np.zeros(4, np.int8), "b": RNG.integers(-900, 900, 4).astype(np.int32)}
    names = ["x", "s", "z", "w", "sw", "zw", "t", "u", "b"]

    def one(
        op: str, inputs: list[str], x: Any, y: Any, constants: Mapping[str, Any], domain: str = "", **attrs: Any
    ) -> Any:
        given = {n: (U8, x) for n in ("x", "x2") if n in inputs}
        node = helper.make_node(op, inputs, ["y"], name="the_node", domain=domain, **attrs)
        return op, model_of([node], given, {"y": (U8, y)}, base | dict(constants))

    yield one("QLinearConv", names, [1, 3, 5, 5], [1, 4, 5, 5], conv, pads=[1, 1, 1, 1])
    m = {"w": RNG.integers(0, 256, (6, 4)).astype(np.uint8), "sw": np.float32(0.004), "zw": np.uint8(130)}
    yield one("QLinearMatMul", names[:8], [1, 6], [1, 4], m)
    gemm = m | {"b": RNG.integers(-900, 900, 4).astype(np.int32)}
    yield one("QGemm", ["x", "s", "z", "w", "sw", "zw", "b", "t", "u"], [1, 6], [1, 4], gemm, MICROSOFT)
    two = ["x", "s", "z", "x2", "s", "z", "t", "u"]
    yield one("QLinearAdd", two, [1, 3, 4], [1, 3, 4], {}, MICROSOFT)
    yield one("QLinearMul", two, [1, 3, 4], [1, 3, 4], {}, MICROSOFT)
    spatial = ["x", "s", "z", "t", "u"]
    yield one(
        "QLinearAveragePool", spatial, [1, 2, 6, 6], [1, 2, 3, 3], {}, MICROSOFT, kernel_shape=[2, 2], strides=[2, 2]
    )
    yield one("QLinearGlobalAveragePool", spatial, [1, 2, 4, 5], [1, 2, 1, 1], {}, MICROSOFT)
    yield one("QLinearLeakyRelu", spatial, [1, 2, 9], [1, 2, 9], {}, MICROSOFT, alpha=0.2)
    unit = {"t": np.float32(1 / 256), "u": np.uint8(0)}
    yield one("QLinearSigmoid", spatial, [1, 9], [1, 9], unit, MICROSOFT)
    yield one("QLinearSoftmax", spatial, [1, 9], [1, 9], unit, MICROSOFT, opset=13, axis=1)
    concat = {"v": np.float32(0.07), "q": np.uint8(90)}
    yield one("QLinearConcat", ["t", "u", "x", "s", "z", "x2", "v", "q"], [1, 3], [1, 6], concat, MICROSOFT, axis=1)
    for op, weights, x, y, attrs in (
        ("ConvInteger", RNG.integers(0, 256, (4, 2, 3, 3)), [1, 2, 5, 5], [1, 4, 3, 3], {}),
        ("MatMulInteger", RNG.integers(0, 256, (6, 4)), [1, 6], [1, 4], {}),
    ):
        constants = base | {"w": weights.astype(np.uint8), "zw": np.uint8(125), "k": np.float32(0.0004)}
        nodes = [
            helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
            helper.make_node(op, ["xq", "w", "z", "zw"], ["sum"], name="the_node", **attrs),
            helper.make_node("Cast", ["sum"], ["float"], to=F),
            helper.make_node("Mul", ["float", "k"], ["y0"]),
            helper.make_node("QuantizeLinear", ["y0", "t", "u"], ["y"]),
        ]
        yield op, model_of(nodes, {"x": (F, x)}, {"y": (U8, y)}, constants)


QLINEAR = dict(qlinear())


def test_every_quantized_operator_is_here() -> None:
    assert set(QLINEAR) == {op for _, op in OPERATORS}


@pytest.mark.parametrize("op", QLINEAR)
def test_quantized_operators(op: str, tmp_path: Path) -> None:
    model = QLINEAR[op]
    onnx.checker.check_model(model)
    feeds: dict[str, Array] = {}
    real = []
    for value in model.graph.input:
        shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
        raw = RNG.integers(0, 256, (64, *shape)).astype(np.uint8)
        second = op == "QLinearConcat" and value.name == "x2"
        scale, zero = (np.float32(0.07), 90) if second else (np.float32(0.0537), 120)
        floats = ((raw.astype(np.float32) - zero) * scale).astype(np.float32)
        feeds[value.name] = floats if value.type.tensor_type.elem_type == F else raw
        real.append(floats)
    net = built(model, real)
    differing, worst = steps(net, model, feeds)
    assert worst <= 1
    assert differing <= 0.03 * net.expected[0].size
    assert steps(net, exported_model(net), dict(zip(feeds, real, strict=True)))[1] <= 1
    few = 64 if op in ELEMENTWISE else 6
    theirs = directly(op, model, {k: v[:few] for k, v in feeds.items()}).astype(np.int64)
    assert np.abs(ours(net)[:few].reshape(theirs.shape) - theirs).max() <= 1
    assert_chip_equals(net, on_chip(net, write_library(net, tmp_path, "cortex-m0"), "cortex-m0"))


ELEMENTWISE = {op for _, op in OPERATORS if op.startswith("QLinear")} - {"QLinearConv", "QLinearMatMul"}
"""The operators whose kernels in ONNX Runtime add no products of uint8 and int8: the same on every processor."""


def directly(op: str, model: onnx.ModelProto, feeds: Mapping[str, Array]) -> Array:
    """What a program that we did not write says of the operator itself, not of our reading of it: (n, *shape)."""
    rows = [{k: v[i] for k, v in feeds.items()} for i in range(len(next(iter(feeds.values()))))]
    if op in ELEMENTWISE:
        session = onnxruntime.InferenceSession(model.SerializeToString())
        return np.stack([session.run(None, row)[0] for row in rows])
    if op != "QGemm":
        evaluator = ReferenceEvaluator(model)
        return np.stack([evaluator.run(None, row)[0] for row in rows])
    single = onnx.ModelProto()  # neither has it without depending on the processor: the operator is this in ONNX's own
    single.CopyFrom(model)
    del single.graph.node[:]
    single.graph.node.extend(
        [
            helper.make_node("MatMulInteger", ["x", "w", "z", "zw"], ["products"]),
            helper.make_node("Add", ["products", "b"], ["sum"]),
            helper.make_node("Mul", ["s", "sw"], ["unit"]),
            helper.make_node("DequantizeLinear", ["sum", "unit"], ["real"]),
            helper.make_node("QuantizeLinear", ["real", "t", "u"], ["y"]),
        ]
    )
    return directly("", single, feeds)


def test_the_oracle_reads_quantized_operators_of_old_opsets() -> None:
    """DequantizeLinear has no axis before opset 13, and no int16 before 21."""
    for op in ("QLinearConv", "MatMulInteger"):
        old = onnx.ModelProto()
        old.CopyFrom(QLINEAR[op])
        old.opset_import[0].version = 10
        kind, shape = (np.float32, (2, 1, 6)) if op == "MatMulInteger" else (np.uint8, (2, 1, 3, 5, 5))
        feeds = {"x": RNG.integers(0, 9, shape).astype(kind)}
        for a, b in some(zip(FloatSession(old).run(feeds), FloatSession(QLINEAR[op]).run(feeds), strict=True)):
            np.testing.assert_array_equal(a["y"], b["y"])


def test_pytorch_export_with_float_bias_axis_on_scalars_and_a_clip_between(tmp_path: Path) -> None:
    w = RNG.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
    constants = {
        "s": np.float32(0.03), "z": np.int8(-5), "w": w,
        "sw": np.full(4, 0.004, np.float32), "zw": np.zeros(4, np.int8),
        "b": RNG.normal(0, 0.3, 4).astype(np.float32), "t": np.float32(0.0537), "u": np.int8(3),
        "low": np.int8(3), "high": np.int8(127),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"], axis=1),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"], axis=1),
        helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["wd"], axis=0),
        helper.make_node("Conv", ["xd", "wd", "b"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("QuantizeLinear", ["c", "t", "u"], ["cq"], axis=1),
        helper.make_node("Clip", ["cq", "low", "high"], ["clipped"]),
        helper.make_node("DequantizeLinear", ["clipped", "t", "u"], ["y"], axis=1),
    ]
    model = model_of(nodes, {"x": (F, [1, 3, 5, 5])}, {"y": (F, [1, 4, 5, 5])}, constants)
    x = RNG.normal(0, 1, (64, 1, 3, 5, 5)).astype(np.float32)
    net = built(model, [x])
    assert not unprescribed_activations(net.graph)
    differing, worst = steps(net, model, {"x": x})
    assert worst <= 1
    assert differing <= 0.02 * net.expected[0].size
    assert_chip_equals(net, on_chip(net, write_library(net, tmp_path, "cortex-m0"), "cortex-m0"))


def chipfit(folder: Path, yaml: str) -> subprocess.CompletedProcess[str]:
    (folder / "q.yaml").write_text(
        "product: q\nmodel: {source: q.onnx}\nchip: stm32f030r8\nsimulate: {vectors: 2}\n" + yaml
    )
    return chipfit_here(folder, "build")


def test_a_product_of_a_quantized_file_needs_no_calibration_and_keeps_its_accuracy(tmp_path: Path) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization")
    data = np.load(MODELS / "digits.npz")
    rows = iter(data["calib"].reshape(-1, 1, 1, 8, 8).astype(np.float32))

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, name-defined]
        def get_next(self) -> dict[str, Array] | None:
            row = next(rows, None)
            return None if row is None else {"input": row}

    model = onnx.load(MODELS / "digits.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    form = quantization.QuantFormat.QOperator
    quantization.quantize_static(model, tmp_path / "q.onnx", Reader(), quant_format=form, per_channel=True)
    done = chipfit(tmp_path, f"data: {{evaluation: {MODELS / 'digits.npz'}}}\naccuracy: {{at_least: 0.97}}\n")
    assert done.returncode == 0, done.stdout + done.stderr
    distance = json.loads((tmp_path / "build" / "q" / "quantize" / "quantize.json").read_text())["qdq"]
    assert distance["largest_difference_lsb"] <= 1
    without = chipfit(tmp_path, "")
    assert without.returncode == 0, without.stdout + without.stderr


def test_a_tensor_without_a_scale_needs_calibration_data(tmp_path: Path) -> None:
    """PyTorch's exports leave the last layer's output unquantized."""
    constants = {
        "s": np.float32(0.03), "z": np.int8(-5), "w": RNG.integers(-127, 128, (6, 4)).astype(np.int8),
        "sw": np.float32(0.004), "zw": np.int8(0),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["wd"]),
        helper.make_node("MatMul", ["d", "wd"], ["y"]),
    ]
    onnx.save(model_of(nodes, {"x": (F, [1, 6])}, {"y": (F, [1, 4])}, constants), tmp_path / "q.onnx")
    done = chipfit(tmp_path, "")
    assert done.returncode == 1
    assert "calibration" in done.stderr and "Traceback" not in done.stderr


def refused(model: onnx.ModelProto) -> str:
    with pytest.raises(ChipfitError) as error:
        canonical(graph_of(model, "net.onnx", "net"), "net.onnx")
    return str(error.value)


def test_dynamic_quantization_is_refused_with_the_remedy() -> None:
    nodes = [helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"], name="d")]
    message = refused(model_of(nodes, {"x": (F, [1, 4])}, {"q": (U8, [1, 4])}, {}))
    assert message == (
        "net.onnx: DynamicQuantizeLinear (node 'd') chooses scales at run time: dynamic quantization. "
        "Hint: Quantize statically (onnxruntime.quantization.quantize_static), or give chipfit the float model."
    )


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_impossible_scales_are_refused(scale: float) -> None:
    nodes = [helper.make_node("DequantizeLinear", ["x", "s"], ["y"], name="d")]
    message = refused(model_of(nodes, {"x": (S8, [1, 4])}, {"y": (F, [1, 4])}, {"s": np.float32(scale)}))
    why = "its input 1 ('s') is NaN" if np.isnan(scale) else "a scale that is zero, negative, infinite, NaN or blocked"
    assert f"DequantizeLinear node 'd': {why}" in message


def test_arithmetic_on_raw_integers_is_refused() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("Relu", ["q"], ["y"], name="r"),
    ]
    constants = {"s": np.float32(0.1), "z": np.int8(0)}
    message = refused(model_of(nodes, {"x": (F, [1, 4])}, {"y": (S8, [1, 4])}, constants))
    assert "Relu node 'r': computes on the integers of 'q'" in message
