"""Dense layers in one frame: exact outputs and cycles, and only where nobody else reads what lies between them."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import pytest
from abi import in_a_storm
from building import Built, assert_chip_equals, build, on_chip, on_host, write_library
from conftest import need, some
from onnx import TensorProto, helper, numpy_helper

from pipeline.facts.cores import CORES
from pipeline.facts.weight_bits import Widths
from pipeline.graph.kernel_call import RoutineMemory
from pipeline.planning.choose_kernels import ENTRY_STACK, Choice, Limits, choose
from pipeline.planning.plan import Program
from pipeline.planning.variants import fused_routines
from pipeline.quantizing.calibrate import Policy


def mlp(sizes: Sequence[int], rows: int = 1, read_between: int | None = None, seed: int = 0) -> onnx.ModelProto:
    """Gemm and Relu in turns; the output of layer `read_between` is an output of the network, too."""
    rng = np.random.default_rng(seed)
    nodes, constants, last = [], [], "x"
    for index, (taps, outputs) in enumerate(pairwise(sizes)):
        for name, shape in ((f"w{index}", (outputs, taps)), (f"b{index}", (outputs,))):
            constants.append(numpy_helper.from_array(rng.normal(0, 0.5, shape).astype(np.float32), name))
        nodes.append(helper.make_node("Gemm", [last, f"w{index}", f"b{index}"], [f"g{index}"], f"d{index}", transB=1))
        last = f"g{index}"
        if index < len(sizes) - 2:
            nodes.append(helper.make_node("Relu", [last], [f"r{index}"]))
            last = f"r{index}"
    named = [(last, sizes[-1])] + ([] if read_between is None else [(f"r{read_between}", sizes[read_between + 1])])
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (rows, size)) for n, size in named]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (rows, sizes[0]))
    graph = helper.make_graph(nodes, "mlp", [x], outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def built_for(model: onnx.ModelProto, requantizer: str = "shift", bits: int = 8, *, symmetric: bool = False) -> Built:
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(1).normal(0, 1, (12, *shape)).astype(np.float32)
    return build(model, (x,), (x,), requantizer, Policy("mse", symmetric=symmetric), widths=Widths(bits, {}))


def fastest(built: Built) -> Choice:
    return choose(built.program, "cortex-m0", Limits(None, None, None), "latency")


NETS = [(5, 3, 2), (30, 32, 16, 4), (64, 7, 13), (3, 1, 2), (100, 60, 40, 20), (16, 12, 12, 12, 12, 12)]


def in_one(program: Program) -> Program:
    """All calls as one chain, whatever the plan would choose."""
    first, last = program.calls[0], program.calls[-1]
    (routine,) = fused_routines(program.calls, "cortex-m0")
    return replace(program, calls=(replace(first, outputs=last.outputs, routine=routine, parts=program.calls),))


def in_memory(program: Program, memory: RoutineMemory) -> Program:
    calls = tuple(replace(c, routine=c.routine and replace(c.routine, memory=memory)) for c in program.calls)
    return replace(program, calls=calls)


# In the fast suite each network meets each width, with one requantizer or the other.
CHAINS = [
    pytest.param(sizes, bits, r, id=f"{sizes}-{bits}-{r}", marks=[pytest.mark.exhaustive] * ((i + j + k) % 2))
    for i, sizes in enumerate(NETS)
    for j, bits in enumerate((8, 5, 3))
    for k, r in enumerate(("shift", "multiplier"))
]


@pytest.mark.parametrize(("sizes", "bits", "requantizer"), CHAINS)
@pytest.mark.parametrize("toolchain", ["ziglang", pytest.param("gcc", marks=pytest.mark.exhaustive)])
def test_a_chain_equals_its_layers_and_costs_what_it_says(
    sizes: Sequence[int], bits: int, requantizer: str, toolchain: str, tmp_path: Path
) -> None:
    if toolchain == "gcc":
        need("arm-none-eabi-gcc")
    built = built_for(mlp(sizes), requantizer, bits, symmetric=bits == 5)
    program = in_one(built.program)
    (call,) = program.calls
    assert call.routine is not None
    for memory in get_args(RoutineMemory):
        library = write_library(built, tmp_path / memory, "cortex-m0", in_memory(program, memory))
        runs = on_chip(built, library, "cortex-m0", toolchain)
        assert_chip_equals(built, runs)
        assert len(runs[0].layers) == 1
        cycles = call.routine.executed.cycles(CORES["cortex-m0"])
        assert (cycles, cycles) == runs[0].layers[0].zero_wait
        assert runs[0].stack <= call.routine.stack + ENTRY_STACK
    for ours, expected in zip(on_host(built, library), built.expected, strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_it_is_chosen_because_it_is_faster() -> None:
    built = built_for(mlp((30, 32, 16, 4)))
    choice = fastest(built)
    (call,) = choice.program.calls
    assert call.routine is not None and call.routine.variant == "fused_dense"
    assert [p.node for p in call.parts] == ["d0", "d1", "d2"] and call.node == "d0 + d1 + d2"
    assert built.program.needs_arena and not choice.program.needs_arena
    apart = sum(min(o.cycles for o in of if o.span == 1) for of in choice.options)
    assert call.routine.executed.cycles(CORES["cortex-m0"]) < 0.95 * apart


@pytest.mark.parametrize("requantizer", ["shift", "multiplier"])
def test_a_chain_survives_an_interrupt_at_every_instruction(requantizer: str, tmp_path: Path) -> None:
    built = built_for(mlp((9, 7, 5)), requantizer)
    library = write_library(built, tmp_path, "cortex-m0")
    on_chip(built, library, "cortex-m0", count=1)
    elf, given = library / "ziglang-cortex-m0" / "net.elf", [built.inputs[0][0].tobytes()]
    got = in_a_storm(elf, "net_run", given, [5], (0, 1 << 20), (0x20000000, 1 << 16))
    assert got == (built.expected[0][0].tobytes(),)


def test_what_is_read_between_layers_is_written_between_them(tmp_path: Path) -> None:
    built = built_for(mlp((20, 16, 12, 8), read_between=1))
    program = fastest(built).program
    assert [len(c.parts) for c in program.calls] == [2, 0]
    assert_chip_equals(built, on_chip(built, write_library(built, tmp_path, "cortex-m0", program), "cortex-m0"))


def test_layers_of_several_rows_stay_apart() -> None:
    assert [c.parts for c in fastest(built_for(mlp((20, 16, 12), rows=2))).program.calls] == [(), ()]


def test_layers_that_one_frame_cannot_hold_are_chained_in_part(tmp_path: Path) -> None:
    built = built_for(mlp((200, 100, 30, 10)))
    program = fastest(built).program
    assert [len(c.parts) for c in program.calls] == [0, 2]
    assert_chip_equals(built, on_chip(built, write_library(built, tmp_path, "cortex-m0", program), "cortex-m0"))


def test_a_chain_is_chosen_only_where_its_flash_is_free() -> None:
    program = built_for(mlp((30, 32, 16, 4))).program
    least = min(p.flash for p in choose(program, "cortex-m0", Limits(None, None, None), "latency").frontier)
    small = choose(program, "cortex-m0", Limits(least + 200, None, None), "latency")
    assert small.point.flash <= least + 200
    assert all(len(c.parts) != 3 for c in some(small.program.calls))
