"""Quantized networks against ONNX Runtime, tensor by tensor: what rounding does is explained, and no fault is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from building import build, exported_model
from conftest import some
from onnx import TensorProto, helper, numpy_helper
from test_quantized_onnx import QLINEAR, F, built

from pipeline.facts.errors import ChipfitError
from pipeline.graph.ir import Graph, Node
from pipeline.graph.tensor import Array, Tensor
from pipeline.ops import samples
from pipeline.ops.affine import Affine
from pipeline.ops.average_pool import AveragePoolExact
from pipeline.ops.lookup import Interpolate
from pipeline.ops.prelu import PRelu
from pipeline.ops.shared.samples import Sample
from pipeline.ops.softmax import SoftmaxWide
from pipeline.quantizing import rounding_bounds as rounding
from pipeline.quantizing.fidelity import compare, compare_export

RNG = np.random.default_rng(11)


def network(kind: Any = np.int8, lower: int = 0) -> onnx.ModelProto:
    """Conv, HardSwish, Add of both, Flatten, Gemm as Q/DQ pairs; each tensor has parameters of its own."""
    constants: dict[str, Any] = {
        "w": RNG.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8),
        "sw": RNG.uniform(0.001, 0.01, 4).astype(np.float32),
        "b": RNG.normal(0, 0.3, 4).astype(np.float32), "zw": np.zeros(4, np.int8),
        "v": RNG.integers(-127, 128, (5, 100)).astype(np.int8), "sv": np.float32(0.004), "zv": np.int8(0),
    }  # fmt: skip
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["wd"], axis=0),
        helper.make_node("DequantizeLinear", ["v", "sv", "zv"], ["vd"]),
    ]

    def pair(name: str, scale: float, zero: int) -> str:
        constants.update({f"{name}.s": np.float32(scale), f"{name}.z": np.asarray(zero + lower, kind)})
        given = [f"{name}.s", f"{name}.z"]
        nodes.append(helper.make_node("QuantizeLinear", [name, *given], [f"{name}.q"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}.q", *given], [f"{name}.d"]))
        return f"{name}.d"

    nodes.append(helper.make_node("Conv", [pair("x", 0.0173, -7), "wd", "b"], ["c"], pads=[1, 1, 1, 1], name="conv"))
    nodes.append(helper.make_node("HardSwish", [pair("c", 0.0271, 3)], ["h"], name="swish"))
    nodes.append(helper.make_node("Add", [pair("h", 0.0193, -80), "c.d"], ["a"], name="add"))
    nodes.append(helper.make_node("Flatten", [pair("a", 0.0371, -20)], ["f"], name="flat"))
    nodes.append(helper.make_node("Gemm", ["f", "vd"], ["g"], transB=1, name="dense"))
    pair("g", 0.11, 5)
    inputs = [helper.make_tensor_value_info("x", F, [1, 3, 5, 5])]
    outputs = [helper.make_tensor_value_info("g.d", F, [1, 5])]
    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    graph = helper.make_graph(nodes, "net", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def inputs(count: int = 24) -> list[Array]:
    return [RNG.normal(0, 1, (count, 1, 3, 5, 5)).astype(np.float32)]


@pytest.mark.parametrize(("kind", "lower"), [(np.int8, 0), (np.uint8, 128)])
def test_every_tensor_is_compared_and_every_difference_explained(kind: Any, lower: int) -> None:
    model, real = network(kind, lower), inputs()
    found = compare(model, built(model, real).quantized.graph, real)
    assert [(t.tensor, t.layer) for t in found.tensors] == [
        ("x.q", "the input"), ("c.q", "conv"), ("h.q", "swish"), ("a.q", "add"), ("g.q", "dense"),
    ]  # fmt: skip
    assert found.left_out == () and found.first is None
    assert all(0.5 < t.allowed < 0.54 for t in some(found.tensors))
    assert [t.values for t in found.tensors] == [24 * n for n in (75, 100, 100, 100, 5)]


@pytest.mark.parametrize("op", QLINEAR)
def test_quantized_operators_are_read_as_they_are_meant(op: str) -> None:
    model = QLINEAR[op]
    shapes = [[d.dim_value for d in v.type.tensor_type.shape.dim] for v in model.graph.input]
    real = [RNG.normal(0, 3, (16, *shape)).astype(np.float32) for shape in shapes]
    found = compare(model, built(model, real).quantized.graph, real)
    assert found.first is None and found.left_out == ()
    assert found.tensors[-1].tensor == "y"


def with_constant(graph: Graph, part: str, change: Callable[[Array], Array]) -> Graph:
    """The graph with its first constant whose name contains `part` changed."""
    name = next(n for n, t in graph.tensors.items() if part in n and t.data is not None)
    tensor = graph.tensors[name]
    assert tensor.data is not None
    constant = Tensor.constant(name, change(tensor.data.copy()).astype(tensor.data.dtype), tensor.quant)
    return replace(graph, tensors={**graph.tensors, name: constant})


def one_more(at: tuple[int, ...]) -> Callable[[Array], Array]:
    def change(data: Array) -> Array:
        data[at] += 1 if data[at] < 100 else -1
        return data

    return change


FAULTS: Mapping[str, tuple[str, Callable[[Graph], Graph]]] = {
    "one weight is one off": ("c.q", lambda g: with_constant(g, "wd", one_more((0, 0, 0, 0)))),
    "two rows of a bias are swapped": ("c.q", lambda g: with_constant(g, "b.", lambda b: b[::-1])),
    "one entry of a table is one off": ("h.q", lambda g: with_constant(g, "table", one_more((140,)))),
    "a multiplier is off by one in 10,000": ("c.q", lambda g: with_constant(g, ".multiplier", lambda m: m * 0.9999)),
    "the last weights are moved": ("g.q", lambda g: with_constant(g, "vd", lambda w: np.roll(w, 1, axis=1))),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_the_first_tensor_named(fault: str) -> None:
    model, real = network(), inputs(60)
    tensor, broken = FAULTS[fault]
    first = compare(model, broken(built(model, real).quantized.graph), real).first
    assert first is not None and first.tensor == tensor
    assert first.unexplained <= first.values and first.first is not None


def test_rounding_down_in_place_of_half_up_is_a_fault() -> None:
    model, real = network(), inputs()
    graph = built(model, real).quantized.graph
    nodes = tuple(replace(n, offset=n.offset - (1 << n.shift >> 1)) if n.name == "add" else n for n in graph.nodes)  # type: ignore[attr-defined, call-arg]
    first = compare(model, replace(graph, nodes=nodes), real).first
    assert first is not None and (first.tensor, first.layer) == ("a.q", "add") and first.steps == 1


def test_a_scale_that_is_not_the_file_s_is_a_fault() -> None:
    model, real = network(), inputs()
    graph = built(model, real).quantized.graph
    last = graph.tensors[graph.outputs[0].tensor]
    assert last.quant is not None
    other = replace(last, quant=replace(last.quant, zero_point=last.quant.zero_point + 1))
    first = compare(model, replace(graph, tensors={**graph.tensors, last.name: other}), real).first
    assert first is not None and first.tensor == "g.q"


def test_a_tensor_behind_one_whose_scale_was_chosen_is_left_out() -> None:
    """A BatchNormalization whose output the file does not quantize, and a dense layer behind it."""
    ones = np.ones(3, np.float32)
    constants = {
        "s": np.float32(0.02), "z": np.int8(0), "offset": ones, "mean": ones, "var": ones,
        "scale": np.array([1, 2, 3], np.float32),
        "w": RNG.normal(0, 1, (3, 2)).astype(np.float32), "t": np.float32(0.05),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("BatchNormalization", ["d", "scale", "offset", "mean", "var"], ["n"], name="norm"),
        helper.make_node("Sigmoid", ["n"], ["m"], name="sigmoid"),
        helper.make_node("MatMul", ["m", "w"], ["p"], name="dense"),
        helper.make_node("QuantizeLinear", ["p", "t", "z"], ["y"]),
    ]
    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    ends = (
        [helper.make_tensor_value_info("x", F, [1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.INT8, [1, 2])],
    )
    model = helper.make_model(
        helper.make_graph(nodes, "net", *ends, tensors), opset_imports=[helper.make_opsetid("", 19)], ir_version=9
    )
    real = [RNG.normal(0, 1, (32, 1, 3)).astype(np.float32)]
    net = built(model, real)
    assert any(isinstance(n, Affine) for n in net.quantized.graph.nodes)
    found = compare(model, net.quantized.graph, real)
    assert [t.tensor for t in found.tensors] == ["q"] and found.left_out == ("y",)


@pytest.mark.parametrize(("op", "shape"), [("MatMul", (6, 4)), ("Mul", (2, 6)), ("Add", (2, 6))])
def test_constants_that_the_file_leaves_float_are_no_fault(op: str, shape: tuple[int, ...]) -> None:
    """chipfit itself made integers of them: without `errors` nothing bounds that, and it is left out by name."""
    constants = {"s": np.float32(0.05), "z": np.int8(3), "w": RNG.normal(0, 1, shape).astype(np.float32)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node(op, ["d", "w"], ["m"], name="free"),
        helper.make_node("QuantizeLinear", ["m", "s", "z"], ["p"]),
        helper.make_node("DequantizeLinear", ["p", "s", "z"], ["y"]),
    ]
    infos = [helper.make_tensor_value_info(n, F, s) for n, s in (("x", [1, 2, 6]), ("y", None))]
    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    graph = helper.make_graph(nodes, "net", infos[:1], infos[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    real = [RNG.normal(0, 1, (16, 1, 2, 6)).astype(np.float32)]
    found = compare(model, built(model, real).quantized.graph, real)
    assert [t.tensor for t in found.tensors] == ["q"] and found.left_out == ("p",) and found.first is None


def test_an_output_without_axes_is_exported_and_compared() -> None:
    node = helper.make_node("ReduceMax", ["x"], ["y"], keepdims=0)
    ends = [helper.make_tensor_value_info("x", F, [1, 4])], [helper.make_tensor_value_info("y", F, [])]
    proto = helper.make_graph([node], "net", *ends)
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    real = RNG.normal(0, 1, (16, 1, 4)).astype(np.float32)
    net = build(model, (real,), (real,))
    found = compare_export(exported_model(net), net.quantized.graph, [real])
    assert found.first is None and found.tensors


def test_weights_that_the_file_leaves_as_floats_are_part_of_the_bound() -> None:
    """Only the activations have scales in the file: what chipfit's rounding of the weights costs is explained."""
    constants = {"s": np.float32(0.02), "z": np.int8(0), "w": RNG.normal(0, 1, (3, 2)).astype(np.float32)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("MatMul", ["d", "w"], ["p"], name="dense"),
        helper.make_node("QuantizeLinear", ["p", "s", "z"], ["y"]),
    ]
    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    ends = (
        [helper.make_tensor_value_info("x", F, [1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.INT8, [1, 2])],
    )
    proto = helper.make_graph(nodes, "net", *ends, tensors)
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    real = [RNG.normal(0, 1, (64, 1, 3)).astype(np.float32)]
    net = built(model, real)
    found = compare(model, net.quantized.graph, real, rounding.constant_errors(net.graph, net.quantized))
    assert found.first is None and 0.6 < found.tensors[-1].allowed < 3


@pytest.mark.parametrize("activations", ["int8", "int16"])
@pytest.mark.parametrize("sample", [pytest.param(s, id=s.name) for s in samples()])
def test_an_operator_that_is_one_step_off_everywhere_is_found(
    sample: Sample, activations: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each kind of node of each operator's sample, but for those whose own arithmetic is off by more at int16."""
    real = tuple(a[:, None] if a.ndim == 1 else a for a in sample.inputs(6).values())
    try:
        net = build(sample.model, real, real, activations=activations)
    except ChipfitError:
        pytest.skip("not at this width")
    model, graph = exported_model(net), net.quantized.graph
    right = compare_export(model, graph, list(real))
    assert right.first is None
    compared = {t.layer for t in right.tensors}
    coarse: set[type[Node]] = {Interpolate, SoftmaxWide, PRelu} if activations == "int16" else set()
    if any(isinstance(n, AveragePoolExact) for n in graph.nodes):
        coarse.add(Affine)  # it carries the rounding of an average to a finer scale
    for kind in {type(n) for n in graph.nodes if n.name in compared} - coarse:
        with monkeypatch.context() as patch:
            patch.setattr(kind, "meaning", one_step_off(kind))
            assert compare_export(model, graph, list(real)).first is not None, kind.__name__


def one_step_off(kind: type[Node]) -> Callable[[Node, Sequence[Array], Graph], tuple[Array, ...]]:
    """What nodes of `kind` mean, one step higher within the range of their outputs."""
    meaning = kind.meaning

    def wrong(node: Node, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        values = meaning(node, inputs, graph)
        most = [np.iinfo(graph.tensors[n].dtype).max for n in node.outputs]
        return tuple(np.minimum(v.astype(np.int64) + 1, m) for v, m in zip(values, most, strict=True))

    return wrong
