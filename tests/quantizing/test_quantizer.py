"""What operators ask of the quantizer: clamps, tables, constants and other parameters, as integers."""

from math import inf

import numpy as np
import pytest

from pipeline.facts.errors import ChipfitError
from pipeline.facts.weight_bits import Widths
from pipeline.graph.builder import GraphBuilder
from pipeline.graph.tensor import Port, QuantParams, Tensor
from pipeline.ops.clamp import Clamp
from pipeline.ops.reshape import Reshape
from pipeline.quantizing.quantizer import Quantizer, _recentered

X, Y = QuantParams((0.5,), 10), QuantParams((0.25,), -20)


def quantizer() -> Quantizer:
    builder = GraphBuilder("net")
    builder.add(Tensor("x", (1, 6)))
    builder.constant("c", np.array([0.1, -0.9], np.float32))
    builder.append(Clamp(name="n", inputs=("x",), outputs=("y",), low=-1.0, high=inf))
    ports = [(Port(n, n, (1, 6), (0, 1)),) for n in "xy"]
    graph = builder.build(*ports)
    tensors = {**graph.tensors, "c": builder.tensors["c"]}
    graph = type(graph)("net", tensors, graph.nodes, *ports)
    return Quantizer(
        graph,
        {"x": X, "y": Y},
        per_channel=True,
        requantizer="shift",
        ranges={},
        widths=Widths(),
        input_statistics={},
    )


def test_a_clamp_is_in_the_outputs_integers_within_its_type() -> None:
    own = quantizer()
    assert own.clamp(own.graph.nodes[0]) == (-24, 127) and own.clamp(own.graph.nodes[0], X) == (8, 127)  # type: ignore[arg-type]


def test_what_only_moves_keeps_its_scale_and_takes_a_table_to_another() -> None:
    own = quantizer()
    own.pass_through(Reshape(name="r", inputs=("x",), outputs=("moved",), shape=(6, 1)))
    assert own.out.tensors["moved"].quant == X and [type(n).__name__ for n in own.out.nodes] == ["Reshape"]
    own.pass_through(Reshape(name="r", inputs=("x",), outputs=("y",), shape=(1, 6)))
    assert own.out.tensors["y"].quant == Y
    assert [type(n).__name__ for n in own.out.nodes] == ["Reshape", "Reshape", "Lookup"]


def test_a_table_holds_the_function_of_every_byte() -> None:
    own = quantizer()
    node = Reshape(name="square", inputs=("x",), outputs=("y",), shape=(1, 6))
    own.append_function(node, lambda v: v * v / 100)
    table = own.out.constant_data(own.out.nodes[-1].inputs[1])
    real = (np.arange(-128, 128) - 10) * 0.5
    expected = np.clip(np.floor(real**2 / 100 / 0.25 - 20 + 0.5 + 1e-9), -128, 127)
    by_value = table[np.arange(-128, 128)] if table[0] != expected[0] else table
    assert (by_value == expected).all()


def test_a_constant_operand_has_a_scale_of_its_own() -> None:
    own = quantizer()
    name = own.operand("c")
    assert own.out.constant_data(name).tolist() == [14, -127]
    assert own.params(name).scale[0] == pytest.approx(0.9 / 127) and own.operand("x") == "x"
    exact = own.with_params("c", Y)
    assert own.out.constant_data(exact).tolist() == [-20, -24] and own.with_params("x", X) == "x"


def test_integers_of_another_type_are_moved_into_this_one_or_not_at_all() -> None:
    wide = QuantParams((1.0,), 128, dtype="uint8")
    found = _recentered(wide, np.array([-10.0, 100.0]), "int8")
    assert found is not None and found.zero_point == 0 and found.dtype == "int8"
    shifted = _recentered(QuantParams((1.0,), 0, dtype="uint8"), np.array([50.0, 200.0]), "int8")
    assert shifted is not None and shifted.zero_point == 127 - 200
    assert _recentered(QuantParams((1.0,), 0, dtype="int16"), np.array([-300.0, 300.0]), "int8") is None


def test_a_refusal_names_the_layer_and_its_operator() -> None:
    own = quantizer()
    with pytest.raises(ChipfitError, match=r"layer 'n' \(Clamp\): why"):
        own.refuse(own.graph.nodes[0], "why")
