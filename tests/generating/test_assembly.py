"""The assembly file: each macro file once, sections by memory, shared routines under a name for each memory."""

from dataclasses import replace

import numpy as np
from samples_of_calls import dense, linear_call, program, routine

from pipeline.generating.assembly import Assembly, assembly_of
from pipeline.generating.layers import Layer, layers_of
from pipeline.graph.kernel_call import RoutineMemory, SharedRoutines
from pipeline.planning.plan import Location

SHARED = SharedRoutines("im2col", ("widen", "fill"), 100)
TABLES = {"packed": np.zeros(2, np.int32)}
PORTS = {"x": Location("input"), "y": Location("output")}


def layer(memory: RoutineMemory, *includes: str) -> Layer:
    lines = ("packed_widen SHARED({widen}), {packed}", "end LAYER({layer})")
    own = routine(includes=includes, shared=(SHARED,), lines=lines, tables=TABLES, memory=memory)
    return layers_of(program(replace(linear_call(dense(np.ones((6, 2)))), routine=own), PORTS))[0]


def test_sections_follow_the_memories_and_each_file_is_included_once() -> None:
    assembly = assembly_of([layer("code", "a.inc", "b.inc"), layer("flash", "b.inc", "c.inc")])
    assert assembly.includes == ("a.inc", "b.inc", "c.inc", "im2col.inc")
    assert [(p.code_in_ram, p.constants_in_ram) for p in assembly.parts] == [(0, 0), (1, 0)]
    (line, end), *_ = [r.lines for p in assembly.parts for r in p.routines]
    assert (line, end) == ("packed_widen SHARED(widen), TABLE(routine_0_packed)", "end LAYER(0)")


def test_a_shared_routine_has_another_name_in_ram_and_is_there_once() -> None:
    assembly = assembly_of([layer("flash"), layer("code"), layer("all")])
    assert [p.shared for p in assembly.parts] == [
        ("im2col_routines SHARED(widen), SHARED(fill)",),
        ("im2col_routines SHARED(widen_ram), SHARED(fill_ram)",),
        (),
    ]
    assert [r.lines[0].split(",")[0] for p in assembly.parts for r in p.routines] == [
        "packed_widen SHARED(widen)", "packed_widen SHARED(widen_ram)", "packed_widen SHARED(widen_ram)",
    ]  # fmt: skip


def test_layers_in_c_are_not_in_the_file() -> None:
    alone = layers_of(program(linear_call(dense(np.ones((6, 2)))), PORTS))
    assert assembly_of(alone) == Assembly((), ())
