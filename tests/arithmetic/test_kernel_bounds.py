"""No intermediate of any C kernel leaves its type: proven by intervals, tried at the corners under UBSan."""

import re
from dataclasses import replace
from fractions import Fraction
from math import floor
from pathlib import Path

import numpy as np
import onnx
import pytest
from building import from_integers, on_host, write_library
from conftest import ROOT, need, some
from corners import Corners, drawn
from onnx import TensorProto, helper, numpy_helper
from param_classes import classes

from pipeline.arithmetic.kernel_bounds import bound_intermediates, intermediate_bounds
from pipeline.facts.errors import ChipfitError
from pipeline.generating.kernel_files import KERNELS
from pipeline.graph.builder import GraphBuilder
from pipeline.graph.ir import Graph
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.struct import KernelParams
from pipeline.graph.tensor import Port, QuantParams, Tensor
from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.passes import canonical
from pipeline.ops.mul import Mul, MulRescaled, MulWide
from pipeline.ops.softmax import SoftmaxExact
from pipeline.planning.plan import plan
from pipeline.quantizing.calibrate import Policy
from pipeline.quantizing.integer_graph import quantize

UBSAN = {
    "gcc": ("-fsanitize=undefined", "-fno-sanitize-recover"),
    "clang": ("-fsanitize=undefined", "-fsanitize-trap=undefined"),  # its runtime is a package of its own
}


