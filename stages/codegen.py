"""Stage `codegen`: the integer graph becomes a C library with its plan."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config import Project
from stages.base import Job
from stages.samples import data_files, evaluation

if TYPE_CHECKING:
    from pipeline.choose import Choice, Point

NAME = "codegen"
AFTER = ("quantize",)
TARGETS = ("plan.json", "CMakeLists.txt")
_SELFTEST_VECTORS = 4


def keys(project: Project) -> Any:
    config = project.config
    memory = config.memory.model_dump()
    limits = [config.optimize, *_limits(project)]
    return [config.product, project.chip.core, config.model.source, config.data.model_dump(), memory, limits]


def _limits(project: Project) -> tuple[int, int | None, int | None, int]:
    """Free flash, free stack, affordable cycles (only where the plan is bound by them), cycles of a multiplication."""
    budget, chip = project.config.budget, project.chip
    cycles = None
    if project.config.optimize == "flash" and budget.latency is not None:
        # The plan counts without wait states; each adds up to 0.55 of the cycles to the upper bound of such code, as
        # measured on the benchmark's networks.
        cycles = int(budget.latency * chip.clock / (1 + Fraction(11, 20) * chip.flash.wait_states))
    return budget.flash or chip.flash.size, budget.stack, cycles, chip.multiplier


def inputs(project: Project) -> Mapping[str, Path]:
    return data_files(project)


def run(job: Job) -> dict[str, bytes]:
    from pipeline.artifact import to_json
    from pipeline.choose import Limits, choose
    from pipeline.codegen import Vectors, generate
    from pipeline.graphfile import load
    from pipeline.plan import plan

    project = job.project
    graph = load({n: job.read("quantize", n) for n in ("graph.json", "weights.bin")})
    memory = project.config.memory
    own = {"own_inputs": memory.inputs == "arena", "own_outputs": memory.outputs == "arena"}
    choice = choose(
        plan(project.config.product, graph, **own),
        project.chip.core,
        Limits(*_limits(project)),
        project.config.optimize,
    )
    program = choice.program
    samples = evaluation(project, graph).take(_SELFTEST_VECTORS)
    integers = graph.integers(samples.inputs)
    vectors = Vectors(tuple(integers), tuple(graph.run(integers)))
    source = Path(project.config.model.source).name
    document = {
        "arena": {
            "size": program.arena.size,
            "lower_bound": program.arena.lower_bound,
            "optimal": program.arena.optimal,
            "buffers": [
                {"name": b.name, "offset": program.arena.offsets[b.name], "size": b.size, "calls": [b.first, b.last]}
                for b in program.arena.buffers
            ],
        },
        "places": program.places,
        "plan": _plan(choice, project.config.optimize),
        "calls": [
            {
                "layer": c.node,
                "kernel": c.routine.variant if c.routine else c.kernel,
                "macs": c.macs,
                "roof": c.routine.roof if c.routine else None,
                "options": [
                    {"variant": o.variant, "cycles": o.cycles, "flash": o.flash, "stack": o.stack} for o in options
                ],
                "refused": [{"variant": v, "why": why} for v, why in refused],
                "inputs": [_home(program.homes[n]) for n in c.inputs if n in program.homes],
                "outputs": [_home(program.homes[n]) for n in c.outputs],
            }
            for c, options, refused in zip(program.calls, choice.options, choice.refused, strict=True)
        ],
    }
    return generate(program, project.chip.core, source, vectors) | {"plan.json": to_json(document)}


def _plan(choice: "Choice", optimize: str) -> dict[str, Any]:
    """What the plan expects of its choice, what the next KiB of flash would buy, and other plans it could have made."""

    def told(point: "Point") -> dict[str, Any]:
        variants = [options[i].variant for options, i in zip(choice.options, point.chosen, strict=True)]
        return {"cycles": point.cycles, "flash": point.flash, "variants": variants}

    return {
        "optimize": optimize,
        **told(choice.point),
        "next_kib": {"cycles": choice.next_kib.cycles, "flash": choice.next_kib.flash},
        "frontier": [told(p) for p in choice.frontier],
    }


def _home(home: tuple[str, int, int]) -> list[str | int]:
    """Which memory, where in the arena or which port, and where in the port unless at its beginning."""
    return list(home if home[2] else home[:2])
