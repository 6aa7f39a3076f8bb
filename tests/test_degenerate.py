"""Networks that compute next to nothing: all zeros, inputs that are outputs, inputs that nobody reads."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from building import Built, assert_chip_equals, build, fastest_plan, on_chip, write_library
from onnx import NodeProto, TensorProto, helper, numpy_helper

from pipeline.facts.errors import ChipfitError
from pipeline.graph.onnx_export import qdq_model
from pipeline.graph.tensor import Array
from pipeline.planning.plan import Program, plan
from pipeline.quantizing.calibrate import Policy
from pipeline.quantizing.onnx_runtime import FloatSession

F = TensorProto.FLOAT
WIDE, NARROW = ("x", F, [1, 6]), ("y", F, [1, 4])
TWO = [("y", F, [1, 6]), ("z", F, [1, 6])]
W = np.random.default_rng(3).normal(0, 1, (6, 4)).astype(np.float32)
node = helper.make_node


@dataclass(frozen=True, eq=False)
class Planned(Built):
    """A network with a plan of its own."""

    planned: Program | None = None

    @property
    def program(self) -> Program:
        assert self.planned is not None
        return self.planned


def model_of(
    nodes: list[NodeProto], inputs: list[Any], outputs: list[Any], constants: dict[str, Array]
) -> onnx.ModelProto:
    infos = [[helper.make_tensor_value_info(*i) for i in side] for side in (inputs, outputs)]
    tensors = [numpy_helper.from_array(v, n) for n, v in constants.items()]
    graph = helper.make_graph(nodes, "net", infos[0], infos[1], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def built(model: onnx.ModelProto, *, inputs: bool = False, outputs: bool = False) -> Planned:
    """Within two steps of the file's float answers; `inputs` and `outputs` live in the arena."""
    rng = np.random.default_rng(4)
    shapes = [[d.dim_value for d in i.type.tensor_type.shape.dim] for i in model.graph.input]
    x = tuple(rng.uniform(-2, 2, (16, *s)).astype(np.float32) for s in shapes)
    net = build(model, x, x, policy=Policy("min-max"))
    theirs = FloatSession(model).stacked({i.name: v for i, v in zip(model.graph.input, x, strict=True)})
    for port, got in zip(net.quantized.graph.outputs, net.expected, strict=True):
        quant = net.quantized.graph.tensors[port.tensor].quant
        assert quant is not None
        assert np.abs(port.to_onnx(quant.dequantize(got)) - theirs[port.onnx_name]).max() <= 2 * quant.scale[0]
    program = plan("net", net.quantized.graph, own_inputs=inputs, own_outputs=outputs)
    return Planned(net.graph, net.quantized, net.inputs, net.expected, planned=program)


NOTHING: dict[str, tuple[list[NodeProto], list[Any], dict[str, Array]]] = {
    "difference of one": ([node("Sub", ["x", "x"], ["y"])], [("y", F, [1, 6])], {}),
    "layer of it": ([node("Sub", ["x", "x"], ["d"]), node("MatMul", ["d", "w"], ["y"])], [NARROW], {"w": W}),
    "sum with it": ([node("Sub", ["x", "x"], ["d"]), node("Add", ["d", "x"], ["y"])], [("y", F, [1, 6])], {}),
    "softmax of it": ([node("Sub", ["x", "x"], ["d"]), node("Softmax", ["d"], ["y"])], [("y", F, [1, 6])], {}),
    "zero weights": ([node("MatMul", ["x", "w"], ["y"])], [NARROW], {"w": 0 * W}),
    "layer of zeros": (
        [node("MatMul", ["x", "w"], ["d"]), node("MatMul", ["d", "v"], ["y"])], [NARROW], {"w": 0 * W, "v": W[:4]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NOTHING)
def test_tensors_of_nothing_but_zeros(name: str, tmp_path: Path) -> None:
    nodes, outputs, constants = NOTHING[name]
    net = built(model_of(nodes, [WIDE], outputs, constants))
    library = write_library(net, tmp_path, "cortex-m0", fastest_plan(net, "cortex-m0"))
    assert_chip_equals(net, on_chip(net, library, "cortex-m0", count=2))


PORTS: dict[str, tuple[list[NodeProto], list[Any], list[Any]]] = {
    "input is output": ([node("Relu", ["x"], ["y"])], [WIDE], [("y", F, [1, 6]), WIDE]),
    "input renamed": ([node("Identity", ["x"], ["y"])], [WIDE], [("y", F, [1, 6])]),
    "cast of nothing": ([node("Cast", ["x"], ["y"], to=F), node("Relu", ["x"], ["z"])], [WIDE], TWO),
    "output twice": ([node("Relu", ["x"], ["y"]), node("Identity", ["y"], ["z"])], [WIDE], TWO),
    "unread input": ([node("Relu", ["x"], ["y"])], [WIDE, ("u", F, [1, 3])], [("y", F, [1, 6])]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [(False, False), (True, False), *(pytest.param(i, True, marks=pytest.mark.exhaustive) for i in (False, True))],
)
@pytest.mark.parametrize("name", PORTS)
def test_ports_that_meet_wherever_their_memory_is(name: str, inputs: bool, outputs: bool, tmp_path: Path) -> None:
    """Right on the chip, or refused where an output in the arena would be an input in the caller's memory."""
    model = model_of(*PORTS[name], {})
    try:
        net = built(model, inputs=inputs, outputs=outputs)
    except ChipfitError as error:
        assert outputs and not inputs and "is an input of the network, unchanged" in str(error)
        return
    if not net.program.calls:
        with pytest.raises(ChipfitError, match="the network computes nothing: its outputs are its inputs"):
            fastest_plan(net, "cortex-m0")
        return
    library = write_library(net, tmp_path, "cortex-m0", net.program)
    assert_chip_equals(net, on_chip(net, library, "cortex-m0", count=2))


def test_the_model_with_pairs_of_an_input_that_is_an_output_loads() -> None:
    net = built(model_of(*PORTS["input is output"], {}))
    pairs = qdq_model(net.graph, net.quantized.params, net.quantized.constants)
    onnx.checker.check_model(pairs, full_check=True)
    assert set(FloatSession(pairs).outputs) == {"x", "y"}
