"""Whatever shares memory, every call reads what was written: random networks, byte by byte, without a compiler."""

from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import onnx
import pytest
from building import assert_chip_equals, build, on_chip, on_host, write_library
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from pipeline.facts.errors import ChipfitError
from pipeline.graph.builder import GraphBuilder
from pipeline.graph.ir import Graph
from pipeline.graph.kernel_params.moves import CopyParams
from pipeline.graph.tensor import Array, Port, Tensor
from pipeline.ops.concat import Concat
from pipeline.ops.lookup import Lookup
from pipeline.ops.reshape import Reshape
from pipeline.ops.slice import Slice
from pipeline.planning.plan import Program, plan


class Network:
    """A graph that Hypothesis can print."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def __repr__(self) -> str:
        ports = [[p.tensor for p in group] for group in (self.graph.inputs, self.graph.outputs)]
        return "\n".join(map(repr, [*self.graph.tensors.values(), *self.graph.nodes, *ports]))


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Views, parts, slices and in-place tables in any combination, of one or two bytes per element."""
    dtype = draw(st.sampled_from(["int8", "int16"]))
    builder = GraphBuilder("net")
    inputs = [builder.add(Tensor(f"x{i}", (1, draw(st.integers(1, 6))), dtype)) for i in range(draw(st.integers(1, 2)))]
    names = list(inputs)
    for index in range(draw(st.integers(1, 9))):
        kind = draw(st.sampled_from(["table", "concat", "concat", "slice", "slice", "reshape"]))
        x, label = draw(st.sampled_from(names)), f"t{index}"
        rows, columns = builder.tensors[x].shape
        fields = {"name": label, "inputs": (x,), "outputs": (label,)}
        if kind == "table":
            table = builder.constant(f"{label}.table", np.zeros(256, np.int8))
            builder.append(Lookup(**fields | {"inputs": (x, table)}), dtype)
        elif kind == "slice":
            starts = [draw(st.integers(0, d - 1)) for d in (rows, columns)]
            shape = tuple(draw(st.integers(1, d - s)) for d, s in zip((rows, columns), starts, strict=True))
            builder.append(Slice(**fields, starts=tuple(starts), steps=(1, 1), shape=shape), dtype)
        elif kind == "reshape":
            shape = draw(st.sampled_from([(rows * columns, 1), (1, rows * columns), (rows, columns)]))
            builder.append(Reshape(**fields, shape=shape), dtype)
        else:
            axis = draw(st.integers(0, 1))
            same = [n for n in names if builder.tensors[n].shape[1 - axis] == (rows, columns)[1 - axis]]
            parts = tuple(draw(st.lists(st.sampled_from(same), min_size=1, max_size=3)))
            builder.append(Concat(**fields | {"inputs": parts}, axis=axis), dtype)
        names.append(label)
    outputs = draw(st.lists(st.sampled_from(names[len(inputs) :]), min_size=1, max_size=3, unique=True))
    ports = [[Port(n, n, builder.tensors[n].shape, (0, 1)) for n in group] for group in (inputs, outputs)]
    return Network(builder.build(*ports))


def meanings(graph: Graph) -> dict[str, Array]:
    """Every activation as one number per byte: equal where two tensors hold the same value."""
    fresh = count(1)

    def new(name: str) -> Array:
        tensor = graph.tensors[name]
        width = tensor.bytes // tensor.size
        return np.array([next(fresh) for _ in range(tensor.bytes)]).reshape(*tensor.shape, width)

    values = {p.tensor: new(p.tensor) for p in graph.inputs}
    for node in graph.nodes:
        if isinstance(node, Reshape):
            values[node.output] = values[node.inputs[0]].reshape(*node.shape, -1)
        elif isinstance(node, Slice):
            box = tuple(slice(s, s + n) for s, n in zip(node.starts, node.shape, strict=True))
            values[node.output] = values[node.inputs[0]][box]
        elif isinstance(node, Concat):
            values[node.output] = np.concatenate([values[n] for n in node.inputs], axis=node.axis)
        else:
            values[node.output] = new(node.output)
    return {n: v.reshape(-1) for n, v in values.items()}


