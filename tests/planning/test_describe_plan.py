"""plan.json: locations, spans of fused calls, and that it can be read again."""

import numpy as np
import pytest
from samples_of_calls import dense, linear_call, program, routine

from pipeline.facts.records import from_json, json_bytes
from pipeline.graph.ir import Graph
from pipeline.graph.kernel_call import KernelCall
from pipeline.planning.arena import Buffer, allocate
from pipeline.planning.choose_kernels import Choice
from pipeline.planning.describe_plan import _location, plan_file
from pipeline.planning.integer_program import Option, Point
from pipeline.planning.plan import Location, Program
from pipeline.planning.plan_file import PlanFile

CALL: KernelCall = linear_call(dense(np.ones((6, 2))))
C, FAST = Option("c", 900, 100, 0, (), None), Option("fast", 300, 250, 40, (), routine("fast"), wait_cycles=20)
FUSED = Option("fused", 500, 400, 60, (), routine("fused"), span=2)


def choice(fused: bool) -> tuple[Graph, Choice]:
    planned = program(CALL, {"x": Location("input"), "y": Location("output", 4), "t": Location("arena", 8)})
    arena = allocate([Buffer("t", 6, 0, 1)])
    calls = (CALL,) if fused else (CALL, CALL)
    whole = Program("net", planned.graph, calls, planned.locations, arena)
    point = Point(500, 0, 700, 0, (2, -1)) if fused else Point(1200, 20, 650, 0, (1, 0))
    options = ((C, FAST, FUSED), (C, FAST))
    begins = (0,) if fused else (0, 1)
    return planned.graph, Choice(whole, begins, options, ((("wide", "too deep"),), ()), point, point, (point,), None)


@pytest.mark.parametrize("fused", [False, True])
def test_what_was_written_is_read(fused: bool) -> None:
    graph, chosen = choice(fused)
    written = plan_file(graph, graph, chosen, "latency")
    assert from_json(PlanFile, json_bytes(written), "plan.json") == written


def test_every_call_has_its_options_and_the_plan_its_choice() -> None:
    graph, chosen = choice(False)
    written = plan_file(graph, graph, chosen, "latency")
    assert [[o.variant for o in c.options] for c in written.calls] == [["c", "fast"], ["c", "fast"]]
    assert written.plan.variants == ("fast", "c") and written.plan.total == 1220
    assert [(r.variant, r.why) for r in written.calls[0].refused] == [("wide", "too deep")]
    assert written.left_out.channels == written.left_out.macs == 0


def test_beside_fused_calls_stands_each_of_them_alone_in_its_fastest_variant() -> None:
    graph, chosen = choice(True)
    written = plan_file(graph, graph, chosen, "latency")
    (call,) = written.calls
    assert [(o.variant, o.cycles, o.wait_cycles) for o in call.options] == [("fused", 500, 0), ("fast + fast", 600, 40)]
    assert written.arena.buffers[0].calls == (0, 0), "both calls are one"


def test_a_location_is_a_memory_with_an_offset_or_a_port() -> None:
    assert _location(Location("arena", 12)) == ("arena", 12)
    assert _location(Location("output", port=1)) == ("output", 1)
    assert _location(Location("input", 4, 1)) == ("input", 1, 4)
