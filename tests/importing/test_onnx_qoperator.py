"""Quantized operators rewritten: the same numbers as their definition, in the form that the importer reads."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from pipeline.facts.errors import ChipfitError
from pipeline.importing.onnx_qoperator import MICROSOFT, without_qoperators

CONSTANTS = {
    "sx": np.float32(0.1), "zx": np.uint8(100), "sy": np.float32(0.5), "zy": np.uint8(30), "sw": np.float32(0.02),
    "zw": np.uint8(120), "w": np.random.default_rng(0).integers(0, 256, (6, 4)).astype(np.uint8),
}  # fmt: skip


def model(node: onnx.NodeProto, kind: int = TensorProto.UINT8, **changes: np.ndarray) -> onnx.ModelProto:
    infos = [helper.make_tensor_value_info("x", kind, [3, 6])], [helper.make_tensor_value_info("y", kind, [3, 4])]
    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in (CONSTANTS | changes).items()]
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(helper.make_graph([node], "net", *infos, tensors), opset_imports=opsets, ir_version=10)


def microsoft(op: str, inputs: str, **attributes: int) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), ["y"], "n", domain=MICROSOFT, **attributes)


MATMUL = helper.make_node("QLinearMatMul", ["x", "sx", "zx", "w", "sw", "zw", "sy", "zy"], ["y"], "m")


def test_a_product_is_a_float_one_between_pairs_and_gives_the_same_integers() -> None:
    given = model(MATMUL)
    rewritten = without_qoperators(given, "net.onnx")
    kinds = [n.op_type for n in rewritten.graph.node]
    assert kinds == ["DequantizeLinear", "DequantizeLinear", "MatMul", "QuantizeLinear"]
    x = np.random.default_rng(1).integers(0, 256, (3, 6)).astype(np.uint8)
    (expected,), (got,) = (ReferenceEvaluator(m).run(None, {"x": x}) for m in (given, rewritten))
    assert np.abs(expected.astype(int) - got).max() <= 1 and (expected == got).mean() > 0.7


def test_a_model_without_any_is_the_very_same() -> None:
    plain = model(helper.make_node("Identity", ["x"], ["y"]))
    assert without_qoperators(plain, "net.onnx") is plain


@pytest.mark.parametrize(
    ("node", "changes", "why"),
    [
        (helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "s", "z"], "d"), {}, "chooses scales at run time"),
        (microsoft("QLinearAdd", "x sx zx"), {}, "QLinearAdd node 'n': it lacks inputs"),
        (microsoft("QLinearMul", "x sx zx x"), {}, "it lacks inputs"),
        (microsoft("QLinearSigmoid", "x sx zx"), {}, "it lacks inputs"),
        (microsoft("QLinearConcat", "sy zy"), {}, "it lacks inputs"),
        (microsoft("QGemm", ""), {}, "it lacks inputs"),
        (
            microsoft("QLinearAveragePool", "x sx zx sy zy", channels_last=1),
            {}, "channels_last",
        ),
        (
            microsoft("QGemm", "x sx zx w sw zw b sy zy"),
            {"b": np.ones(4, np.int32), "sx": np.float32(np.inf)}, "its scale holds NaN or infinity",
        ),
        (
            microsoft("QGemm", "x sx zx w sw zw b sy zy"),
            {}, "its bias must be a constant",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_rewritten_is_refused_by_name(
    node: onnx.NodeProto, changes: dict[str, np.ndarray], why: str
) -> None:
    with pytest.raises(ChipfitError, match=why):
        without_qoperators(model(node, **changes), "net.onnx")
