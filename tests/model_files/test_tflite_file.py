"""Broken and hostile .tflite files: one sentence with place and cause."""

import resource
from pathlib import Path

import numpy as np
import pytest
from conftest import some

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")

import flatbuffers
from tflite_models import Op, T, schema, tflite_model

from pipeline.facts.errors import ChipfitError
from pipeline.graph.onnx_export import float_model
from pipeline.importing.passes import canonical
from pipeline.importing.tflite_graph import tflite_graph_of
from pipeline.model_files.tflite_file import MAX_BYTES, MAX_ITEMS, load_tflite, parse_tflite
from pipeline.quantizing.onnx_runtime import FloatSession


def refusal(model: bytes) -> str:
    with pytest.raises(ChipfitError) as error:
        tflite_graph_of(parse_tflite(model, "net.tflite"), "net.tflite", "net")
    assert "\n" not in str(error.value)
    return str(error.value)


def dense(**changes: T) -> bytes:
    tensors = {
        "x": T((1, 4), scale=0.1), "w": T((3, 4), scale=0.1, data=np.ones((3, 4))),
        "b": T((3,), "int32", 0.01, data=np.zeros(3)), "y": T((1, 3), scale=0.1),
    } | changes  # fmt: skip
    return tflite_model(tensors, [Op("FULLY_CONNECTED", ["x", "w", "b"], ["y"], "FullyConnectedOptions")], ["x"], ["y"])


def test_not_a_flatbuffer() -> None:
    assert refusal(b"PK\x03\x04 not at all") == (
        "net.tflite: is not a TensorFlow Lite file. Hint: Convert the model again, or copy the whole file."
    )


@pytest.mark.parametrize(
    ("begin", "size", "says"),
    [
        (b"PK", MAX_BYTES, "is not a TensorFlow Lite file"),
        (dense()[:8], MAX_BYTES + 1, f"the file has {MAX_BYTES + 1} bytes, the limit is {MAX_BYTES}"),
    ],
)
def test_a_large_file_is_refused_before_it_is_read(begin: bytes, size: int, says: str, tmp_path: Path) -> None:
    with (tmp_path / "net.tflite").open("wb") as file:
        file.write(begin)
        file.truncate(size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ChipfitError, match=f"^net.tflite: {says}"):
        load_tflite(tmp_path / "net.tflite", "net.tflite")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 16  # KiB


def test_more_operands_than_the_limit_are_refused_not_cut() -> None:
    tensors = {"x": T((1, 1), scale=0.1), "y": T((1, MAX_ITEMS + 1), scale=0.1)}
    model = tflite_model(
        tensors, [Op("CONCATENATION", ["x"] * (MAX_ITEMS + 1), ["y"], "ConcatenationOptions")], ["x"], ["y"]
    )
    assert f"has a list of {MAX_ITEMS + 1} sizes or tensors, the limit is {MAX_ITEMS}" in refusal(model)


def test_truncated() -> None:
    assert "damaged or truncated" in refusal(dense()[:400])


@pytest.mark.parametrize("scale", [0.0, -0.5, np.nan, np.inf])
def test_impossible_scales(scale: float) -> None:
    assert "tensor 'x' has a scale of zero, below zero, infinite or NaN" in refusal(dense(x=T((1, 4), scale=scale)))


def test_zero_point_out_of_range() -> None:
    assert "tensor 'x' has a zero point outside int8" in refusal(dense(x=T((1, 4), scale=0.1, zero=300)))


def test_quantized_dimension_out_of_range() -> None:
    w = T((3, 4), scale=np.ones(3), axis=7, data=np.ones((3, 4)))
    assert "tensor 'w' of shape [3, 4] has 3 scales along dimension 7" in refusal(dense(w=w))


def test_buffer_shorter_than_its_tensor() -> None:
    w = T((30, 40), scale=0.1, data=np.ones((3, 4)))
    assert "tensor 'w' needs 1200 bytes, its buffer has 12" in refusal(dense(w=w))


def test_shapes_that_contradict() -> None:
    assert "the file says it makes [1, 5], its inputs make [1, 3]" in refusal(dense(y=T((1, 5), scale=0.1)))


def test_shapes_that_overflow() -> None:
    assert "has an impossible shape" in refusal(dense(x=T((2**31 - 1, 2**31 - 1), scale=0.1)))


def test_cycles_are_refused() -> None:
    tensors = {"x": T((1, 4), scale=0.1), "a": T((1, 4), scale=0.1), "y": T((1, 4), scale=0.1)}
    ops = [Op("ADD", ["x", "y"], ["a"], "AddOptions"), Op("ADD", ["a", "x"], ["y"], "AddOptions")]
    assert "reads 'y', which nothing made before it" in refusal(tflite_model(tensors, ops, ["x"], ["y"]))


def test_dynamic_quantization_is_refused_with_the_remedy() -> None:
    model = dense(x=T((1, 4), "float32"), b=T((3,), "float32", data=np.zeros(3)), y=T((1, 3), "float32"))
    assert "the model was quantized dynamically. Hint: Convert it with a representative dataset" in refusal(model)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_float_bias_on_integers_is_refused_without_a_warning() -> None:
    model = dense(b=T((3,), "float32", data=np.full(3, np.nan)))
    assert "a bias of type float32 on quantized activations" in refusal(model)


def test_int16_with_a_32_bit_bias_is_refused() -> None:
    model = dense(x=T((1, 4), "int16", 0.1), y=T((1, 3), "int16", 0.1))
    assert "a bias of type int32 on int16 activations" in refusal(model)


def test_unknown_operators_are_named() -> None:
    tensors = {"x": T((1, 4), scale=0.1), "y": T((1, 4), scale=0.1)}
    assert "operator FLOOR is not supported" in refusal(
        tflite_model(tensors, [Op("FLOOR", ["x"], ["y"])], ["x"], ["y"])
    )


