"""scikit-learn's networks as skl2onnx writes them: scalers, labels and maps around layers."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from building import Built, build
from onnx import NodeProto, TensorProto, helper, numpy_helper

from pipeline.facts.errors import ChipfitError
from pipeline.graph.tensor import Array
from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.onnx_ml import DOMAIN, without_ml
from pipeline.quantizing.calibrate import Policy
from pipeline.quantizing.onnx_runtime import FloatSession

F, I64, I32 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32
RNG = np.random.default_rng(5)
CONSTANTS = {
    "w": RNG.normal(0, 1, (4, 8)).astype(np.float32), "b": RNG.normal(0, 1, (1, 8)).astype(np.float32),
    "v": RNG.normal(0, 1, (8, 3)).astype(np.float32), "c": RNG.normal(0, 1, (1, 3)).astype(np.float32),
    "flat": np.array([-1]), "at": np.array([[2, 0]]),
}  # fmt: skip
X = RNG.normal(5, 2, (64, 1, 4)).astype(np.float32)
node = helper.make_node
LAYERS = [
    node("Scaler", ["x"], ["s"], domain=DOMAIN, name="scaler", offset=[5.0, 4.5, 5.5, 5.0], scale=[0.5, 0.4, 0.6, 0.5]),
    node("Cast", ["s"], ["f"], to=F),
    node("MatMul", ["f", "w"], ["h"]),
    node("Add", ["h", "b"], ["i"]),
    node("Relu", ["i"], ["j"]),
    node("MatMul", ["j", "v"], ["k"]),
    node("Add", ["k", "c"], ["l"]),
    node("Softmax", ["l"], ["p"]),
]
LABEL = [
    node("ArgMax", ["p"], ["a"], axis=1),
    node("ArrayFeatureExtractor", ["classes", "a"], ["e"], domain=DOMAIN, name="labels"),
    node("Reshape", ["e", "flat"], ["r"]),
    node("Cast", ["r"], ["label"], to=I64),
]
ZIPMAP = node("ZipMap", ["p"], ["map"], domain=DOMAIN, classlabels_int64s=[0, 1, 2])


def model_of(nodes: list[NodeProto], outputs: list[onnx.ValueInfoProto], **constants: Any) -> onnx.ModelProto:
    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in (CONSTANTS | constants).items()]
    graph = helper.make_graph(nodes, "net", [helper.make_tensor_value_info("x", F, [None, 4])], outputs, tensors)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)], ir_version=8
    )


def classifier(classes: Any) -> onnx.ModelProto:
    """A scaler, two layers, the label, and a map from label to probability."""
    kind = helper.make_map_type_proto(I64, helper.make_tensor_type_proto(F, None))
    outputs = [
        helper.make_tensor_value_info("label", I64, [None]),
        helper.make_value_info("map", helper.make_sequence_type_proto(kind)),
    ]
    return model_of([*LAYERS, *LABEL, ZIPMAP], outputs, classes=classes)


def built(model: onnx.ModelProto) -> Built:
    return build(model, (X,), (X,), policy=Policy("min-max"))


def real(net: Built, index: int) -> Array:
    port, got = net.quantized.graph.outputs[index], net.expected[index]
    quant = net.quantized.graph.tensors[port.tensor].quant
    return port.to_onnx(got if quant is None else quant.dequantize(got))


def test_a_classifier_gives_its_class_and_the_tensor_of_probabilities() -> None:
    model = classifier(np.array([0, 1, 2], np.int32))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = [session.run(None, {"x": x}) for x in X]
    probabilities = np.array([[m[i] for i in range(3)] for _, (m,) in rows])
    net = built(model)
    assert np.abs(real(net, 1)[:, 0] - probabilities).max() < 0.05
    sure = np.sort(probabilities)[:, -1] - np.sort(probabilities)[:, -2] > 0.1
    labels = np.array([label[0] for label, _ in rows])
    np.testing.assert_array_equal(real(net, 0)[sure, 0], labels[sure])
    np.testing.assert_array_equal(np.stack([r["map"] for r in FloatSession(model).run({"x": X})])[:, 0], probabilities)


@pytest.mark.parametrize(
    ("classes", "message"),
    [(np.array([1, 3, 5], np.int32), "labels [1, 3, 5] instead of 0 to 2"), (["a", "b", "c"], "labels of strings")],
)
def test_other_labels_are_refused_with_the_line_that_helps(classes: Any, message: str) -> None:
    with pytest.raises(ChipfitError) as refused:
        graph_of(classifier(classes), "net.onnx", "net")
    assert message in str(refused.value)
    assert "model.classes_ = numpy.arange(3)" in str(refused.value)


@pytest.mark.parametrize("at", [np.array([2, 0]), np.array([[2, 0]]), np.array([[2], [0]])], ids=str)
def test_indices_of_features_are_one_list_of_whatever_shape(at: Array) -> None:
    (extractor,) = [helper.make_node("ArrayFeatureExtractor", ["x", "at"], ["y"], domain=DOMAIN)]
    infos = helper.make_tensor_value_info("x", F, [1, 4]), helper.make_tensor_value_info("y", F, None)
    graph = helper.make_graph([extractor], "net", [infos[0]], [infos[1]], [numpy_helper.from_array(at, "at")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 3)])
    model.ir_version = 8
    x = np.arange(4, dtype=np.float32)[None]
    theirs, ours = (
        onnxruntime.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
        for m in (model, without_ml(model, "net.onnx"))
    )
    np.testing.assert_array_equal(ours, theirs)
    assert ours.shape == theirs.shape


def test_features_are_picked_and_scaled_as_onnx_runtime_does() -> None:
    nodes = [LAYERS[0], node("ArrayFeatureExtractor", ["s", "at"], ["y"], domain=DOMAIN)]
    model = model_of(nodes, [helper.make_tensor_value_info("y", F, [None, 2])])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    theirs = np.stack([session.run(None, {"x": x})[0] for x in X])
    net = built(model)
    quant = net.quantized.graph.tensors[net.quantized.graph.outputs[0].tensor].quant
    assert quant is not None
    assert np.abs(real(net, 0).reshape(theirs.shape) - theirs).max() <= 2 * quant.scale[0]


def test_a_normalizer_is_refused_with_what_to_do_instead() -> None:
    nodes = [node("Normalizer", ["x"], ["y"], domain=DOMAIN, name="n", norm="L2")]
    with pytest.raises(ChipfitError, match=r"Normalizer node 'n': a norm over .* Hint: Normalize outside"):
        graph_of(model_of(nodes, [helper.make_tensor_value_info("y", F, [None, 4])]), "net.onnx", "net")
