"""A network through every variant of Armv6-M that can do a layer of it: exact, and in the cycles that it said."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from building import Built, assert_chip_equals, build, emulated, on_chip, write_library
from elftools.elf.elffile import ELFFile
from merged_networks import merged

from pipeline.facts.cores import CORES
from pipeline.facts.weight_bits import Widths
from pipeline.measuring.footprint.reading import read_image
from pipeline.measuring.footprint.stack import worst_case
from pipeline.ops.shared.samples import Sample
from pipeline.planning.choose_kernels import ENTRY_STACK
from pipeline.planning.plan import Program
from pipeline.planning.variants import c_costs
from pipeline.planning.variants.armv6m import ONE_CALL
from pipeline.planning.variants.without_offset import without_offset
from pipeline.quantizing.calibrate import Policy


def with_variant(built: Built, name: str) -> Program:
    """Every call that the variant can do, done by it."""
    (variant,) = (v for v in ONE_CALL if name == v.NAME)
    calls = tuple(replace(c, routine=variant.offer(without_offset(c))) for c in built.program.calls)
    return replace(built.program, calls=calls)


def built_for(sample: Sample, requantizer: str, policy: Policy = Policy("mse"), bits: int = 8) -> Built:  # noqa: B008
    inputs = tuple(sample.inputs(4).values())
    return build(sample.model, inputs, inputs, requantizer, policy, widths=Widths(bits, {}))


CHIPS = (("cortex-m0", 32), ("cortex-m0plus", 1))
"""Beside a Cortex-M0 that multiplies in one cycle."""


def every_variant(nets: Mapping[str, Built], folder: Path, toolchain: str = "ziglang") -> dict[str, int]:
    """Each variant that can do a call of a network: right outputs, and the cycles, stack and code that it said.

    All of them in one image. How many can, for each network.
    """
    pairs = {(n, v.NAME): (built, with_variant(built, v.NAME)) for n, built in nets.items() for v in ONE_CALL}
    parts = {k: (b, p) for k, (b, p) in pairs.items() if any(c.routine for c in p.calls)}
    done = {name: sum(n == name for n, _ in parts) for name in nets}
    if not parts:
        return done
    whole = merged({f"{n} by {v}": part for (n, v), part in parts.items()})
    calls = whole.program.calls
    library = write_library(whole, folder, "cortex-m0", whole.program)
    runs = on_chip(whole, library, "cortex-m0", toolchain)
    assert_chip_equals(whole, runs)
    elf = library / f"{toolchain}-cortex-m0" / "net.elf"
    timed = {(c, m): emulated(whole, elf, c, multiplier=m, count=1)[0] for c, m in CHIPS}
    for (core, multiplier), run in ({("cortex-m0", 1): runs[0]} | timed).items():
        for call, layer in zip(calls, run.layers, strict=True):
            if call.routine is not None:
                cycles = call.routine.executed.cycles(CORES[core], multiplier)
                assert (cycles, cycles) == layer.zero_wait, (call.outputs, core, multiplier)
    image, sizes = read_image(elf), code_sizes(elf)
    begins = {label.name: label.address for label in image.labels if label.function}
    for index, call in enumerate(calls):
        if call.routine is not None:
            own = re.compile(rf"net__layer_{index}(?!\d)")
            code = sum(s for n, s in sizes.items() if own.match(n))
            assert code <= call.routine.code <= 1.02 * code + 240, call.outputs
            stack = worst_case(image, begins[f"net__layer_{index}"])
            assert stack.worst is not None and stack.worst <= call.routine.stack, (call.outputs, stack)
    stacks = [c_costs.stack() if c.routine is None else c.routine.stack for c in calls]
    assert runs[0].stack <= max(stacks) + ENTRY_STACK
    return done


def code_sizes(elf: Path) -> dict[str, int]:
    with elf.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        return {s.name: s["st_size"] for s in table.iter_symbols() if s["st_info"]["type"] == "STT_FUNC"}
