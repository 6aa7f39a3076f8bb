"""The whole in a page: 4 inputs, 3 hidden values, 2 outputs, from ONNX to machine code, by integers worked out by hand.

Ranges end at 127 steps of a power of two, so that scales are powers of two and every weight is an integer of 1/128:

    x in steps of 1/64    hidden = clip(W1 x + B1) in steps of 1/128    y = clip(W2 hidden + B2) in steps of 1/128

A product of the first layer has steps of 1/128 * 1/64 = 1/8192; 1/128 is 64 of them: a shift by 6. One of the second
has steps of 1/128 * 1/128 = 1/16384; 1/128 is 128 of them: a shift by 7. Half of a step is added before the shift.
"""

from pathlib import Path

import numpy as np
import onnx
from building import assert_chip_equals, assert_host_equals, build, fastest_plan, on_chip, write_library
from conftest import some
from onnx import TensorProto, helper, numpy_helper

from pipeline.facts.cores import CORES
from pipeline.quantizing.calibrate import Policy

W1, B1 = [[64, -32, 16, 0], [-100, 100, 0, 7], [1, 2, 3, 127]], [0, 640, -64]
W2, B2 = [[127, -64, 2], [-32, 5, 100]], [256, -1024]

X = [64, -64, 32, 1]
# 64 * 64 + 32 * 64 + 16 * 32 = 6656; (6656 + 32) >> 6 = 104
# -100 * 64 - 100 * 64 + 7 + 640 = -12153; (-12153 + 32) >> 6 = -190, clipped to -127
# 64 - 128 + 96 + 127 - 64 = 95; (95 + 32) >> 6 = 1
HIDDEN = [104, -127, 1]
# 127 * 104 + 64 * 127 + 2 + 256 = 21594; (21594 + 64) >> 7 = 169, clipped to 127
# -32 * 104 - 5 * 127 + 100 - 1024 = -4887; (-4887 + 64) >> 7 = -38
Y = [127, -38]


def layer(weights: list[list[int]], bias: list[int], x: list[int], shift: int) -> list[int]:
    sums = [b + sum(w * v for w, v in zip(row, x, strict=True)) for row, b in zip(weights, bias, strict=True)]
    return [min(max((s + (1 << shift - 1)) >> shift, -127), 127) for s in sums]


def network(x: list[int]) -> list[int]:
    return layer(W2, B2, layer(W1, B1, x, 6), 7)


def model() -> onnx.ModelProto:
    """The same network as a framework would write it: real numbers, two clips as HardTanh is."""
    reals = {
        "w1": np.array(W1) / 128, "b1": np.array(B1) / 8192, "w2": np.array(W2) / 128, "b2": np.array(B2) / 16384,
        "low": np.array(-127 / 128), "high": np.array(127 / 128),
    }  # fmt: skip
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["sum1"], "first", transB=1),
        helper.make_node("Clip", ["sum1", "low", "high"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "w2", "b2"], ["sum2"], "second", transB=1),
        helper.make_node("Clip", ["sum2", "low", "high"], ["y"]),
    ]
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, size)) for n, size in (("x", 4), ("y", 2))]
    constants = [numpy_helper.from_array(v.astype(np.float32), n) for n, v in reals.items()]
    graph = helper.make_graph(nodes, "tiny", ports[:1], ports[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_from_onnx_to_machine_code_every_integer_is_the_one_worked_out_by_hand(tmp_path: Path) -> None:
    assert (layer(W1, B1, X, 6), network(X)) == (HIDDEN, Y)

    integers = [X, *np.random.default_rng(0).integers(-127, 128, (200, 4)).tolist(), [127] * 4, [-127] * 4]
    x = np.array(integers, np.float32).reshape(-1, 1, 4) / 64
    tiny = build(model(), (x,), (x,), "shift", Policy("min-max", symmetric=True))

    graph = tiny.quantized.graph
    assert [graph.constant(n.inputs[1]).tolist() for n in graph.nodes] == [W1, W2]
    assert tiny.inputs[0].reshape(-1, 4).tolist() == integers
    assert tiny.expected[0].reshape(-1, 2).tolist() == [network(v) for v in integers]

    # The fastest plan has both layers in assembly; on this machine the C beside it is compiled.
    program = fastest_plan(tiny, "cortex-m0")
    library = write_library(tiny, tmp_path, "cortex-m0", program)
    assert_host_equals(tiny, library)
    runs = on_chip(tiny, library, "cortex-m0", count=len(integers))
    assert_chip_equals(tiny, runs)
    assert list(np.frombuffer(runs[0].outputs[0], np.int8)) == Y

    planned = [c.routine.executed.cycles(CORES["cortex-m0"]) for c in program.calls if c.routine is not None]
    assert len(planned) == 2
    for run in some(runs):
        assert [layer.zero_wait for layer in run.layers] == [(c, c) for c in planned]
