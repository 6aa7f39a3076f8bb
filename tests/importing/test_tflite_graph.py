"""Quantized TFLite models: LiteRT's reference kernels == integer NumPy == C == machine code, bit for bit."""

from collections.abc import Sequence
from pathlib import Path

import flatbuffers
import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")

from ai_edge_litert import schema_py_generated as schema
from building import (
    Built,
    assert_chip_equals,
    assert_host_equals,
    fastest_plan,
    from_integers,
    on_chip,
    on_host,
    write_library,
)
from conftest import need, some
from merged_networks import batches, merged
from tflite_cases import Case, cases
from tflite_models import Op, T, litert, tflite_model
from tflite_ties import KINDS, models

from pipeline.graph.graph_file import load, save
from pipeline.graph.tensor import Array
from pipeline.importing.tflite_graph import tflite_graph_of
from pipeline.model_files.tflite_file import OPTIONS, WITHOUT_OPTIONS, parse_tflite
from pipeline.ops import NODES, TFLITE
from pipeline.quantizing.litert import compare

CASES = {c.name: c for c in cases()}
MLPERF = ("kws_ref_model", "vww_96_int8", "pretrainedResnet_quant", "ad01_int8")


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def built(model: bytes, inputs: list[Array]) -> Built:
    return from_integers(tflite_graph_of(parse_tflite(model, "net.tflite"), "net.tflite", "net"), inputs)


def every_value(case: Case, count: int) -> list[Array]:
    """Random inputs; for activations the 256 values that int8 has."""
    if case.shapes == ((1, 256),) and case.dtype != "int16":
        return [np.arange(256).astype(np.uint8).view(case.dtype).reshape(1, 1, 256)]
    return case.inputs(count)


def test_every_operator_has_a_case() -> None:
    sampled = {o.code for c in CASES.values() for o in parse_tflite(c.model, "x").operators}
    assert sampled >= set(TFLITE) - {"DEQUANTIZE", "RELU_0_TO_1"}
    assert set(OPTIONS) | set(WITHOUT_OPTIONS) == set(TFLITE)


@pytest.mark.parametrize("code", ["MUL", "SUB", "ADD"])
def test_an_operator_code_in_the_new_field_alone_is_read(code: str) -> None:
    tensors = {
        "a": T((1, 256), scale=0.02, zero=3),
        "b": T((1, 256), scale=0.03, zero=-5),
        "y": T((1, 256), scale=0.03),
    }
    options = {"MUL": "MulOptions", "SUB": "SubOptions", "ADD": "AddOptions"}[code]
    model = tflite_model(tensors, [Op(code, ["a", "b"], ["y"], options, new_field=True)], ["a", "b"], ["y"])
    assert [o.code for o in parse_tflite(model, "x").operators] == [code]
    inputs = [np.random.default_rng(i).integers(-128, 128, (20, 1, 256)).astype(np.int8) for i in range(2)]
    np.testing.assert_array_equal(built(model, inputs).expected[0], litert(model, inputs)[0])


def test_integer_numpy_equals_litert(case: Case) -> None:
    inputs = every_value(case, 100)
    for got, expected in zip(built(case.model, inputs).expected, litert(case.model, inputs), strict=True):
        np.testing.assert_array_equal(got.reshape(-1), expected.reshape(-1))


