"""The plan under budgets: against brute force, at the edges, and against what was then measured."""

import json
from pathlib import Path

import pytest
from conftest import chipfit_here, some

from pipeline.facts.flash_wait_states import FlashTiming
from pipeline.graph.graph_file import load
from pipeline.ops import NODES
from pipeline.planning.choose_kernels import ENTRY_STACK, Limits, choose
from pipeline.planning.plan import Program, plan
from pipeline.planning.variants import c_costs


def digits(workshop: Path) -> Program:
    folder = workshop / "build" / "digits" / "quantize"
    return plan("digits", load({n: (folder / n).read_bytes() for n in ("graph.json", "weights.bin")}, NODES))


def test_where_nothing_fits_the_plan_comes_as_near_as_it_can(workshop: Path) -> None:
    program = digits(workshop)
    free = choose(program, "cortex-m0", Limits(None, None, None), "latency")
    smallest = min(p.flash for p in free.frontier)
    assert choose(program, "cortex-m0", Limits(smallest - 1, None, None), "latency").point.flash == smallest
    assert choose(program, "cortex-m0", Limits(None, None, 1), "flash").point.cycles == free.point.cycles


def test_the_same_network_has_the_same_plan_every_time(workshop: Path) -> None:
    program = digits(workshop)
    for limits, optimize in ((Limits(5000, None, None), "latency"), (Limits(None, None, 200_000), "flash")):
        once, again = (choose(program, "cortex-m0", limits, optimize) for _ in range(2))
        assert (once.point, once.next_kib, once.frontier) == (again.point, again.next_kib, again.frontier)


def test_what_needs_more_than_the_free_stack_is_told_and_not_taken(workshop: Path) -> None:
    choice = choose(digits(workshop), "cortex-m0", Limits(None, 200, None), "latency")
    refused = [r for of in choice.refused for r in of]
    assert all(why.endswith("B of stack, 200 B are free") for _, why in some(refused))
    assert all(o.stack + ENTRY_STACK <= 200 for o in some(o for of in choice.options for o in of if o.routine))


WAITING = FlashTiming(1, 8, prefetch=True)


def test_what_runs_from_ram_is_never_more_than_is_free_and_faster_the_more_there_is(workshop: Path) -> None:
    program = digits(workshop)
    totals = []
    for free in (0, 500, 1500, 4000, 20_000):
        point = choose(program, "cortex-m0", Limits(None, None, None, ram=free, timing=WAITING), "latency").point
        assert point.ram <= free
        totals.append(point.total)
    assert totals == sorted(totals, reverse=True) and len(set(totals)) == len(totals)
    everything = choose(program, "cortex-m0", Limits(None, None, None, ram=20_000, timing=WAITING), "latency")
    assert everything.point.wait_cycles == 0
    assert all(c.routine is not None and c.routine.memory != "flash" for c in some(everything.program.calls))


def test_nothing_runs_from_ram_where_flash_does_not_wait(workshop: Path) -> None:
    choice = choose(digits(workshop), "cortex-m0", Limits(None, None, None, ram=20_000), "latency")
    assert choice.point.ram == choice.point.wait_cycles == 0
    assert {o.memory for of in choice.options for o in of} == {"flash"}


def test_what_spare_ram_would_buy_is_said_and_left_to_its_owner(workshop: Path) -> None:
    program = digits(workshop)
    choice = choose(program, "cortex-m0", Limits(None, None, None, spare_ram=3000, timing=WAITING), "latency")
    allowed = choose(program, "cortex-m0", Limits(None, None, None, ram=3000, timing=WAITING), "latency")
    assert choice.point.ram == 0
    assert choice.from_ram is not None and choice.from_ram.total == allowed.point.total < choice.point.total


def test_a_product_may_keep_code_in_ram(workshop: Path) -> None:
    """Through every stage: what was planned is what was linked, it is as right as before, and it waits less."""
    product = workshop / "configs" / "products" / "digits_ram.yaml"
    product.write_text("extends: digits.yaml\nproduct: digits_ram\nmemory: {code: ram}\n")
    assert chipfit_here(workshop, "build", str(product)).returncode == 0
    build = workshop / "build"
    plan, size, run = (
        json.loads((build / "digits_ram" / n).read_text())
        for n in ("codegen/plan.json", "size-check/size.json", "simulate/simulate.json")
    )
    assert run["vectors"]["mismatches"] == run["vectors"]["host_mismatches"] == 0
    assert 0.8 * plan["plan"]["ram"] <= size["ram"]["data"] <= plan["plan"]["ram"]
    assert size["ram"]["used"] <= size["ram"]["limit"]
    assert size["stack"]["worst_case"] is not None
    slower = json.loads((build / "digits" / "simulate" / "simulate.json").read_text())
    assert run["cycles"]["zero_wait"] <= slower["cycles"]["zero_wait"] + 20
    assert run["cycles"]["max"] < 0.8 * slower["cycles"]["max"]
    planned = plan["plan"]["cycles"] + plan["plan"]["waits"]
    assert abs(planned - run["cycles"]["max"]) < 0.05 * run["cycles"]["max"]
    said = json.loads((build / "digits" / "codegen" / "plan.json").read_text())["plan"]["from_ram"]
    assert said["cycles"] == planned


@pytest.mark.parametrize("product", ["touch", "digits", "digits_rp2040", "digits_mlp"])
def test_a_plan_takes_no_more_flash_and_exactly_the_cycles_that_it_says(workshop: Path, product: str) -> None:
    """What is said to fit has to fit; and it is not said to be much larger than it is. On Cortex-M0 and M0+."""
    document = json.loads((workshop / "build" / product / "codegen" / "plan.json").read_text())
    planned = document["plan"]
    size = json.loads((workshop / "build" / product / "size-check" / "size.json").read_text())
    assert size["flash"]["used"] <= planned["flash"] <= 1.2 * size["flash"]["used"]
    simulated = json.loads((workshop / "build" / product / "simulate" / "simulate.json").read_text())
    kernels = [c["kernel"] for c in document["calls"]]
    assert not set(kernels) & set(c_costs.CODE), "every layer is in assembly, whose cycles are exact"
    assert planned["cycles"] == sum(x["zero_wait"] for x in simulated["layers"])
