"""The lower bound below which no network goes: exact on the graph, never higher when read from dimensions alone."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from building import build
from conftest import ROOT
from onnx import TensorProto, helper, numpy_helper

from pipeline.facts.cores import CORES
from pipeline.facts.errors import ChipfitError
from pipeline.facts.weight_bits import Widths, bits_needed
from pipeline.graph.ir import Graph
from pipeline.importing.lower_bounds import LowerBound, lower_bound_of, taps_inside
from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.onnx_lower_bounds import onnx_lower_bound
from pipeline.importing.passes import canonical
from pipeline.model_files.onnx_file import parse_onnx
from pipeline.ops import samples
from pipeline.ops.shared.samples import Sample, one_node, weights
from pipeline.ops.shared.window import Window

MODELS = ROOT / "configs" / "models"
SAMPLES = {s.name: s for s in samples()}


def full(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with matrices and kernels of weights that cannot become zero."""
    rng, filled = np.random.default_rng(0), onnx.ModelProto()
    filled.CopyFrom(model)
    for tensor in filled.graph.initializer:
        if len(tensor.dims) > 1 and tensor.data_type == TensorProto.FLOAT:
            values = rng.uniform(0.5, 1.0, tensor.dims).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return filled


def early(sample: Sample) -> LowerBound | None:
    """From dimensions alone; the samples leave out their outputs' shapes, which an ONNX file has to have."""
    for output in sample.model.graph.output:
        output.type.tensor_type.shape.dim.add()
    return onnx_lower_bound(sample.model)


def graph(model: onnx.ModelProto) -> Graph:
    return canonical(graph_of(model, "net.onnx", "net"), "net.onnx")


@pytest.mark.parametrize("name", ["touch", "digits"])
def test_dimensions_alone_tell_the_exact_floor(name: str) -> None:
    path = MODELS / f"{name}.onnx"
    assert onnx_lower_bound(parse_onnx(path, path.name)) == lower_bound_of(graph(full(onnx.load(path))))


@pytest.mark.parametrize("name", SAMPLES)
def test_dimensions_alone_never_tell_more_than_the_graph(name: str) -> None:
    model = SAMPLES[name].model
    told = early(SAMPLES[name])
    assert told is not None
    for exact, found in ((lower_bound_of(graph(model)), told.sparsest(8)), (lower_bound_of(graph(full(model))), told)):
        assert found.weights <= exact.weights and found.macs <= exact.macs and found.executed <= exact.executed


CONVS = [s for s in SAMPLES.values() if any(n.op_type == "Conv" for n in s.model.graph.node)]


@pytest.mark.parametrize("sample", CONVS, ids=[s.name for s in CONVS])
def test_convolutions_are_told_from_dimensions(sample: Sample) -> None:
    exact, found = lower_bound_of(graph(full(sample.model))), early(sample)
    assert found is not None and (found.macs, found.executed) == (exact.macs, exact.executed)
    assert found.weights in (exact.weights, exact.weights - channels(sample)), "the import adds a bias of zeros"


def channels(sample: Sample) -> int:
    return int(sample.model.graph.initializer[0].dims[0])


@pytest.mark.parametrize("window", [Window((3, 2), (2, 1), (1, 0, 2, 1), (1, 2)), Window((5, 5), pads=(4, 4, 4, 4))])
def test_taps_inside_are_those_that_read_no_padding(window: Window) -> None:
    ones = window.patches(np.ones((1, 7, 6, 1)), fill=0.0)
    (_, height, width, *_), counted = ones.shape, 1
    for axis, (size, out) in enumerate(((7, height), (6, width))):
        w = window
        counted *= taps_inside(size, out, w.kernel[axis], w.strides[axis], w.pads[axis], w.dilations[axis]).sum()
    assert counted == ones.sum()


@pytest.mark.parametrize("bits", range(8, 1, -1))
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("sample", [*CONVS, SAMPLES["MatMul_1x3x4_17"]], ids=lambda s: s.name)
def test_no_network_of_integers_goes_below_the_floor_of_its_floats(
    sample: Sample, bits: int, per_channel: bool
) -> None:
    inputs = tuple(sample.inputs(16).values())
    least = lower_bound_of(graph(sample.model), Widths(bits))
    for requantizer in ("shift", "multiplier"):
        built = build(sample.model, inputs, inputs, requantizer, per_channel=per_channel, widths=Widths(bits))
        found = lower_bound_of(built.quantized.graph)
        assert least.weights <= found.weights and least.macs == found.macs and least.executed <= found.executed
        assert all(least.cycles(core) <= found.cycles(core) for core in CORES)


