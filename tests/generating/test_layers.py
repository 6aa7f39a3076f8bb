"""Layers as C: what every member, argument and table of a call is written as."""

from dataclasses import replace

import numpy as np
from conftest import some
from samples_of_calls import dense, linear_call, program, routine

from pipeline.generating.layers import layers_of
from pipeline.graph.kernel_call import RoutineMemory
from pipeline.planning.plan import Location

CALL = linear_call(dense(np.arange(12).reshape(6, 2)))
PORTS = {"x": Location("input"), "y": Location("output")}


def test_members_are_numbers_or_tables_under_the_layers_number() -> None:
    (layer,) = layers_of(program(CALL, PORTS))
    (call,) = layer.calls
    assert layer.title == "layer: 1x3x4x2 -> 1x6, 12 MACs" and layer.invocation is None
    assert (call.number, call.family, call.kernel, call.arguments) == ("0", "dense", "dense_shift", ("input", "output"))
    assert dict(call.fields) == {
        "weights": "TABLE(0_weights)", "bias": "TABLE(0_bias)", "requantize.shift": "TABLE(0_requantize_shift)",
        "requantize.low": "-128", "requantize.high": "127", "rows": "1", "inputs": "2", "outputs": "6",
    }  # fmt: skip
    assert [(t.ctype, t.bytes, t.use) for t in layer.tables] == [
        ("int8_t", 12, "always"), ("int32_t", 24, "always"), ("uint8_t", 6, "always"),
    ]  # fmt: skip


def test_pointers_are_into_the_arena_or_ports_in_elements_and_uint8_is_read_as_int8() -> None:
    def arguments(x: Location, y: Location, dtype: str = "int8") -> tuple[str, ...]:
        return layers_of(program(CALL, {"x": x, "y": y}, dtype))[0].calls[0].arguments

    assert arguments(Location("arena", 24), Location("output", 4)) == ("NET_ARENA(24)", "output + 4")
    assert arguments(Location("input", 6), Location("arena"), "int16") == ("input + 3", "NET_ARENA(0)")
    unsigned = arguments(Location("input"), Location("output", 2), "uint8")
    assert unsigned == ("(const int8_t *)input", "(int8_t *)output + 2")


def test_a_constant_operand_is_a_table_that_assembly_reads_too() -> None:
    planned = program(replace(CALL, routine=routine()), PORTS)
    constant = replace(planned.graph.tensors["x"], data=np.zeros((1, 3, 4, 2), np.int8))
    planned = replace(planned, graph=replace(planned.graph, tensors=planned.graph.tensors | {"x": constant}))
    (layer,) = layers_of(planned)
    assert layer.calls[0].arguments == ("TABLE(0_operand_0)", "output")
    assert [t.use for t in layer.tables] == ["portable"] * 3 + ["always"]


def test_a_routine_replaces_all_its_parts_and_is_called_afar_from_ram() -> None:
    tables = {"packed": np.zeros(3, np.int32)}
    parts = (replace(CALL, outputs=("y",)), replace(CALL, inputs=("y",), outputs=("y",)))
    statements: dict[RoutineMemory, str] = {
        "flash": "LAYER(0)(input, output)",
        "all": "FAR_CALL((const void *x, void *y), LAYER(0), (input, output))",
    }
    for memory, statement in some(statements.items()):
        fused = replace(CALL, parts=parts, routine=routine(tables=tables, memory=memory))
        (layer,) = layers_of(program(fused, PORTS))
        assert [c.number for c in layer.calls] == ["0_0", "0_1"]
        invocation = layer.invocation
        assert invocation is not None and invocation.statement == statement
        assert invocation.declaration == "void LAYER(0)(const void *x, void *y);"
        assert invocation.names == {"packed": "TABLE(routine_0_packed)", "layer": "0"}
        assert [(t.use, t.ram) for t in invocation.tables] == [("assembly", memory == "all")]
        assert {t.use for c in layer.calls for t in c.tables} == {"portable"}