@pytest.mark.parametrize("count", [4, pytest.param(100, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize(("kind", "dtype"), [(k, d) for k, (_, types) in KINDS.items() for d in types])
def test_scales_are_multiplied_in_the_types_that_litert_takes(kind: str, dtype: str, count: int) -> None:
    for model, inputs in some(models(kind, dtype, count)):
        got, expected = built(model, inputs).expected[0], litert(model, inputs)[0]
        np.testing.assert_array_equal(got.reshape(-1), expected.reshape(-1))


def test_a_graph_survives_its_file(case: Case) -> None:
    graph = built(case.model, every_value(case, 1)).quantized.graph
    assert save(load(save(graph), NODES)) == save(graph)


SEVERAL = batches(CASES.values(), 20)


def names(several: Sequence[Case]) -> str:
    return f"{several[0].name} to {several[-1].name}"


def in_one(several: Sequence[Case], core: str, count: int) -> Built:
    """Cases as one network, in their fastest plans for `core`."""
    nets = {c.name: built(c.model, every_value(c, count)) for c in several}
    return merged({n: (net, fastest_plan(net, core)) for n, net in nets.items()})


@pytest.mark.parametrize("several", SEVERAL, ids=names)
def test_machine_code_on_cortex_m0_equals_the_specification(several: Sequence[Case], tmp_path: Path) -> None:
    whole = in_one(several, "cortex-m0", 8)
    runs = on_chip(whole, write_library(whole, tmp_path, "cortex-m0", whole.program), "cortex-m0")
    assert_chip_equals(whole, runs)
    assert len({r.total for r in runs}) == 1, "the time depends on the input"


@pytest.mark.exhaustive
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("several", SEVERAL, ids=names)
def test_c_on_the_host_equals_the_specification(several: Sequence[Case], compiler: str, tmp_path: Path) -> None:
    need(compiler)
    whole = in_one(several, "cortex-m4", 16)
    library = write_library(whole, tmp_path, "cortex-m4", whole.program)
    sanitized = [("-O1", "-fsanitize=undefined", "-fno-sanitize-recover")] if compiler == "gcc" else []
    for flags in [("-O0",), ("-O3",), *sanitized]:
        assert_host_equals(whole, library, compiler, flags)


@pytest.mark.exhaustive
@pytest.mark.parametrize("toolchain", ["ziglang", "gcc"])
@pytest.mark.parametrize("several", SEVERAL, ids=names)
def test_machine_code_on_cortex_m4_equals_the_specification(
    several: Sequence[Case], toolchain: str, tmp_path: Path
) -> None:
    if toolchain == "gcc":
        need("arm-none-eabi-gcc")
    whole = in_one(several, "cortex-m4", 4)
    library = write_library(whole, tmp_path, "cortex-m4", whole.program)
    assert_chip_equals(whole, on_chip(whole, library, "cortex-m4", toolchain))


def mlperf(shared_models: Path, name: str, random: int) -> tuple[bytes, list[Array], list[Array]]:
    """The model, the stored vectors followed by random ones, and LiteRT's outputs on them."""
    model = (shared_models / "mlperf_tiny" / f"{name}.tflite").read_bytes()
    stored = np.load(shared_models / "mlperf_tiny" / f"{name}.vectors.npz")
    shape = tflite_graph_of(parse_tflite(model, name), name, "net").inputs[0].onnx_shape
    noise = np.random.default_rng(5).integers(-128, 128, (random, *shape)).astype(np.int8)
    inputs = [np.concatenate([stored["input"].reshape(-1, *shape), noise])]
    expected = litert(model, inputs)
    count = len(stored["input"])
    np.testing.assert_array_equal(expected[0][:count].reshape(-1), stored["output"].reshape(-1))
    return model, inputs, expected


@pytest.mark.parametrize("name", MLPERF)
def test_mlperf_tiny_equals_litert_on_the_host(name: str, shared_models: Path, tmp_path: Path) -> None:
    model, inputs, expected = mlperf(shared_models, name, 10)
    net = built(model, inputs)
    np.testing.assert_array_equal(net.expected[0].reshape(-1), expected[0].reshape(-1))
    library = write_library(net, tmp_path, "cortex-m0")
    np.testing.assert_array_equal(on_host(net, library)[0], net.expected[0])


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", MLPERF)
def test_mlperf_tiny_equals_litert_with_every_compiler(name: str, shared_models: Path, tmp_path: Path) -> None:
    model, inputs, expected = mlperf(shared_models, name, 200)
    net = built(model, inputs)
    np.testing.assert_array_equal(net.expected[0].reshape(-1), expected[0].reshape(-1))
    library = write_library(net, tmp_path, "cortex-m0")
    for compiler in ("ziglang", "gcc", "clang"):
        if compiler != "ziglang":
            need(compiler)
        sanitized = [("-O1", "-fsanitize=undefined", "-fno-sanitize-recover")] if compiler == "gcc" else []
        for flags in [("-O0",), ("-O3",), *sanitized]:
            np.testing.assert_array_equal(on_host(net, library, compiler, flags)[0], net.expected[0])


@pytest.mark.exhaustive
@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4"])
@pytest.mark.parametrize("name", MLPERF)
def test_mlperf_tiny_equals_litert_on_the_chip(name: str, core: str, shared_models: Path, tmp_path: Path) -> None:
    model, inputs, _ = mlperf(shared_models, name, 3)
    net = built(model, inputs)
    library = write_library(net, tmp_path, core)
    assert_chip_equals(net, on_chip(net, library, core, count=4))


def test_keyword_spotting_keeps_its_accuracy(shared_models: Path) -> None:
    model = (shared_models / "mlperf_tiny" / "kws_ref_model.tflite").read_bytes()
    data = np.load(shared_models / "mlperf_tiny" / "kws_500.npz")
    inputs = [data["x"].reshape(-1, 1, 49, 10, 1)]
    got = built(model, inputs).expected[0]
    np.testing.assert_array_equal(got.reshape(-1), litert(model, inputs)[0].reshape(-1))
    assert np.mean(got.reshape(500, -1).argmax(axis=1) == data["y"]) == pytest.approx(0.898)


def test_a_bias_may_carry_the_dimension_of_its_weights() -> None:
    """Older converters write it so; a vector has only one dimension."""
    case = CASES["CONV_2D"]
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(case.model, 0))
    (bias,) = (t for t in model.subgraphs[0].tensors if len(t.shape) == 1)
    assert len(bias.quantization.scale) == bias.shape[0] > 1
    bias.quantization.quantizedDimension = 3
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    inputs = case.inputs(5)
    for got, expected in zip(
        built(bytes(builder.Output()), inputs).expected, built(case.model, inputs).expected, strict=True
    ):
        np.testing.assert_array_equal(got, expected)


def test_the_verdict_asks_litert_for_sums_that_it_does_not_write_over_their_operand() -> None:
    """LiteRT gives a broadcast operand's memory to the sum unless every tensor is kept."""
    tensors = {"a": T((1, 1), "int16", 1e-4), "b": T((1, 7), "int16", 1e-4), "y": T((1, 7), "int16", 2e-4)}
    add = Op("ADD", ["a", "b"], ["y"], "AddOptions", {"potScaleInt16": False})
    model = tflite_model(tensors, [add], ["a", "b"], ["y"])
    rng = np.random.default_rng(0)
    inputs = [rng.integers(-30000, 30000, (20, *tensors[n].shape)).astype(np.int16) for n in "ab"]
    net = built(model, inputs)
    told, _ = compare(model, net.quantized.graph, net.inputs, net.expected)
    assert (told.against, told.values, told.differing) == ("LiteRT", 140, 0)