@pytest.mark.parametrize(("code", "options"), [("MUL", "AddOptions"), ("RELU", "MulOptions"), ("ADD", "SubOptions")])
def test_options_of_another_operator_are_refused(code: str, options: str) -> None:
    tensors = {"x": T((1, 4), scale=0.1), "y": T((1, 4), scale=0.1)}
    model = tflite_model(tensors, [Op(code, ["x"] if code == "RELU" else ["x", "x"], ["y"], options)], ["x"], ["y"])
    assert f"a {code} has options of type {options}, expected " in refusal(model)


def test_options_of_the_second_kind_are_refused() -> None:
    tensors = {"x": T((1, 4), scale=0.1), "y": T((1, 4), scale=0.1)}
    model = schema.ModelT.InitFromObj(
        schema.Model.GetRootAs(tflite_model(tensors, [Op("RELU", ["x"], ["y"])], ["x"], ["y"]), 0)
    )
    operator = model.subgraphs[0].operators[0]
    operator.builtinOptions2, operator.builtinOptions2Type = (
        schema.StablehloPadOptionsT(),
        schema.BuiltinOptions2.StablehloPadOptions,
    )
    assert "a RELU has options of the second kind" in refusal(packed(model))


def packed(model: "schema.ModelT") -> bytes:
    builder = flatbuffers.Builder(64)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_names_hostile_to_c_and_paths_stay_out_of_both() -> None:
    from building import ORIGIN, from_integers

    from pipeline.generating.library import generate
    from pipeline.generating.selftest import Vectors

    hostile = '*/ #include "x" \\ ../../y'
    tensors = {"x": T((1, 4), scale=0.1), hostile: T((1, 4), scale=0.1)}
    model = tflite_model(tensors, [Op("RELU", ["x"], [hostile])], ["x"], [hostile])
    net = from_integers(tflite_graph_of(parse_tflite(model, "n"), "n", "net"), [np.zeros((2, 1, 4), np.int8)])
    files = generate(net.program, "cortex-m0", ORIGIN, Vectors(tuple(net.inputs), tuple(net.expected)))
    assert all(".." not in name for name in some(files))
    assert b'#include "x"' not in b"".join(files.values()).replace(b'* / #include "x"', b"")


def test_duplicate_names_are_told_apart() -> None:
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(dense(), 0))
    for tensor in model.subgraphs[0].tensors:
        tensor.name = b"same"
    graph = tflite_graph_of(parse_tflite(packed(model), "n"), "n", "net")
    assert len(graph.nodes) == 1


def test_a_float_model_becomes_a_float_graph() -> None:
    rng = np.random.default_rng(0)
    w, b = rng.normal(0, 1, (3, 3, 3, 2)).astype(np.float32), rng.normal(0, 1, 3).astype(np.float32)
    tensors = {
        "x": T((1, 6, 6, 2), "float32"), "w": T(w.shape, "float32", data=w), "b": T((3,), "float32", data=b),
        "c": T((1, 3, 3, 3), "float32"), "y": T((1, 3, 3, 3), "float32"),
    }  # fmt: skip
    fields = {"padding": 0, "strideH": 2, "strideW": 2, "fusedActivationFunction": 1}
    ops = [Op("CONV_2D", ["x", "w", "b"], ["c"], "Conv2DOptions", fields), Op("LOGISTIC", ["c"], ["y"])]
    model = tflite_model(tensors, ops, ["x"], ["y"])
    from tflite_models import litert

    x = rng.normal(0, 1, (5, 1, 6, 6, 2)).astype(np.float32)
    graph = canonical(tflite_graph_of(parse_tflite(model, "n"), "n", "net"), "n")
    assert not graph.integer
    port = graph.outputs[0]
    ours = FloatSession(float_model(graph)).stacked({"x": graph.inputs[0].to_stored(x)})[port.tensor]
    np.testing.assert_allclose(port.to_onnx(ours), litert(model, [x])[0], rtol=1e-4, atol=1e-5)


def test_many_tensors_of_one_buffer_are_refused_before_they_are_copied() -> None:
    import flatbuffers
    from bounded import bounded

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(dense(), 0))
    large = schema.BufferT()
    large.data = np.zeros(1 << 20, np.uint8)
    model.buffers.append(large)
    for i in range(2000):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = f"c{i}", [1 << 20], schema.TensorType.INT8
        tensor.buffer = len(model.buffers) - 1
        model.subgraphs[0].tensors.append(tensor)
    builder = flatbuffers.Builder(64)
    builder.Finish(model.Pack(builder), b"TFL3")
    answer = bounded(lambda: parse_tflite(bytes(builder.Output()), "net.tflite"))
    assert answer.message == (
        "net.tflite: its tensors hold more than 67108864 values. Hint: No microcontroller holds that."
    )


def test_a_product_of_constants_that_no_chip_holds_is_refused() -> None:
    from bounded import bounded

    tensors = {
        "x": T((1, 4), scale=0.1), "y": T((1, 4), scale=0.1), "r": T((60_000, 1000), scale=0.1),
        "p": T((60_000, 1), scale=0.1, data=np.ones((60_000, 1))),
        "q": T((1, 1000), scale=0.1, data=np.ones((1, 1000))),
    }  # fmt: skip
    ops = [Op("MUL", ["p", "q"], ["r"], "MulOptions"), Op("RELU", ["x"], ["y"])]
    model = tflite_model(tensors, ops, ["x"], ["y"])
    answer = bounded(lambda: tflite_graph_of(parse_tflite(model, "net.tflite"), "net.tflite", "net"))
    assert "Traceback" not in answer.message and "\n" not in answer.message
