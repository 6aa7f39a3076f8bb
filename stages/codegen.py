"""Stage `codegen`: the integer graph becomes a C library with its plan."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.config import Project
from stages.base import Job
from stages.samples import data_files, evaluation

NAME = "codegen"
AFTER = ("quantize",)
TARGETS = ("plan.json", "CMakeLists.txt")
_SELFTEST_VECTORS = 4


def keys(project: Project) -> Any:
    config = project.config
    memory = config.memory.model_dump()
    return [config.product, project.chip.core, config.model.source, config.data.model_dump(), memory]


def inputs(project: Project) -> Mapping[str, Path]:
    return data_files(project)


def run(job: Job) -> dict[str, bytes]:
    from pipeline.artifact import to_json
    from pipeline.codegen import Vectors, generate
    from pipeline.graphfile import load
    from pipeline.plan import plan

    project = job.project
    graph = load({n: job.read("quantize", n) for n in ("graph.json", "weights.bin")})
    memory = project.config.memory
    own = {"own_inputs": memory.inputs == "arena", "own_outputs": memory.outputs == "arena"}
    program = plan(project.config.product, graph, **own)
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
        "calls": [
            {
                "layer": c.node,
                "kernel": c.kernel,
                "macs": c.macs,
                "inputs": [_home(program.homes[n]) for n in c.inputs if n in program.homes],
                "outputs": [_home(program.homes[n]) for n in c.outputs],
            }
            for c in program.calls
        ],
    }
    return generate(program, project.chip.core, source, vectors) | {"plan.json": to_json(document)}


def _home(home: tuple[str, int, int]) -> list[str | int]:
    """Which memory, where in the arena or which port, and where in the port unless at its beginning."""
    return list(home if home[2] else home[:2])