def test_zeros_cost_nothing_and_ternary_weights_half() -> None:
    sample = one_node("Conv", {"x": (1, 1, 3, 3)}, {"w": np.ones((1, 1, 3, 3), np.float32)}, pads=[1, 1, 1, 1])
    sample.model.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(np.array([[[[1, 0, 0], [0, 0.9, 0], [0, 0, 0.001]]]], np.float32), "w")
    )
    of_floats = lower_bound_of(graph(sample.model))
    assert of_floats == LowerBound(2 + 1, 81, 4 + 9), (
        "a thousandth may become zero; the corner meets padding five times"
    )
    inputs = tuple(sample.inputs(16).values())
    ternary = lower_bound_of(build(sample.model, inputs, inputs, widths=Widths(2)).quantized.graph)
    assert ternary == LowerBound(1 + 1, 81, 13, 13) and ternary.cycles("cortex-m0") == 4


@pytest.mark.parametrize(
    ("least", "largest", "bits"), [(-1, 1, 2), (-2, 1, 2), (-2, 2, 3), (-4, 3, 3), (0, 127, 8), (-128, 0, 8), (0, 0, 1)]
)
def test_bits_that_hold_integers(least: int, largest: int, bits: int) -> None:
    assert bits_needed(np.array([least, largest], np.int8)) == bits


def test_weights_that_layers_share_count_once() -> None:
    sample = one_node("Gemm", {"x": (1, 20)}, {"w": 1 + weights(20, 20) / 9})
    again = helper.make_node("Gemm", ["y0", "w"], ["z"], name="again")
    sample.model.graph.node.append(again)
    sample.model.graph.output[0].name = "z"
    assert early(sample) == LowerBound(400, 800, 800)
    assert lower_bound_of(graph(sample.model)).weights == 400 + 20, "one bias of zeros, shared too"


def test_layers_that_do_not_reach_an_output_or_an_input_do_not_count() -> None:
    sample = one_node("Gemm", {"x": (1, 20)}, {"w": weights(20, 20), "v": weights(20, 30)}, label="two")
    del sample.model.graph.node[0].input[2]
    folded = helper.make_node("MatMul", ["w", "v"], ["folded"], name="folded")
    dead = helper.make_node("MatMul", ["x", "v"], ["dead"], name="dead")
    sample.model.graph.node.extend([folded, dead])
    assert early(sample) == LowerBound(400, 400, 400)


def test_external_weights_are_not_even_looked_for() -> None:
    sample = one_node("Gemm", {"x": (1, 50000)}, {"w": np.zeros((50000, 1), np.float32)})
    tensor = sample.model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location, tensor.dims[1] = TensorProto.EXTERNAL, 40000
    assert early(sample) == LowerBound(2 * 10**9, 2 * 10**9, 2 * 10**9)


def test_what_the_file_says_of_its_own_shapes_is_not_believed() -> None:
    sample = one_node("Gemm", {"x": (1, 20)}, {"w": weights(20, 20)})
    shape = sample.model.graph.output[0].type.tensor_type.shape
    shape.dim.add().dim_value = 10**9
    shape.dim.add().dim_value = 20
    assert onnx_lower_bound(sample.model) in (None, LowerBound(400, 400, 400))


def test_mutated_files_have_a_floor_or_none(tmp_path: Path) -> None:
    whole, path = (MODELS / "digits.onnx").read_bytes(), tmp_path / "mutated.onnx"
    refused = 0
    for index in range(300):
        rng = np.random.default_rng([3, index])
        data = bytearray(whole)
        for at in rng.integers(0, len(data), rng.integers(1, 20)):
            data[at] = rng.integers(256)
        path.write_bytes(data)
        try:
            onnx_lower_bound(parse_onnx(path, path.name))
        except ChipfitError:
            refused += 1
        except Exception as error:
            raise AssertionError(f"index {index}") from error
    assert 20 < refused < 280
