"""What routines cost, as numbers that the emulator confirmed: a formula that moves is seen.

`python tests/planning/test_variants_costs.py` writes them anew; the other tests then say whether they are right.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

import test_fused_dense
from conftest import ROOT
from every_variant import built_for
from variant_samples import SAMPLES

from pipeline.facts.cores import CORES
from pipeline.graph.kernel_call import Routine
from pipeline.planning.variants import fused_routines, routines
from pipeline.quantizing.calibrate import Policy

GOLDEN = ROOT / "tests" / "golden" / "costs.json"
KINDS = (
    "dense_1_1_1", "dense_17_13_3", "dense_241_5_1", "dense_9_12_2", "two_chunks", "few_channels", "left_of_the_image",
    "one_channel_wide", "tall_dilated", "depthwise_seven", "depthwise_stride_3", "depthwise_far", "depthwise_dilated",
)  # fmt: skip
PLAIN = ("MaxPool_1x3x6x6_17", "MaxPool_1x2x8_17", "AveragePool_1x3x6x6_17", "AveragePool_1x4x9_17", "Add_1x2x3x4_17")
CASES = [(n, b, r) for n in KINDS for b, r in ((8, "shift"), (8, "multiplier"))]
CASES += [(n, 3, "multiplier") for n in KINDS if not n.startswith("depthwise")]
CASES += [(n, 8, "shift") for n in SAMPLES if n.startswith(PLAIN)]


def numbers(routine: Routine) -> list[int]:
    """Cycles on Cortex-M0, M0+ and with a slow multiplier, instructions, bytes of code, stack, least cycles, reads."""
    run = routine.executed
    cycles = [run.cycles(CORES["cortex-m0"]), run.cycles(CORES["cortex-m0plus"]), run.cycles(CORES["cortex-m0"], 32)]
    tables = sum(t.nbytes for t in routine.tables.values())
    return [*cycles, run.instructions, routine.code, tables, routine.stack, routine.least_cycles, routine.reads]


def of_sample(name: str, bits: int, requantizer: str) -> dict[str, list[int]]:
    # Symmetric outputs of eight bits are rounded on both sides: the requantizer with the dip.
    policy = Policy("mse", symmetric=requantizer == "multiplier" and bits == 8)
    program = built_for(SAMPLES[name], requantizer, policy, bits).program
    return {r.variant: numbers(r) for c in program.calls for r in routines(c, "cortex-m0")}


def of_chains(sizes: tuple[int, ...], bits: int) -> dict[str, list[int]]:
    program = test_fused_dense.built_for(test_fused_dense.mlp(sizes), "multiplier", bits).program
    return {core: numbers(r) for core in ("cortex-m0", "cortex-m0plus") for r in fused_routines(program.calls, core)}


def measured() -> Iterator[tuple[str, dict[str, list[int]]]]:
    for case in CASES:
        yield "-".join(map(str, case)), of_sample(*case)
    for bits in (8, 3):
        yield f"fused_dense-{bits}", of_chains((30, 32, 16, 4), bits)


def golden() -> dict[str, dict[str, list[int]]]:
    values: dict[str, dict[str, list[int]]] = json.loads(GOLDEN.read_text("utf-8"))
    return values


@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, c)))
def test_a_routine_costs_what_it_did(case: tuple[str, int, str]) -> None:
    assert of_sample(*case) == golden()["-".join(map(str, case))]


@pytest.mark.parametrize("bits", [8, 3])
def test_a_chain_costs_what_it_did(bits: int) -> None:
    assert of_chains((30, 32, 16, 4), bits) == golden()[f"fused_dense-{bits}"]


if __name__ == "__main__":
    rows = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in measured()]
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text("{\n" + ",\n".join(rows) + "\n}\n", "utf-8")
