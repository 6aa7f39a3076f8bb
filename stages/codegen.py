"""Stage `codegen`: the integer graph becomes a C library with its plan."""

import importlib.metadata
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.facts.artifact import file_sha256, sha256, to_json
from pipeline.facts.config import Project
from stages.base import Job
from stages.samples import data_files, evaluation, model_files

if TYPE_CHECKING:
    from pipeline.planning.choose_kernels import Choice, Limits
    from pipeline.planning.integer_program import Option, Point

NAME = "codegen"
AFTER = ("quantize",)
TARGETS = ("plan.json", "CMakeLists.txt")
_SELFTEST_VECTORS = 4
_ALIGNED = 32  # bytes that alignment may take between the arena and what is copied


def keys(project: Project) -> Any:
    config = project.config
    budget, chip = config.budget.model_dump(exclude={"latency"}), project.chip
    flash = [chip.flash.size, *astuple(chip.flash.timing)]
    limits = [config.optimize, budget, _affordable(project), chip.multiplier, flash]
    memory = config.memory.model_dump()
    return [config.product, chip.core, config.model.source, config.data.model_dump(), memory, limits]


def _affordable(project: Project) -> int | None:
    """Cycles, where the plan is bound by them."""
    config = project.config
    if config.optimize == "latency" or config.budget.latency is None:
        return None
    return int(config.budget.latency * project.chip.clock)


def _limits(project: Project, arena: int) -> "Limits":
    from pipeline.planning.choose_kernels import Limits

    budget, chip = project.config.budget, project.chip
    spare = max(0, (budget.ram or 0) - arena - _ALIGNED)
    return Limits(
        flash=budget.flash or chip.flash.size,
        stack=budget.stack,
        cycles=_affordable(project),
        multiplier=chip.multiplier,
        ram=spare if project.config.memory.code == "ram" else 0,
        spare_ram=spare if project.config.memory.code == "flash" and chip.flash.wait_states else 0,
        timing=chip.flash.timing,
    )


def inputs(project: Project) -> Mapping[str, Path]:
    return {**model_files(project), **data_files(project)}


def run(job: Job) -> dict[str, bytes]:
    from pipeline.generating.library import Origin, generate
    from pipeline.generating.selftest import Vectors
    from pipeline.graph.graph_file import load
    from pipeline.ops import NODES
    from pipeline.planning.choose_kernels import choose
    from pipeline.planning.dead_channels import channels_left_out, without_dead_channels
    from pipeline.planning.plan import plan

    project = job.project
    graph = load({n: job.read("quantize", n) for n in ("graph.json", "weights.bin")}, NODES)
    memory = project.config.memory
    own = {"own_inputs": memory.inputs == "arena", "own_outputs": memory.outputs == "arena"}
    lean = without_dead_channels(graph)
    planned = plan(project.config.product, lean, **own)
    limits = _limits(project, planned.arena.size)
    choice = choose(planned, project.chip.core, limits, project.config.optimize)
    program = choice.program
    samples = evaluation(project, graph).take(_SELFTEST_VECTORS)
    integers = graph.integers(samples.inputs)
    vectors = Vectors(tuple(integers), tuple(graph.run(integers)))
    document = {
        "arena": {
            "size": program.arena.size,
            "lower_bound": program.arena.lower_bound,
            "optimal": program.arena.optimal,
            "needed": program.needs_arena,
            "buffers": [
                {
                    "name": b.name,
                    "offset": program.arena.offsets[b.name],
                    "size": b.size,
                    "calls": [bisect_right(choice.begins, i) - 1 for i in (b.first, b.last)],
                }
                for b in program.arena.buffers
            ],
        },
        "places": program.places,
        "left_out": channels_left_out(graph, lean),
        "plan": _plan(choice, project.config.optimize),
        "calls": [
            {
                "layer": c.node,
                "kernel": c.routine.variant if c.routine else c.kernel,
                "macs": c.macs,
                "roof": c.routine.least_cycles if c.routine else None,
                "options": [_option(o) for o in _alternatives(choice, begin)],
                "refused": [{"variant": v, "why": why} for v, why in choice.refused[begin]],
                "inputs": [_home(program.homes[n]) for n in c.inputs if n in program.homes],
                "outputs": [_home(program.homes[n]) for n in c.outputs],
            }
            for c, begin in zip(program.calls, choice.begins, strict=True)
        ],
    }
    written = to_json(document)
    name, version = Path(project.config.model.source).name, importlib.metadata.version("chipfit")
    origin = Origin(name, version, _model_digest(project), sha256(written))
    return generate(program, project.chip.core, origin, vectors) | {"plan.json": written}


def _model_digest(project: Project) -> str:
    """sha256 of the model file; where its tensors lie in other files besides, that of the list of all digests."""
    digests = {n: file_sha256(p) for n, p in model_files(project).items()}
    return sha256(to_json(digests)) if len(digests) > 1 else digests["model"]


def _plan(choice: "Choice", optimize: str) -> dict[str, Any]:
    """What the plan expects of its choice, what the next KiB of flash would buy, and other plans it could have made."""

    def told(point: "Point") -> dict[str, Any]:
        chosen = [options[i] for options, i in zip(choice.options, point.chosen, strict=True) if i >= 0]
        return {
            "cycles": point.cycles,
            "waits": point.waits,
            "flash": point.flash,
            "ram": point.ram,
            "variants": [o.variant for o in chosen],
            "places": [o.memory for o in chosen],
        }

    return {
        "optimize": optimize,
        **told(choice.point),
        "next_kib": {"cycles": choice.next_kib.total, "flash": choice.next_kib.flash},
        "from_ram": choice.from_ram and {"cycles": choice.from_ram.total, "ram": choice.from_ram.ram},
        "frontier": [told(p) for p in choice.frontier],
    }


def _alternatives(choice: "Choice", begin: int) -> "list[Option]":
    """What else would do what the call that begins there does; for a chain, also its layers one by one."""
    from pipeline.planning.integer_program import together

    chosen = choice.options[begin][choice.point.chosen[begin]]
    alike = [o for o in choice.options[begin] if o.span == chosen.span]
    if chosen.span == 1:
        return alike
    each = [
        min((o for o in of if o.span == 1), key=lambda o: o.cycles + o.waits)
        for of in choice.options[begin : begin + chosen.span]
    ]
    return [*alike, together(each)]


def _option(option: "Option") -> dict[str, Any]:
    names = ("variant", "cycles", "waits", "flash", "ram", "stack")
    return {"place": option.memory} | {n: getattr(option, n) for n in names}


def _home(home: tuple[str, int, int]) -> list[str | int]:
    """Which memory, where in the arena or which port, and where in the port unless at its beginning."""
    return list(home if home[2] else home[:2])
