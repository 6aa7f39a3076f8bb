"""A network through every variant of Armv6-M that can do a layer of it: exact, and in the cycles that it said."""

from dataclasses import replace
from pathlib import Path

from building import Built, assert_chip_equals, build, emulated, on_chip, write_library
from elftools.elf.elffile import ELFFile

from pipeline.facts.cores import CORES
from pipeline.facts.weight_bits import Widths
from pipeline.ops.shared.samples import Sample
from pipeline.planning.choose_kernels import ENTRY_STACK
from pipeline.planning.plan import Program
from pipeline.planning.variants import c_costs
from pipeline.planning.variants.armv6m import ONE_CALL
from pipeline.planning.variants.without_offset import plain
from pipeline.quantizing.calibrate import Policy


def with_variant(built: Built, name: str) -> Program:
    """Every call that the variant can do, done by it."""
    (variant,) = (v for v in ONE_CALL if name == v.NAME)
    calls = tuple(replace(c, routine=variant.offer(plain(c))) for c in built.program.calls)
    return replace(built.program, calls=calls)


def built_for(sample: Sample, requantizer: str, policy: Policy = Policy("mse"), bits: int = 8) -> Built:  # noqa: B008
    inputs = tuple(sample.inputs(4).values())
    return build(sample.model, inputs, inputs, requantizer, policy, widths=Widths(bits, {}))


CHIPS = (("cortex-m0", 1), ("cortex-m0", 32), ("cortex-m0plus", 1))


def every_variant(built: Built, folder: Path, toolchain: str = "ziglang") -> int:
    """Each variant that can do a call of the network: right outputs, and the cycles, stack and code that it said.

    How many can.
    """
    done = 0
    for variant in ONE_CALL:
        program = with_variant(built, variant.NAME)
        done += any(c.routine is not None for c in program.calls)
        if not any(c.routine for c in program.calls):
            continue
        library = write_library(built, folder / variant.NAME, "cortex-m0", program)
        runs = on_chip(built, library, "cortex-m0", toolchain)
        assert_chip_equals(built, runs)
        elf = library / f"{toolchain}-cortex-m0" / "net.elf"
        sizes = code_sizes(elf)
        for core, multiplier in CHIPS:
            (run,) = emulated(built, elf, core, multiplier=multiplier, count=1)
            for call, layer in zip(program.calls, run.layers, strict=True):
                if call.routine is not None:
                    cycles = call.routine.executed.cycles(CORES[core], multiplier)
                    assert (cycles, cycles) == layer.zero_wait, (variant.NAME, core, multiplier)
        stacks = [c_costs.stack() if c.routine is None else c.routine.stack for c in program.calls]
        assert runs[0].stack <= max(stacks) + ENTRY_STACK
        for index, call in enumerate(program.calls):
            if call.routine is not None:
                code = sum(s for n, s in sizes.items() if n.startswith(f"net__layer_{index}"))
                assert code <= call.routine.code <= 1.15 * code + 240, variant.NAME
    return done


def code_sizes(elf: Path) -> dict[str, int]:
    with elf.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        return {s.name: s["st_size"] for s in table.iter_symbols() if s["st_info"]["type"] == "STT_FUNC"}
