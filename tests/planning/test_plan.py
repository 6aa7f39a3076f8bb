"""Branches, concat and split: views instead of copies, the order of least memory, and still exact."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from building import Built, assert_chip_equals, build, on_chip, on_host, write_library
from conftest import some
from onnx import TensorProto, helper, numpy_helper

from pipeline.planning.execution_order import _Memory, least_memory

RNG = np.random.default_rng(11)


def model(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], shape: list[int]) -> onnx.ModelProto:  # type: ignore[type-arg]
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(v, n) for n, v in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def constant_graph(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], shape: list[int]) -> Built:  # type: ignore[type-arg]
    x = RNG.normal(0, 1, (12, *shape)).astype(np.float32)
    return build(model(nodes, constants, shape), (x,), (x,))


def weight(*shape: int) -> np.ndarray:  # type: ignore[type-arg]
    return RNG.normal(0, 0.4, shape).astype(np.float32)


def branches() -> Built:
    """x -> two dense layers -> concat -> dense; and split again."""
    n = helper.make_node
    nodes = [
        n("Gemm", ["x", "w1"], ["a"], transB=1), n("Gemm", ["x", "w2"], ["b"], transB=1),
        n("Sigmoid", ["a"], ["as"]), n("Tanh", ["b"], ["bt"]),
        n("Concat", ["as", "bt"], ["c"], axis=1),
        n("Gemm", ["c", "w3"], ["d"], transB=1),
        n("Split", ["d"], ["e", "f"], axis=1),
        n("Mul", ["e", "f"], ["g"]), n("Gemm", ["g", "w4"], ["y"], transB=1),
    ]  # fmt: skip
    constants = {"w1": weight(6, 8), "w2": weight(10, 8), "w3": weight(12, 16), "w4": weight(3, 6)}
    return constant_graph(nodes, constants, [1, 8])


def test_concat_and_split_copy_nothing() -> None:
    program = branches().program
    kinds = [c.kernel for c in program.calls]
    assert "copy" not in kinds
    assert program.arena.optimal


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4"])
def test_views_are_exact_on_the_chip_and_on_the_host(core: str, tmp_path: Path) -> None:
    net = branches()
    library = write_library(net, tmp_path, core)
    for got, expected in zip(on_host(net, library), net.expected, strict=True):
        np.testing.assert_array_equal(got, expected)
    assert_chip_equals(net, on_chip(net, library, core))


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4"])
def test_inputs_and_outputs_may_live_in_the_arena(core: str, tmp_path: Path) -> None:
    net = replace(branches(), own=True)
    program = net.program
    assert all(p is not None for p in some(program.port_offsets))
    library = write_library(net, tmp_path, core)
    header = (library / "include" / "net.h").read_text()
    assert "int8_t *net_input(void);" in header and "void net_run(void);" in header
    for got, expected in zip(on_host(net, library), net.expected, strict=True):
        np.testing.assert_array_equal(got, expected)
    assert_chip_equals(net, on_chip(net, library, core))


def test_a_part_that_is_read_again_stays_whole(tmp_path: Path) -> None:
    """The concat's part is used after the concat, and an in-place operator follows the concat."""
    n = helper.make_node
    nodes = [
        n("Gemm", ["x", "w1"], ["a"], transB=1), n("Gemm", ["x", "w2"], ["b"], transB=1),
        n("Concat", ["a", "b"], ["c"], axis=1), n("Sigmoid", ["c"], ["d"]),
        n("Gemm", ["d", "w3"], ["e"], transB=1), n("Add", ["e", "a"], ["y"]),
    ]  # fmt: skip
    net = constant_graph(nodes, {"w1": weight(6, 8), "w2": weight(4, 8), "w3": weight(6, 10)}, [1, 8])
    for got, expected in zip(on_host(net, write_library(net, tmp_path, "cortex-m0")), net.expected, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_branches_are_ordered_for_memory(tmp_path: Path) -> None:
    """Three wide layers that shrink at once: one after the other needs a third of all three first."""
    n = helper.make_node
    nodes = [n("Gemm", ["x", f"w{i}"], [f"a{i}"], transB=1) for i in range(3)]
    nodes += [n("Gemm", [f"a{i}", f"v{i}"], [f"b{i}"], transB=1) for i in range(3)]
    nodes += [n("Concat", ["b0", "b1", "b2"], ["c"], axis=1), n("Gemm", ["c", "u"], ["y"], transB=1)]
    constants = {f"w{i}": weight(64, 8) for i in range(3)} | {f"v{i}": weight(4, 64) for i in range(3)}
    net = constant_graph(nodes, constants | {"u": weight(3, 12)}, [1, 8])
    assert net.program.arena.size <= 64 + 24
    graph = net.quantized.graph
    assert _Memory(least_memory(graph)).peak(range(len(graph.nodes))) <= _Memory(graph).peak(range(len(graph.nodes)))
    for got, expected in zip(on_host(net, write_library(net, tmp_path, "cortex-m0")), net.expected, strict=True):
        np.testing.assert_array_equal(got, expected)
