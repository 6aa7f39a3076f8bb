"""Every operator's samples through every meaning: ONNX Runtime, integer NumPy, C on the host, emulated cores."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from building import (
    Built,
    assert_chip_equals,
    assert_host_equals,
    build,
    exported_model,
    fastest_plan,
    on_chip,
    write_library,
)
from conftest import need
from merged_networks import batches, merged

from pipeline.facts.errors import ChipfitError
from pipeline.graph.graph_file import load, save
from pipeline.graph.onnx_export import float_model
from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.passes import canonical
from pipeline.ops import IMPORTS, NODES, samples
from pipeline.ops.lookup import Interpolate
from pipeline.ops.shared.linear import Linear
from pipeline.ops.shared.samples import Sample
from pipeline.quantizing.fidelity import compare_export
from pipeline.quantizing.onnx_runtime import FloatSession

SAMPLES = {s.name: s for s in samples()}
SMOOTH = [s for s in SAMPLES.values() if not s.jumps]
SEVERAL = batches(SAMPLES.values(), 16)
"""Samples that share one library."""
LINEAR = {n: s for n, s in SAMPLES.items() if n.startswith(("Conv", "Gemm", "MatMul"))}


def names(several: Sequence[Sample]) -> str:
    return f"{several[0].name} to {several[-1].name}"


def in_one(
    several: Sequence[Sample], core: str | None, count: int, requantizer: str = "shift", activations: str = "int8"
) -> Built:
    """Samples as one network of `count` vectors: the fastest plans for `core`, or C alone."""
    parts = {}
    for sample in several:
        inputs = tuple(sample.inputs(count).values())
        built = build(sample.model, inputs, inputs, requantizer, activations=activations)
        parts[sample.name] = built, built.program if core is None else fastest_plan(built, core)
    return merged(parts)


@pytest.fixture(params=SAMPLES.values(), ids=SAMPLES.keys())
def sample(request: pytest.FixtureRequest) -> Iterator[Sample]:
    yield request.param


def test_every_imported_operator_has_a_sample() -> None:
    sampled = {n.op_type for s in SAMPLES.values() for n in s.model.graph.node}
    assert sampled == set(IMPORTS) - {
        "QuantizeLinear",
        "DequantizeLinear",
        "Cast",
        "CastLike",
    }  # see test_quantized_onnx


def test_import_and_passes_keep_the_float_meaning(sample: Sample) -> None:
    graph = canonical(graph_of(sample.model, "x", "net"), "x")
    ours = float_model(graph)
    onnx.checker.check_model(ours)
    inputs = sample.inputs(4)
    reference = FloatSession(sample.model).stacked(inputs)
    stored = {p.tensor: p.to_stored(inputs[p.onnx_name]) for p in graph.inputs}
    results = FloatSession(ours).stacked(stored)
    for port in graph.outputs:
        got = port.to_onnx(results[port.tensor])
        assert got.shape == reference[port.onnx_name].shape
        np.testing.assert_allclose(got, reference[port.onnx_name], rtol=1e-4, atol=1e-5)


REQUANTIZERS = ("shift", "multiplier")
# In the fast suite samples without weights, and libraries of several, take the requantizers in turns.
EACH = [
    pytest.param(s, r, id=f"{n}-{r}", marks=[pytest.mark.exhaustive] * (n not in LINEAR and (i + j) % 2))
    for i, (n, s) in enumerate(SAMPLES.items())
    for j, r in enumerate(REQUANTIZERS)
]
SHARED = [
    pytest.param(b, r, id=f"{names(b)}-{r}", marks=[pytest.mark.exhaustive] * ((i + j) % 2))
    for i, b in enumerate(SEVERAL)
    for j, r in enumerate(REQUANTIZERS)
]


@pytest.mark.parametrize(("sample", "requantizer"), EACH)
def test_integers_are_near_float_and_nearer_to_the_qdq_model(sample: Sample, requantizer: str) -> None:
    """Within 4 output steps of float: one from the output, the rest from inputs and weights of one int8 layer."""
    inputs = sample.inputs(64)
    built = build(sample.model, tuple(inputs.values()), tuple(inputs.values()), requantizer)
    reference = FloatSession(sample.model).stacked(inputs)
    model = exported_model(built)
    assert compare_export(model, built.quantized.graph, tuple(inputs.values())).first is None
    qdq = FloatSession(model).stacked(inputs)
    for port, got in zip(built.graph.outputs, built.expected, strict=True):
        quant = built.quantized.graph.tensors[port.tensor].quant
        if quant is None:
            assert np.mean(port.to_onnx(got) == reference[port.onnx_name]) > 0.9
        else:
            real = port.to_onnx(quant.dequantize(got))
            assert sample.jumps or np.abs(real - reference[port.onnx_name]).max() <= 4 * quant.scale[0]
            # A tie is rounded up here and to even there, once in every layer: linear resizing is one along each axis.
            layers = sum(isinstance(n, Linear) for n in built.quantized.graph.nodes)
            assert np.abs(real - qdq[port.onnx_name]).max() <= 1.01 * max(1, layers) * quant.scale[0]


@pytest.mark.parametrize("jumping", [s for s in SAMPLES.values() if s.jumps], ids=lambda s: s.name)
def test_int16_refuses_what_jumps(jumping: Sample) -> None:
    inputs = tuple(jumping.inputs(16).values())
    with pytest.raises(ChipfitError, match="bends too sharply"):
        build(jumping.model, inputs, inputs, activations="int16")


@pytest.mark.parametrize("sample", SMOOTH, ids=lambda s: s.name)
def test_int16_is_near_the_qdq_model(sample: Sample) -> None:
    """Within 4 steps of ONNX Runtime on the same integers, 20 where a table's straight line meets a kink."""
    inputs = sample.inputs(16)
    built = build(sample.model, tuple(inputs.values()), tuple(inputs.values()), activations="int16")
    model = exported_model(built)
    qdq = FloatSession(model).stacked(inputs)
    kinked = any(isinstance(n, Interpolate) for n in built.quantized.graph.nodes)
    off = [0.0]
    for port, got in zip(built.graph.outputs, built.expected, strict=True):
        quant = built.quantized.graph.tensors[port.tensor].quant
        if quant is not None:
            off.append(np.abs(port.to_onnx(quant.dequantize(got)) - qdq[port.onnx_name]).max() / quant.scale[0])
    assert max(off) <= (20 if kinked else 4)


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4"])
@pytest.mark.parametrize("several", batches(SMOOTH, 16), ids=names)
def test_int16_machine_code_equals_the_specification(several: Sequence[Sample], core: str, tmp_path: Path) -> None:
    whole = in_one(several, core, 4, activations="int16")
    runs = on_chip(whole, write_library(whole, tmp_path, core, whole.program), core, count=4)
    assert_chip_equals(whole, runs)
    assert core == "cortex-m4" or len({r.total for r in runs}) == 1, "the time depends on the input"


