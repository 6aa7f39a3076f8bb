"""The lower bound of an ONNX file from dimensions alone: exact, or never higher than that of the graph."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import ROOT
from onnx import TensorProto, helper, numpy_helper

from pipeline.facts.errors import ChipfitError
from pipeline.graph.ir import Graph
from pipeline.importing.lower_bounds import LowerBound, lower_bound_of
from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.onnx_lower_bounds import onnx_lower_bound
from pipeline.importing.passes import canonical
from pipeline.model_files.onnx_file import parse_onnx
from pipeline.ops import samples
from pipeline.ops.shared.samples import Sample, one_node, weights

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
