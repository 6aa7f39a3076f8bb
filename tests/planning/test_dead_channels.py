"""Channels that cannot matter: without them every output is the same, on any network."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from building import Built, build, from_integers
from conftest import chipfit_here
from onnx import TensorProto, helper, numpy_helper

from pipeline.facts.errors import ChipfitError
from pipeline.graph.ir import Graph
from pipeline.graph.tensor import Array
from pipeline.planning.dead_channels import channel_ranges, channels_left_out, without_dead_channels
from stages.import_model import read_model

SIZE = 9


class Net:
    """An ONNX network of convolutions with many zero rows and columns, written layer by layer."""

    def __init__(self, rng: np.random.Generator, channels: int) -> None:
        self.rng, self.channels, self.size = rng, channels, SIZE
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.last = "x"

    def constant(self, data: Array) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(data.astype(np.float32), name))
        return name

    def node(self, op: str, *inputs: str, **attributes: object) -> str:
        self.last = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [self.last], name=f"n{len(self.nodes)}", **attributes))
        return self.last

    def conv(self, outputs: int, kernel: int, pad: int, *, depthwise: bool = False, relu: bool = True) -> None:
        rng = self.rng
        inputs, outputs = (1, self.channels) if depthwise else (self.channels, outputs)
        w = rng.normal(0, 0.5, (outputs, inputs, kernel, kernel)) * (rng.random((outputs, 1, 1, 1)) < 0.6)
        if not depthwise:
            w = w * (rng.random((1, inputs, 1, 1)) < 0.8)
        bias = np.where(rng.random(outputs) < 0.5, -1.0, 1.0) * rng.random(outputs)
        given = {"group": self.channels} if depthwise and self.channels > 1 else {}
        source = self.last
        self.node("Conv", source, self.constant(w), self.constant(bias), pads=[pad] * 4, **given)
        self.channels, self.size = outputs, self.size + 2 * pad - kernel + 1
        if relu:
            self.node("Relu", self.last)

    def pool(self, op: str) -> None:
        if self.size >= 4:
            self.node(op, self.last, kernel_shape=[2, 2], strides=[2, 2])
            self.size //= 2

    def branch(self) -> None:
        """Two readers of one tensor, and an addition that needs every channel."""
        source, channels, size = self.last, self.channels, self.size
        self.conv(5, 1, 0)
        first, (self.last, self.channels, self.size) = self.last, (source, channels, size)
        self.conv(5, 1, 0)
        self.node("Add", first, self.last)

    def model(self) -> onnx.ModelProto:
        self.node("Flatten", self.last)
        w = self.rng.normal(0, 0.5, (self.channels * self.size**2, 4))
        self.node("Gemm", self.last, self.constant(w), self.constant(self.rng.normal(0, 1, 4)))
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, SIZE, SIZE))],
            [helper.make_tensor_value_info(self.last, TensorProto.FLOAT, (1, 4))],
            self.constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def any_net(seed: int, requantizer: str) -> Built | None:
    """A random network, quantized; None where so little is left of its signal that no shift can say its scale."""
    rng = np.random.default_rng(seed)
    net = Net(rng, 3)
    for _ in range(int(rng.integers(2, 7))):
        kind = rng.integers(0, 7)
        if kind < 2:
            net.conv(int(rng.integers(1, 12)), 1, 0, relu=bool(rng.integers(0, 2)))
        elif kind == 2:
            net.conv(int(rng.integers(1, 12)), 3 if net.size > 3 else 1, int(rng.integers(0, 2)))
        elif kind < 5:
            net.conv(0, 3 if net.size > 3 else 1, int(rng.integers(0, 2)), depthwise=True)
        elif kind == 5:
            net.pool(str(rng.choice(["MaxPool", "AveragePool"])))
        else:
            net.branch()
    x = rng.normal(0, 1, (6, 1, 3, SIZE, SIZE)).astype(np.float32)
    try:
        return build(net.model(), (x,), (x,), requantizer)
    except ChipfitError as error:
        assert "by more than a shift can say" in str(error)
        return None


def assert_equal(graph: Graph, small: Graph, inputs: list[Array]) -> None:
    for given in (inputs, [np.full_like(a, v) for a in inputs for v in (-128, 127)][:1]):
        for ours, expected in zip(small.run(given), graph.run(given), strict=True):
            np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("count", [25, pytest.param(60, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("requantizer", ["shift", "multiplier"])
def test_outputs_stay_as_they_are(requantizer: str, count: int) -> None:
    """Random networks; and each kind of channel is met that goes, and that must not."""
    gone = same = 0
    rng = np.random.default_rng(0)
    for built in filter(None, (any_net(seed, requantizer) for seed in range(count))):
        graph = built.quantized.graph
        small = without_dead_channels(graph)
        noise = [rng.integers(-128, 128, a.shape).astype(np.int8) for a in built.inputs]
        assert_equal(graph, small, built.inputs)
        assert_equal(graph, small, noise)
        assert without_dead_channels(small) is small
        left_out = channels_left_out(graph, small)
        assert left_out.macs >= 0 and left_out.channels >= 0
        gone, same = gone + left_out.channels, same + (small is graph)
    assert gone > 200 * count // 60 and same > 0


def test_ranges_hold_whatever_comes_in() -> None:
    rng, met = np.random.default_rng(0), []
    for built in filter(None, (any_net(seed, "multiplier") for seed in range(20))):
        graph = built.quantized.graph
        ranges = channel_ranges(graph)

        def inside(name: str, values: Array, ranges: object = ranges) -> None:
            assert isinstance(ranges, dict)
            if name in ranges:
                low, high = ranges[name]
                assert ((values >= low) & (values <= high)).all(), name
                met.append(name)

        noise = rng.integers(-128, 128, (4, 1, SIZE, SIZE, 3)).astype(np.int8)
        graph.run([noise], keep=inside)
    assert len(met) > 60


def chain(bias: float, pad: int) -> Graph:
    """1x1 (one of four outputs is a constant), depthwise 3x3, 1x1, quantized."""
    rng = np.random.default_rng(3)
    net = Net(rng, 3)
    w = rng.normal(0, 0.5, (4, 3, 1, 1))
    w[2] = 0
    net.node("Conv", "x", net.constant(w), net.constant(np.array([0.1, 0.2, bias, 0.3])))
    net.node("Relu", net.last)
    net.channels = 4
    net.node("Conv", net.last, net.constant(rng.normal(0, 0.5, (4, 1, 3, 3))), pads=[pad] * 4, group=4)
    net.size += 2 * pad - 2
    net.node("Conv", net.last, net.constant(rng.normal(0, 0.5, (5, 4, 1, 1))))
    net.channels = 5
    x = rng.normal(0, 1, (6, 1, 3, SIZE, SIZE)).astype(np.float32)
    return build(net.model(), (x,), (x,)).quantized.graph


@pytest.mark.parametrize(("bias", "pad", "kept"), [(-1.0, 1, 3), (1.0, 0, 3), (1.0, 1, 4)])
def test_a_constant_beside_padding_is_one_only_if_padding_is_the_same(bias: float, pad: int, kept: int) -> None:
    graph = chain(bias, pad)
    small = without_dead_channels(graph)
    assert [small.tensors[n.output].shape[-1] for n in small.nodes[:3]] == [kept, kept, 5]
    noise = np.random.default_rng(1).integers(-128, 128, (9, 1, SIZE, SIZE, 3)).astype(np.int8)
    assert_equal(graph, small, [noise])


def test_a_network_without_such_channels_is_left_alone(shared_models: Path) -> None:
    graph = read_model(shared_models / "mlperf_tiny" / "kws_ref_model.tflite", "kws", "net")
    assert without_dead_channels(graph) is graph


def test_half_of_visual_wake_words_is_not_needed(shared_models: Path) -> None:
    tiny = shared_models / "mlperf_tiny"
    graph = read_model(tiny / "vww_96_int8.tflite", "vww", "net")
    small = without_dead_channels(graph)
    left_out = channels_left_out(graph, small)
    assert left_out.channels > 1000 and 2 * left_out.macs > graph.macs
    port = graph.inputs[0]
    real = np.load(tiny / "vww_96_int8.vectors.npz")["input"][:4].reshape(-1, *port.onnx_shape)
    noise = np.random.default_rng(0).integers(-128, 128, (4, *port.onnx_shape)).astype(np.int8)
    built = from_integers(graph, [np.concatenate([real, noise])])
    assert_equal(graph, small, built.inputs)


def test_the_chip_runs_the_small_network_and_is_compared_with_the_whole(tmp_path: Path) -> None:
    """Through every stage: what the emulator must equal is the network as it was given."""
    rng = np.random.default_rng(11)
    net = Net(rng, 3)
    net.conv(12, 1, 0)
    net.conv(0, 3, 1, depthwise=True)
    net.conv(8, 1, 0)
    onnx.save(net.model(), tmp_path / "net.onnx")
    np.savez(tmp_path / "data.npz", calib=rng.normal(0, 1, (20, 3, SIZE, SIZE)).astype(np.float32))
    (tmp_path / "net.yaml").write_text(
        "product: net\nmodel: {source: net.onnx}\nchip: stm32g0b1\n"
        "data: {calibration: data.npz, evaluation: {file: data.npz, inputs: calib}}\n"
    )
    assert chipfit_here(tmp_path, "build", "net.yaml").returncode == 0
    run = json.loads((tmp_path / "build" / "net" / "simulate" / "simulate.json").read_text())
    assert run["vectors"]["mismatches"] == run["vectors"]["host_mismatches"] == 0
    left_out = json.loads((tmp_path / "build" / "net" / "codegen" / "plan.json").read_text())["left_out"]
    assert left_out["channels"] > 5
    output = chipfit_here(tmp_path, "explain", "net").stdout
    assert f"{left_out['channels']} channels, {left_out['macs']:,} multiply-accumulates, change no output" in output