def test_graph_survives_its_file(sample: Sample) -> None:
    inputs = tuple(sample.inputs(3).values())
    built = build(sample.model, inputs, inputs)
    again = load(save(built.quantized.graph), NODES)
    again.verify(integer=True)
    assert save(again) == save(built.quantized.graph)
    for got, expected in zip(again.run(built.inputs), built.expected, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("fastest", [False, True], ids=["C alone", "fastest"])
@pytest.mark.parametrize("several", SEVERAL, ids=names)
def test_machine_code_on_cortex_m0_equals_the_specification(
    several: Sequence[Sample], fastest: bool, tmp_path: Path
) -> None:
    whole = in_one(several, "cortex-m0" if fastest else None, 8)
    runs = on_chip(whole, write_library(whole, tmp_path, "cortex-m0", whole.program), "cortex-m0")
    assert_chip_equals(whole, runs)
    assert len({r.total for r in runs}) == 1, "the time depends on the input"


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4"])
@pytest.mark.parametrize("several", batches(LINEAR.values(), 16), ids=names)
def test_multiplier_kernels_on_chip_equal_the_specification(
    several: Sequence[Sample], core: str, tmp_path: Path
) -> None:
    whole = in_one(several, core, 8, "multiplier")
    assert_chip_equals(whole, on_chip(whole, write_library(whole, tmp_path, core, whole.program), core))


@pytest.mark.parametrize(("several", "requantizer"), SHARED)
def test_c_under_the_undefined_behaviour_sanitizer_equals_the_specification(
    several: Sequence[Sample], requantizer: str, tmp_path: Path
) -> None:
    need("gcc")
    whole = in_one(several, "cortex-m0", 16, requantizer)
    flags = ("-O1", "-fsanitize=undefined", "-fno-sanitize-recover")
    assert_host_equals(whole, write_library(whole, tmp_path, "cortex-m0", whole.program), "gcc", flags)


@pytest.mark.exhaustive
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("level", ["-O0", "-O3"])
@pytest.mark.parametrize("several", SEVERAL, ids=names)
def test_c_by_other_compilers_equals_the_specification(
    several: Sequence[Sample], compiler: str, level: str, tmp_path: Path
) -> None:
    need(compiler)
    for requantizer, core in (("shift", "cortex-m0"), ("multiplier", "cortex-m4")):
        whole = in_one(several, core, 16, requantizer)
        library = write_library(whole, tmp_path / requantizer, core, whole.program)
        assert_host_equals(whole, library, compiler, (level,))


@pytest.mark.exhaustive
@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m0plus", "cortex-m3", "cortex-m4"])
@pytest.mark.parametrize("several", SEVERAL, ids=names)
def test_gcc_machine_code_on_every_core_equals_the_specification(
    several: Sequence[Sample], core: str, tmp_path: Path
) -> None:
    need("arm-none-eabi-gcc")
    whole = in_one(several, core, 4, "shift" if core.startswith("cortex-m0") else "multiplier")
    assert_chip_equals(whole, on_chip(whole, write_library(whole, tmp_path, core, whole.program), core, "gcc"))


@pytest.mark.exhaustive
def test_each_alone_is_a_library_that_lacks_nothing(sample: Sample, tmp_path: Path) -> None:
    """What shares an image with others could lean on what only they bring."""
    inputs = tuple(sample.inputs(8).values())
    for activations in ("int8", "int16")[: 1 if sample.jumps else 2]:
        built = build(sample.model, inputs, inputs, activations=activations)
        library = write_library(built, tmp_path / activations, "cortex-m0")
        assert_chip_equals(built, on_chip(built, library, "cortex-m0", count=2))
        assert_host_equals(built, library)
