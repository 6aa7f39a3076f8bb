"""The lower bound below which no network goes, exact on the graph; tests of ONNX files' are beside it."""

import numpy as np
import onnx
import pytest
from building import build
from onnx import numpy_helper

from pipeline.facts.cores import CORES
from pipeline.facts.weight_bits import Widths, bits_needed
from pipeline.graph.ir import Graph
from pipeline.importing.lower_bounds import LowerBound, lower_bound_of, taps_inside
from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.passes import canonical
from pipeline.ops import samples
from pipeline.ops.shared.samples import Sample, one_node
from pipeline.ops.shared.window import Window

SAMPLES = {s.name: s for s in samples()}


def graph(model: onnx.ModelProto) -> Graph:
    return canonical(graph_of(model, "net.onnx", "net"), "net.onnx")


CONVS = [s for s in SAMPLES.values() if any(n.op_type == "Conv" for n in s.model.graph.node)]


@pytest.mark.parametrize("window", [Window((3, 2), (2, 1), (1, 0, 2, 1), (1, 2)), Window((5, 5), pads=(4, 4, 4, 4))])
def test_taps_inside_are_those_that_read_no_padding(window: Window) -> None:
    ones = window.patches(np.ones((1, 7, 6, 1)), fill=0.0)
    (_, height, width, *_), counted = ones.shape, 1
    for axis, (size, out) in enumerate(((7, height), (6, width))):
        w = window
        counted *= taps_inside(size, out, w.kernel[axis], w.strides[axis], w.pads[axis], w.dilations[axis]).sum()
    assert counted == ones.sum()


EXHAUSTIVE = [pytest.param(bits, marks=pytest.mark.exhaustive) for bits in (7, 6, 5, 4)]


@pytest.mark.parametrize("bits", [8, 3, 2, *EXHAUSTIVE])
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
