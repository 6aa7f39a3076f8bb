"""From an ONNX model and samples to a library on disk: what several tests need, without doit."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import compiled
import numpy as np
import onnx
import onnxruntime

from pipeline.facts.weight_bits import Widths
from pipeline.generating.library import Origin, generate
from pipeline.generating.selftest import Vectors
from pipeline.graph.ir import Graph
from pipeline.graph.onnx_export import qdq_model
from pipeline.graph.tensor import Array
from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.passes import canonical
from pipeline.measuring.simulator import FlashTiming, Run, Target, simulate
from pipeline.measuring.toolchain import TOOLCHAINS, Region
from pipeline.measuring.toolchain.host import HostLibrary
from pipeline.ops.shared.linear import Linear
from pipeline.planning.choose_kernels import Limits, choose
from pipeline.planning.plan import Program, plan
from pipeline.quantizing.calibrate import Policy, observe
from pipeline.quantizing.data import Samples
from pipeline.quantizing.input_statistics import measure_inputs
from pipeline.quantizing.integer_graph import Quantized, join_int8_functions, quantize

ORIGIN = Origin("net.onnx", "0.0.0", "0" * 64, "a" * 64, "f" * 64)
"""The origin that generated files of tests name."""


@dataclass(frozen=True, eq=False)
class Built:
    """A network: float and integer graph, integer inputs and the outputs that the specification gives."""

    graph: Graph
    quantized: Quantized
    inputs: list[Array]
    expected: list[Array]
    own: bool = False
    """Whether inputs and outputs live in the arena."""
    planned: Program | None = None

    @cached_property
    def program(self) -> Program:
        """The plan that was given, or that of C alone without a chip."""
        return self.planned or plan("net", self.quantized.graph, own_inputs=self.own, own_outputs=self.own)


def build(
    model: onnx.ModelProto,
    calibration: tuple[Array, ...],
    inputs: tuple[Array, ...],
    requantizer: str = "shift",
    policy: Policy = Policy("mse"),  # noqa: B008
    per_channel: bool = True,
    activations: str = "int8",
    widths: Widths = Widths(),  # noqa: B008
) -> Built:
    policy = replace(policy, dtype=activations)
    graph = join_int8_functions(canonical(graph_of(model, "net.onnx", "net"), "net.onnx"), policy)
    observed = observe(graph, Samples(calibration), lambda done, total: None)
    narrow = [n for n in graph.nodes if isinstance(n, Linear) and widths.bits(n.name) < 8]
    seen = measure_inputs(graph, Samples(calibration), narrow, lambda done, total: None) if narrow else {}
    result = quantize(
        graph, observed, policy, per_channel=per_channel, requantizer=requantizer, widths=widths, input_statistics=seen
    )
    return with_expected(graph, result, result.graph.integers(inputs))


def with_expected(graph: Graph, result: Quantized, integers: list[Array]) -> Built:
    expected = [np.ascontiguousarray(o) for o in result.graph.run(integers)]
    assert expected, "a network without outputs shows nothing"
    return Built(graph, result, integers, expected)


def from_integers(graph: Graph, inputs: list[Array]) -> Built:
    """A network that came quantized; `inputs` are integers as its file has them."""
    stored = [np.ascontiguousarray(p.to_stored(a)) for p, a in zip(graph.inputs, inputs, strict=True)]
    return with_expected(graph, Quantized(graph, {}, {}, ()), stored)


def fastest_plan(built: Built, core: str) -> Program:
    """The fastest plan: on Armv6-M, assembly wherever there is any."""
    return choose(built.program, core, Limits(None, None, None), "latency").program


def write_library(built: Built, folder: Path, core: str, program: Program | None = None) -> Path:
    """`program`: C alone when it is `built.program`; without one, the fastest plan."""
    few = Vectors(tuple(a[:2] for a in built.inputs), tuple(a[:2] for a in built.expected))
    for name, data in generate(program or fastest_plan(built, core), core, ORIGIN, few).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def on_host(built: Built, library: Path, compiler: str = "ziglang", flags: tuple[str, ...] = ("-O2",)) -> list[Array]:
    """The outputs of the C library compiled for this machine."""
    shared_library = compiled.host(library, library / f"lib{compiler}{''.join(flags)}.so", compiler, flags)
    return HostLibrary(shared_library, "net", built.program.port_offsets)(built.inputs, built.expected)


def on_chip(
    built: Built,
    library: Path,
    core: str,
    toolchain: str = "ziglang",
    count: int = 8,
    timing: FlashTiming = FlashTiming(),  # noqa: B008
) -> list[Run]:
    """The library's machine code on an emulated core, for the first `count` inputs."""
    out = library / f"{toolchain}-{core}"
    out.mkdir(exist_ok=True)
    flash, ram = Region(0, 1 << 20), Region(0x20000000, 1 << 16)
    elf = compiled.image(TOOLCHAINS[toolchain], core, library, out, "net_run", flash, ram)
    return emulated(built, elf, core, count=count, timing=timing)


def emulated(
    built: Built,
    elf: Path,
    core: str,
    *,
    multiplier: int = 1,
    count: int = 8,
    timing: FlashTiming = FlashTiming(),  # noqa: B008
) -> list[Run]:
    """An image of `on_chip`, which any core that has its instructions may run."""
    target = Target(core, (0, 1 << 20), (0x20000000, 1 << 16), multiplier, timing)
    vectors = [[a[i].tobytes() for a in built.inputs] for i in range(min(count, len(built.inputs[0])))]
    sizes = [o[0].nbytes for o in built.expected]
    offsets = built.program.port_offsets
    return simulate(elf, target, "net_run", len(built.program.calls), vectors, sizes, port_offsets=offsets)


def exported_model(built: Built) -> onnx.ModelProto:
    """`model.qdq.onnx`, which is valid and which ONNX Runtime opens as it opens any model."""
    model = qdq_model(built.graph, built.quantized.params, built.quantized.constants)
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return model


def assert_chip_equals(built: Built, runs: list[Run]) -> None:
    for i, run in enumerate(runs):
        ports = built.quantized.graph.outputs
        for port, got, expected in zip(ports, run.outputs, built.expected, strict=True):
            assert got == expected[i].tobytes(), f"vector {i} of {port.tensor}"


def assert_host_equals(
    built: Built, library: Path, compiler: str = "ziglang", flags: tuple[str, ...] = ("-O2",)
) -> None:
    ports = built.quantized.graph.outputs
    for port, got, expected in zip(ports, on_host(built, library, compiler, flags), built.expected, strict=True):
        np.testing.assert_array_equal(got, expected, port.tensor)
