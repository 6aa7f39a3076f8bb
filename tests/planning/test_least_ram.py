"""The least RAM: never more than the planner needs, and close to it where nothing is left to be settled."""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import onnx
import pytest
from building import build
from conftest import ROOT, chipfit, some
from onnx import TensorProto, helper, numpy_helper

from pipeline.facts.config import load_project
from pipeline.facts.errors import ChipfitError
from pipeline.graph.ir import Graph
from pipeline.graph.tensor import Array
from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.passes import canonical
from pipeline.ops import samples
from pipeline.planning.dead_channels import without_dead_channels
from pipeline.planning.least_ram import least_ram
from pipeline.planning.plan import plan
from pipeline.quantizing.calibrate import Policy, observe
from pipeline.quantizing.data import Samples
from pipeline.quantizing.integer_graph import join_int8_functions, quantize
from stages import feasibility, import_model
from stages.base import Job
from stages.execution import execute
from stages.import_model import read_model

OWN = [(i, o) for i in (False, True) for o in (False, True)]


def never_more(graph: Graph, integer: Graph, dtype: str) -> list[tuple[int, int]]:
    """(least RAM of the integer graph, the planner's arena) for inputs and outputs in either memory, after checking."""
    found = []
    for inputs, outputs in OWN:
        own = {"own_inputs": inputs, "own_outputs": outputs}
        try:
            planned = plan("net", without_dead_channels(integer), **own).arena.size
        except ChipfitError:  # an output that is an input cannot live in the arena
            continue
        bounds = [least_ram(g, dtype, **own) for g in (graph, integer)]
        assert all(f.bytes <= planned for f in bounds), (bounds, planned)
        found.append((bounds[1].bytes, planned))
    return found