def execute(program: Program) -> None:
    """Follow every byte through the program's calls; AssertionError when a call or a caller reads another value."""
    graph, values = program.graph, meanings(program.graph)
    memory: dict[tuple[str, int], Array] = {}

    def held(name: str) -> Array:
        at = program.locations[name]
        size = graph.tensors[name.removesuffix("#copy")].bytes
        buffer = memory.setdefault((at.memory, at.port), np.zeros(1 << 16, np.int64))
        return buffer[at.offset : at.offset + size]

    for port in graph.inputs:
        held(port.tensor)[:] = values[port.tensor]
    for call in program.calls:
        for name in call.inputs:
            np.testing.assert_array_equal(held(name), values[name], f"{call.node} reads {name}")
        target = call.outputs[0]
        if not isinstance(call.params, CopyParams):
            held(target)[:] = values[target]
            continue
        index = np.indices(call.params.dims).reshape(6, -1)
        source, goal = (np.array(s) @ index for s in (call.params.source_strides, call.params.target_strides))
        moved = held(call.inputs[0])[source + call.params.source_offset]
        held(target)[goal + call.params.target_offset] = moved
    for port in graph.outputs:
        copied = f"{port.tensor}#copy"
        got = held(copied if copied in program.locations else port.tensor)
        np.testing.assert_array_equal(got, values[port.tensor], f"output {port.tensor}")


@settings(deadline=None, max_examples=400)
@given(networks(), st.booleans(), st.booleans())
def test_every_call_and_caller_reads_what_was_written(network: Network, own_inputs: bool, own_outputs: bool) -> None:
    try:
        program = plan("net", network.graph, own_inputs=own_inputs, own_outputs=own_outputs)
    except ChipfitError as refused:
        assert "is an input of the network, unchanged" in str(refused)
        assert own_outputs and not own_inputs
    else:
        execute(program)
        inside = [own_inputs] * len(network.graph.inputs) + [own_outputs] * len(network.graph.outputs)
        assert [p is not None for p in program.port_offsets] == inside
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pipeline.planning.plan.least_memory", lambda graph: graph)
            as_given = plan("net", network.graph, own_inputs=own_inputs, own_outputs=own_outputs)
        assert program.arena.size <= as_given.arena.size


def node(op: str, inputs: str, outputs: str, **attributes: int) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


A, B = node("Gemm", "x v", "a", transB=1), node("Gemm", "x v", "b", transB=1)
NETS = {
    "the input's halves, swapped": [node("Split", "x half", "p q", axis=1), node("Concat", "q p", "c", axis=1)],
    "a part and a slice of it": [A, node("Slice", "a one five axis", "s"), node("Concat", "a s", "c", axis=1)],
    "a part and a view of it": [A, node("Reshape", "a flat", "s"), node("Concat", "a s", "c", axis=1)],
    "a part twice": [A, node("Concat", "a a", "c", axis=1)],
    "a part of two": [
        A, B, node("Concat", "a b", "d", axis=1), node("Concat", "b a d", "c", axis=1),
    ],
    "the input and a slice of it": [node("Slice", "x one five axis", "s"), node("Concat", "x s", "c", axis=1)],
}  # fmt: skip


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_bytes_that_are_needed_twice_are_there_twice(name: str, own: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    constants = {
        "v": rng.normal(0, 0.4, (8, 8)).astype(np.float32), "half": np.array([4, 4]), "one": np.array([1]),
        "five": np.array([5]), "axis": np.array([1]), "flat": np.array([1, 8]),
    }  # fmt: skip
    graph = helper.make_graph(
        [*NETS[name], node("Sigmoid", "c", "y")], "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(v, n) for n, v in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    x = rng.normal(0, 1, (6, 1, 8)).astype(np.float32)
    net = replace(build(model, (x,), (x,)), own=own)
    for got, expected in zip(on_host(net, write_library(net, tmp_path, "cortex-m0")), net.expected, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_halves_of_the_input_become_halves_of_the_output_without_a_copy(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [
            node("Split", "x half", "p q", axis=1), node("Sigmoid", "p", "s"), node("Sigmoid", "q", "t"),
            node("Concat", "t s", "y", axis=1),
        ], "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array([3, 5]), "half")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    x = np.random.default_rng(6).normal(0, 1, (8, 1, 8)).astype(np.float32)
    net = build(model, (x,), (x,))
    assert "copy" not in [c.kernel for c in net.program.calls]
    library = write_library(net, tmp_path, "cortex-m0")
    code = (library / "src" / "net.c").read_text()
    assert "input + 3, " in code and ", output + 5)" in code
    for got, expected in zip(on_host(net, library), net.expected, strict=True):
        np.testing.assert_array_equal(got, expected)
    assert_chip_equals(net, on_chip(net, library, "cortex-m0"))