def corners_hold(dtype: str, seed: int, rounds: int, compiler: str, folder: Path, level: str = "-O0") -> None:
    need(compiler)
    extremes = drawn(dtype, seed, rounds)
    net = from_integers(extremes.graph(), extremes.values(6))
    library = write_library(net, folder, "cortex-m4", net.program)
    for name, got, expected in zip(
        extremes.outputs, on_host(net, library, compiler, (level, *UBSAN[compiler])), net.expected, strict=True
    ):
        np.testing.assert_array_equal(got, expected, err_msg=f"{name} of seed {seed}")


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_kernels_at_the_corners_of_types_and_zero_points(dtype: str, tmp_path: Path) -> None:
    corners_hold(dtype, 1, 2, "gcc", tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("seed", range(2, 8))
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_kernels_at_many_corners(dtype: str, seed: int, compiler: str, tmp_path: Path) -> None:
    corners_hold(dtype, seed, 8, compiler, tmp_path, "-O2")


def test_every_kernel_is_tried_at_its_corners() -> None:
    tried = {k for dtype in ("int8", "int16") for k in drawn(dtype, 1, 2).kernels}
    assert tried == {p.stem for p in (KERNELS / "portable").glob("*.c")}


HELPERS = {"kernel", "pool", "requantize", "rescale", "rescale_wide", "walk"}
FAMILIES = {p.stem for p in KERNELS.glob("*.h")} - HELPERS


def test_every_family_of_kernels_has_its_arithmetic_bounded() -> None:
    kinds = [k for k in classes().values() if issubclass(k, KernelParams)]
    assert {k.struct_name() for k in kinds} == FAMILIES
    assert all(bound_intermediates.dispatch(k) is not bound_intermediates.dispatch(object) for k in some(kinds))


def test_the_table_of_bounds_names_what_is_bounded() -> None:
    text = (ROOT / "docs" / "bounds.md").read_text("utf-8")
    rows = re.findall(r"^\| (`[^|]*) \| (`[^|]*) \|", text, re.MULTILINE)
    documented = {
        f: set(re.findall(r"`([^`]+)`", names)) for families, names in rows for f in re.findall(r"`(\w+)`", families)
    }
    found: dict[str, set[str]] = {f: set() for f in FAMILIES}
    for call, graph in (c for dtype in ("int8", "int16") for c in _calls(drawn(dtype, 1, 4))):
        found[call.family] |= set(intermediate_bounds(call, graph))
    assert documented == {f: names for f, names in found.items() if names}


def _calls(extremes: Corners) -> list[tuple[KernelCall, Graph]]:
    graph = extremes.graph()
    return [(c, graph) for n in graph.nodes for c in n.calls(graph)]


def product(node: Mul | MulRescaled, dtype: str) -> Graph:
    tensors = {n: Tensor(n, (1, 4), dtype, None, QuantParams((0.1,), 0, None, dtype)) for n in "aby"}
    ports = [Port(n, n, (1, 4), (0, 1)) for n in "aby"]
    return Graph("net", tensors, (node,), tuple(ports[:2]), tuple(ports[2:]))


def test_bounds_are_what_the_extremes_reach() -> None:
    fields = {"scale": 7, "offset": -99, "shift": 3, "bottom": -128, "top": 127}
    graph = product(Mul(name="m", inputs=("a", "b"), outputs=("y",), zero_points=(-128, 127), **fields), "int8")
    found = intermediate_bounds(graph.nodes[0].calls(graph)[0], graph)
    assert [(b.low, b.high) for b in found.values()][:3] == [(0, 255), (-255, 0), (-255 * 255, 0)]
    low = -255 * 255 * 7 - 99
    assert (found["acc + offset"].low, found["value - low"].low) == (low, (low >> 3) + 128)


def test_a_call_that_could_overflow_is_refused_with_its_value() -> None:
    fields = {"rescale": (1 << 30, -14), "bottom": -32768, "top": 32767, "zero_points": (-32768, -32768, 0)}
    narrow = MulRescaled(name="m", inputs=("a", "b"), outputs=("y",), **fields)
    with pytest.raises(ChipfitError, match="m: product of kernel mul_rescaled_s16 can reach 4294836225, beyond int32"):
        plan("net", product(narrow, "int16"))
    plan("net", product(replace(narrow, zero_points=(0, 0, 0)), "int16"))
    plan("net", product(MulWide(name="m", inputs=("a", "b"), outputs=("y",), **fields), "int16"))


def test_products_beyond_32_bits_are_exact() -> None:
    fields = {"bottom": -32768, "top": 32767, "zero_points": (-32768, 32767, 5)}
    node = MulWide(name="m", inputs=("a", "b"), outputs=("y",), rescale=(1518500249, -17), **fields)
    rng = np.random.default_rng(0)
    a, b = (rng.choice([-32768, -32767, 0, 32767, 12345], (8, 1, 4)).astype(np.int16) for _ in "ab")
    (got,) = product(node, "int16").run([a, b])
    exact = [
        (int(p) + 32768) * (int(q) - 32767) * Fraction(1518500249, 1 << 48) for p, q in zip(a.flat, b.flat, strict=True)
    ]
    assert got.reshape(-1).tolist() == [min(max(floor(v + Fraction(1, 2)) + 5, -32768), 32767) for v in exact]


def test_a_prescribed_int16_product_with_zero_points_at_the_ends() -> None:
    kept = [numpy_helper.from_array(v, n) for n, v in (("s", np.float32(1 / 65535)), ("z", np.int16(-32768)))]
    steps = (
        ("QuantizeLinear", "x", "q"),
        ("DequantizeLinear", "q", "d"),
        ("Mul", "d", "c"),
        ("QuantizeLinear", "c", "e"),
    )
    nodes = [helper.make_node(op, [i, i] if op == "Mul" else [i, "s", "z"], [o]) for op, i, o in steps]
    nodes.append(helper.make_node("DequantizeLinear", ["e", "s", "z"], ["y"]))
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 8]) for n in "xy"]
    model = helper.make_model(
        helper.make_graph(nodes, "g", values[:1], values[1:], kept),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )
    onnx.checker.check_model(model)
    graph = canonical(graph_of(model, "m", "net"), "m")
    integer = quantize(graph, {}, Policy("min-max"), per_channel=True, requantizer="multiplier").graph
    x = np.array([[[-32768, 32767, 0, 1, -1, 255, 16384, -16384]]], np.int16)
    (got,) = integer.run([x])
    np.testing.assert_array_equal(got, np.rint((x.astype(np.float64) + 32768) ** 2 / 65535).astype(np.int64) - 32768)
    assert [c.kernel for c in plan("net", integer).calls] == ["mul_wide_s16"]


@pytest.mark.parametrize("classes", [511, 512, 4096])
def test_a_softmax_of_thousands_of_equal_classes(classes: int, tmp_path: Path) -> None:
    need("gcc")
    builder = GraphBuilder("net")
    x = builder.add(Tensor("x", (1, classes), "int8", None, QuantParams((0.1,))))
    table = builder.constant("e", np.r_[2**31 - 1, np.arange(255, 0, -1) * 8000000].astype(np.int32))
    y = builder.append(
        SoftmaxExact(name="s", inputs=(x, table), outputs=("y",), axis=1), "int8", QuantParams((1 / 256,), -128)
    )
    graph = builder.build([Port(x, x, (1, classes), (0, 1))], [Port(y, y, (1, classes), (0, 1))])
    given = np.full((2, 1, classes), 5, np.int8)
    given[1, 0, 0] = 9
    net = from_integers(graph, [given])
    np.testing.assert_array_equal(
        on_host(net, write_library(net, tmp_path, "cortex-m4"), "gcc", ("-O0", *UBSAN["gcc"]))[0], net.expected[0]
    )
