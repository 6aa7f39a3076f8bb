"""Layers in assembly: bit for bit what the C kernels compute, in exactly the cycles that the plan counts on."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from building import Built, assert_chip_equals, assert_host_equals, fastest_plan, on_chip, write_library
from conftest import need, some
from every_variant import built_for, code_sizes, every_variant, with_variant
from merged_networks import batches, merged
from variant_samples import LINEAR, NARROW, SAMPLES, WEIGHTED, conv, dense

from pipeline.facts.cores import CORES
from pipeline.facts.flash_wait_states import FlashTiming
from pipeline.graph.kernel_call import KernelCall, RoutineMemory
from pipeline.ops.shared.samples import Sample, one_node
from pipeline.planning.placement import estimate_wait_cycles
from pipeline.planning.variants.armv6m import ONE_CALL
from pipeline.planning.variants.armv6m.shared_routines import IM2COL
from pipeline.quantizing.calibrate import Policy

CASES = [(n, b, r) for n in SAMPLES for b in (8, 5, 4, 3, 2) for r in ("shift", "multiplier") if b == 8 or n in NARROW]
LEFT_TO_C = (
    "Conv_dilation", "Conv_grouped", "Conv_depthwise_multiplier_2", "MaxPool_1x2x5x7_17", "AveragePool_1x2x5x5_17",
    "AveragePool_1x2x6x6_11", "GlobalAveragePool_1x3x4x5_17", "Sub_", "Add_per_channel",
)  # fmt: skip
"""Samples that no variant can do: groups, windows that leave the image, broadcasts."""


# In the fast suite each sample meets eight bits and three, each requantizer once.
FAST = {(n, b, ("shift", "multiplier")[(i + b // 8) % 2]) for i, n in enumerate(SAMPLES) for b in (8, 3)}
BATCHES = [*batches([c for c in CASES if c in FAST], 6), *batches([c for c in CASES if c not in FAST], 12)]
"""Cases that share one image: the fast ones, then the exhaustive ones."""


def label(case: tuple[object, ...]) -> str:
    return "-".join(map(str, case))


def batch(cases: Sequence[tuple[str, int, str]]) -> Any:
    marks = [] if FAST.issuperset(cases) else [pytest.mark.exhaustive]
    return pytest.param(cases, id=f"{label(cases[0])} to {label(cases[-1])}", marks=marks)


@pytest.mark.parametrize("cases", [batch(b) for b in BATCHES])
@pytest.mark.parametrize("toolchain", ["ziglang", pytest.param("gcc", marks=pytest.mark.exhaustive)])
def test_routines_equal_the_specification_and_cost_what_they_say(
    cases: Sequence[tuple[str, int, str]], toolchain: str, tmp_path: Path
) -> None:
    if toolchain == "gcc":
        need("arm-none-eabi-gcc")
    nets = {label(c): built_for(SAMPLES[c[0]], c[2], bits=c[1]) for c in cases}
    for name, done in some(every_variant(nets, tmp_path, toolchain).items()):
        members = [dict(c.params.members()) for c in nets[name].program.calls]
        exponents = [np.asarray(m["requantize.exponent"]) for m in members if "requantize.exponent" in m]
        # A sum that is multiplied up passes over outputs, which no thresholds of one step each can say.
        steep = any((e > 0).any() for e in exponents)
        assert done or steep or name.startswith(LEFT_TO_C), name
        assert not (done and name.startswith(LEFT_TO_C)), name


@pytest.mark.exhaustive
@pytest.mark.parametrize("seeds", batches(range(60), 6), ids=str)
def test_any_shape_is_done_right_or_left_to_another(seeds: Sequence[int], tmp_path: Path) -> None:
    """Windows beyond the image, single columns, long rows, odd strides."""
    assert len(every_variant({f"seed {s}": of_any_shape(s) for s in seeds}, tmp_path)) == len(seeds)


def of_any_shape(seed: int) -> Built:
    rng = np.random.default_rng(seed)

    def upto(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    kind = ("dense", "conv", "depthwise", "pool")[seed % 4]
    bits = int(rng.choice([8, 8, 5, 4, 3, 2])) if kind != "pool" else 8
    height, width, channels = upto(1, 16), upto(1, 26), upto(2, 40)
    kernel = (min(upto(1, 7), height), min(upto(1, 7), width))
    strides = [upto(1, 3), upto(1, 3)]
    if kind == "dense":
        sample = dense(upto(1, 300) if seed % 8 else upto(200, 1200), upto(1, 40), upto(1, 3))
    elif kind == "pool":
        op = str(rng.choice(["MaxPool", "AveragePool"]))
        shape = {"x": (1, channels, height, width)}
        sample = one_node(op, shape, kernel_shape=kernel, strides=strides, label="pool")
    else:
        own = (channels, 1) if kind == "depthwise" else (upto(1, 26), channels)
        group = channels if kind == "depthwise" else 1
        pads, dilations = [upto(2, 4) for _ in range(4)], [upto(1, 2), upto(1, 2)]
        pads = [p if d == 1 else 6 for p, d in zip(pads, dilations * 2, strict=True)]
        x = (1, channels, height, width)
        sample = conv("any", x, (*own, *kernel), group=group, pads=pads, strides=strides, dilations=dilations)
    return built_for(sample, str(rng.choice(["shift", "multiplier"])), bits=bits)


@pytest.mark.parametrize("samples", batches(SAMPLES.values(), 20), ids=lambda b: f"{b[0].name} to {b[-1].name}")
def test_c_in_place_of_assembly_equals_the_specification(samples: Sequence[Sample], tmp_path: Path) -> None:
    """The same library on this machine, which has no use for Thumb code."""
    nets = {s.name: built_for(s, "multiplier") for s in samples}
    whole = merged({n: (built, fastest_plan(built, "cortex-m0")) for n, built in nets.items()})
    assert_host_equals(whole, write_library(whole, tmp_path, "cortex-m0", whole.program))


def test_two_sided_outputs_are_rounded_twice_as_in_tensorflow_lite(tmp_path: Path) -> None:
    """Below zero the second rounding goes the other way: what requantize_dip is for."""
    sample = conv("signed", (1, 6, 5, 6), (9, 6, 3, 3), pads=[1, 1, 1, 1])
    built = built_for(sample, "multiplier", Policy("mse", symmetric=True))
    program = fastest_plan(built, "cortex-m0")
    text = b"".join(
        p.read_bytes() for p in (write_library(built, tmp_path, "cortex-m0", program) / "src").glob("*_layers.S")
    )
    assert b"requantize_dip sum0" in text
    runs = on_chip(built, tmp_path, "cortex-m0")
    assert_chip_equals(built, runs)
    assert program.calls[0].routine is not None
    assert program.calls[0].routine.executed.cycles(CORES["cortex-m0"]) == runs[0].layers[0].zero_wait[0]


def test_every_variant_was_tested(tmp_path: Path) -> None:
    """Each does one of the samples at least, and each requantizer is met."""
    done = set()
    for sample in SAMPLES.values():
        for variant in ONE_CALL:
            if variant.NAME in done:
                continue
            built = built_for(sample, "shift", bits=3 if sample.name in WEIGHTED else 8)
            done |= {c.routine.variant for c in with_variant(built, variant.NAME).calls if c.routine}
    assert done == {v.NAME for v in ONE_CALL}


USUAL = [
    conv("usual", (1, 16, 9, 9), (20, 16, 3, 3), pads=[1, 1, 1, 1]),
    conv("usual_lines", (1, 3, 16, 16), (12, 3, 3, 3), pads=[1, 1, 1, 1]),
    conv("usual_depthwise", (1, 24, 12, 12), (24, 1, 3, 3), group=24, pads=[1, 1, 1, 1]),
    dense(64, 40, 4),
    one_node("MaxPool", {"x": (1, 16, 12, 12)}, kernel_shape=[2, 2], strides=[2, 2], label="usual_pool"),
    one_node("Add", {"a": (1, 16, 12, 12), "b": (1, 16, 12, 12)}, label="usual_add"),
]
WAITING = [FlashTiming(1, 4), FlashTiming(2, 8, prefetch=True, cache="instructions"), FlashTiming(3, 16)]


def timings(name: str, memory: RoutineMemory, *, every: bool) -> list[FlashTiming]:
    """Of `WAITING`: all, or one, another for each memory and for each next variant."""
    turn = [v.NAME for v in ONE_CALL].index(name) + get_args(RoutineMemory).index(memory)
    return WAITING if every else [WAITING[turn % len(WAITING)]]


EXHAUSTIVE = [pytest.param(t, True, marks=pytest.mark.exhaustive) for t in ("ziglang", "gcc")]


@pytest.mark.parametrize(("toolchain", "every"), [("ziglang", False), *EXHAUSTIVE])
@pytest.mark.parametrize("name", [v.NAME for v in ONE_CALL])
def test_code_runs_from_ram_as_it_does_from_flash_and_waits_about_as_planned(
    name: str, toolchain: str, every: bool, tmp_path: Path
) -> None:
    if toolchain == "gcc":
        need("arm-none-eabi-gcc")
    bits = 3 if name in ("packed_compressed", "packed_narrow") else 8
    found = (built_for(s, "multiplier", bits=bits) for s in (*USUAL, *SAMPLES.values()))
    built = next(b for b in found if any(c.routine for c in with_variant(b, name).calls))
    program = with_variant(built, name)
    for memory in some(get_args(RoutineMemory)):
        calls = tuple(c if c.routine is None else moved(c, memory) for c in program.calls)
        library = write_library(built, tmp_path / memory, "cortex-m0", replace(program, calls=calls))
        for timing in some(timings(name, memory, every=every)):
            runs = on_chip(built, library, "cortex-m0", toolchain, 2, timing)
            assert_chip_equals(built, runs)
            pairs = zip(calls, runs[0].layers, strict=True)
            for call, layer in some((c, x) for c, x in pairs if c.routine is not None):
                assert call.routine is not None
                cycles = call.routine.executed.cycles(CORES["cortex-m0"])
                assert cycles == layer.zero_wait[0]
                added = layer.high - layer.zero_wait[1]
                planned = estimate_wait_cycles(call, call.routine, cycles, timing, "cortex-m0")
                assert abs(added - planned) <= 0.06 * added + 100 * timing.wait_states, (memory, timing)


def moved(call: KernelCall, memory: RoutineMemory) -> KernelCall:
    assert call.routine is not None
    return replace(call, routine=replace(call.routine, memory=memory))


def test_shared_code_is_no_larger_than_the_plan_thinks(tmp_path: Path) -> None:
    built = built_for(LINEAR["Conv_3x3_pad"], "shift")
    for toolchain in ("ziglang", "gcc"):
        if toolchain == "gcc":
            need("arm-none-eabi-gcc")
        library = write_library(built, tmp_path / toolchain, "cortex-m0", fastest_plan(built, "cortex-m0"))
        on_chip(built, library, "cortex-m0", toolchain, count=1)
        sizes = code_sizes(library / f"{toolchain}-cortex-m0" / "net.elf")
        assert sum(sizes[f"net__shared_{n}"] for n in IM2COL.functions) <= IM2COL.code


def test_every_variant_has_a_macro_file_and_a_name() -> None:
    names = [v.NAME for v in ONE_CALL]
    assert len(set(names)) == len(names)