@pytest.mark.parametrize("every", [11, pytest.param(1, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_the_floor_never_exceeds_a_plan_of_any_operator(dtype: str, every: int) -> None:
    sums = np.zeros(2)
    for sample in list(samples())[::every]:
        if dtype == "int16" and sample.jumps:
            continue
        inputs = tuple(sample.inputs(4).values())
        try:
            built = build(sample.model, inputs, inputs, activations=dtype)
        except ChipfitError:
            continue
        sums += np.sum(never_more(built.graph, built.quantized.graph, dtype), axis=0)
    assert sums[0] > 0.9 * sums[1]


MODELS = ["configs/models/touch.onnx", "configs/models/digits.onnx", "configs/models/digits_mlp.onnx"]
SHARED = ["ic_float.onnx", "kws_float.onnx", "kws_ref_model.tflite", "pretrainedResnet_quant.tflite"]
SHARED += ["vww_96_int8.tflite", "ad01_int8.tflite"]


def integer_of(graph: Graph) -> Graph:
    if graph.integer:
        return graph
    rng, policy = np.random.default_rng(1), Policy("min-max")
    graph = join_int8_functions(graph, policy)
    inputs = tuple(rng.normal(0, 1, (3, *p.onnx_shape)).astype(np.float32) for p in graph.inputs)
    observed = observe(graph, Samples(inputs), lambda done, total: None)
    return quantize(graph, observed, policy, per_channel=True, requantizer="multiplier").graph


@pytest.mark.parametrize("name", MODELS)
def test_the_floor_never_exceeds_the_plans_of_the_products(name: str) -> None:
    graph = read_model(ROOT / name, name, "net")
    never_more(graph, integer_of(graph), "int8")


@pytest.mark.parametrize("name", SHARED)
def test_the_floor_never_exceeds_the_plans_of_real_networks(shared_models: Path, name: str) -> None:
    graph = read_model(shared_models / "mlperf_tiny" / name, name, "net")
    found = never_more(graph, integer_of(graph), "int8")
    assert name == "ad01_int8.tflite" or all(least == planned for least, planned in some(found[:1]))


def convolutions(*kernels: Array, size: int = 32, residual: bool = False) -> onnx.ModelProto:
    """3x3 layers with Relu on an image of three channels; with `residual` the first output is added to the last."""
    nodes, constants, x = [], [], "x"
    for i, kernel in enumerate(kernels):
        constants.append(numpy_helper.from_array(kernel.astype(np.float32), f"w{i}"))
        nodes.append(helper.make_node("Conv", [x, f"w{i}"], [f"c{i}"], name=f"conv{i}", pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"], name=f"relu{i}"))
        x = f"r{i}"
    if residual:
        nodes.append(helper.make_node("Add", [x, "r0"], ["sum"], name="add"))
        x = "sum"
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["y"], name="pool"))
    infos = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, size, size])]
    infos.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, len(kernels[-1]), 1, 1]))
    graph = helper.make_graph(nodes, "net", infos[:1], infos[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


RNG = np.random.default_rng(6)


def test_networks_of_dead_channels_are_not_refused_for_them() -> None:
    first, second = RNG.normal(0, 1, (16, 3, 3, 3)), RNG.normal(0, 1, (8, 16, 3, 3))
    first[3:] *= 1e-9
    model = convolutions(first, second)
    x = RNG.normal(0, 1, (4, 1, 3, 32, 32)).astype(np.float32)
    built = build(model, (x,), (x,))
    (least, planned), *_ = never_more(built.graph, built.quantized.graph, "int8")
    assert least == planned < 16 * 32 * 32, "most of the first layer's channels are constant"


def test_channels_that_a_bias_keeps_at_zero_are_not_counted() -> None:
    """58 of 64 channels are never above zero: what their bias says is believed, and then half of the rest."""
    kernels = [RNG.normal(0, 0.3, (64, 3, 3, 3)), RNG.normal(0, 0.1, (4, 64, 3, 3))]
    bias = np.full(64, -50, np.float32)
    bias[:6] = 0
    model = convolutions(*kernels)
    model.graph.initializer.append(numpy_helper.from_array(bias, "b0"))
    model.graph.node[0].input.append("b0")
    x = RNG.uniform(-1, 1, (4, 1, 3, 32, 32)).astype(np.float32)
    built = build(model, (x,), (x,))
    (least, planned), *_ = never_more(built.graph, built.quantized.graph, "int8")
    assert least == planned == (6 + 4) * 32 * 32


def test_a_refusal_that_rests_on_an_assumption_is_only_for_what_is_far_too_large(tmp_path: Path) -> None:
    """Half of two layers' channels take 32 KiB at once; proven are the 4 KiB that lead to the network's output."""
    onnx.save(
        convolutions(*(RNG.normal(0, 1, (o, i, 3, 3)) for i, o in ((3, 32), (32, 32), (32, 4)))), tmp_path / "net.onnx"
    )
    graph = read_model(tmp_path / "net.onnx", "net.onnx", "net")
    own = {"own_inputs": False, "own_outputs": False}
    assumed, proven = least_ram(graph, "int8", **own), least_ram(graph, "int8", **own, surviving=0.0)
    assert (assumed.bytes, assumed.sure, proven.bytes, proven.sure) == (32 * 1024, False, 4 * 1024, True)
    np.savez(tmp_path / "net.npz", calib=np.zeros((4, 3, 32, 32), np.float32))
    for ram, refused in ((assumed.bytes // 4, False), (assumed.bytes // 4 - 8, True)):
        yaml = "product: net\nmodel: {source: net.onnx}\ndata: {calibration: net.npz}\nchip: stm32f030r8\n"
        (tmp_path / "net.yaml").write_text(f"{yaml}budget: {{ram: {ram} B}}\n")
        job = Job(load_project(tmp_path / "net.yaml"), tmp_path / "build")
        with pytest.raises(ChipfitError, match="assuming that") if refused else nullcontext():
            for stage in (import_model, feasibility):
                execute(stage, job)


def test_what_lives_on_beside_a_layer_counts() -> None:
    kernels = [RNG.normal(0, 1, (8, c, 3, 3)) for c in (3, 8, 8)]
    x = RNG.normal(0, 1, (4, 1, 3, 32, 32)).astype(np.float32)
    built = build(convolutions(*kernels, residual=True), (x,), (x,))
    (least, planned), *_ = never_more(built.graph, built.quantized.graph, "int8")
    assert least == planned == 3 * 8 * 32 * 32


def test_hopeless_ram_is_refused_before_anything_is_quantized(tmp_path: Path) -> None:
    model = convolutions(RNG.normal(0, 1, (32, 3, 3, 3)), RNG.normal(0, 1, (32, 32, 3, 3)))
    onnx.save(model, tmp_path / "net.onnx")
    x = RNG.normal(0, 1, (4, 3, 32, 32)).astype(np.float32)
    np.savez(tmp_path / "net.npz", calib=x)
    yaml = "product: net\nmodel: {source: net.onnx}\ndata: {calibration: net.npz}\nchip: stm32f030r8\n"
    (tmp_path / "net.yaml").write_text(yaml)
    done = chipfit(tmp_path, "build")
    assert (done.returncode, done.stderr) == (
        1,
        "net.yaml: budget.ram: the feature maps that layer 'conv1' needs at once take at least 32.0 KiB (32768 bytes), "
        "limit 8.0 KiB (4.0x). Hint: No setting of chipfit makes them fit: the network needs "
        "smaller feature maps there, or a larger chip.\n",
    )
    assert not (tmp_path / "build" / "net" / "quantize").exists()
    graph = canonical(graph_of(model, "net.onnx", "net"), "net.onnx")
    assert least_ram(graph, "int16", own_inputs=False, own_outputs=False).bytes == 2 * 49152
