"""What the plan takes C kernels to cost, beside what the compilers and the emulator say."""

from pathlib import Path

import pytest
from building import build, on_chip, write_library
from conftest import need
from elftools.elf.elffile import ELFFile

from pipeline.generating.kernel_files import KERNELS, kernel_files
from pipeline.measuring.footprint import measure
from pipeline.measuring.toolchain import TOOLCHAINS, Region, compile_library, link_image
from pipeline.ops.shared.samples import Sample, one_node, weights
from pipeline.planning.variants import c_costs

PREFIX = "#define KERNEL(name) net__kernel_##name\n"


def library_of_all(folder: Path) -> Path:
    """Every C kernel, and a function that calls each."""
    (folder / "src").mkdir()
    (folder / "include").mkdir()
    for name, path in kernel_files(c_costs.CODE, "cortex-m0").items():
        (folder / "src" / name).write_bytes(path.read_bytes())
    (folder / "src" / "kernel_prefix.h").write_text(PREFIX, "utf-8")
    declared = "".join(f"void net__kernel_{k}(void);\n" for k in c_costs.CODE)
    called = "".join(f"    net__kernel_{k}();\n" for k in c_costs.CODE)
    text = f"{declared}void net_all(void);\nvoid net_all(void)\n{{\n{called}}}\n"
    (folder / "src" / "all.c").write_text(text, "utf-8")
    return folder


def loaded(object_file: Path) -> int:
    """Bytes of code and constants."""
    with object_file.open("rb") as file:
        sections = list(ELFFile(file).iter_sections())
    return sum(s["sh_size"] for s in sections if s.name.startswith((".text", ".rodata")))


# The table holds the larger of both compilers' sizes. GCC's, which is the larger, differs a little from one release to
# the next; that of the ziglang wheel is pinned, and was between 0.56 (prelu_s16) and 0.94 (dense_shift) of the table.
TOLERANCES = {"ziglang": (0.5, 1.0), "gcc": (0.95, 1.05)}


@pytest.mark.parametrize("toolchain", ["ziglang", pytest.param("gcc", marks=pytest.mark.exhaustive)])
def test_sizes_and_stack_of_the_c_kernels_are_those_of_the_compilers(toolchain: str, tmp_path: Path) -> None:
    if toolchain == "gcc":
        need("arm-none-eabi-gcc")
    assert {p.stem for p in (KERNELS / "portable").glob("*.c")} == set(c_costs.CODE)
    tools, (least, most) = TOOLCHAINS[toolchain], TOLERANCES[toolchain]
    objects = compile_library(tools, "cortex-m0", library_of_all(tmp_path), tmp_path)
    sizes = {o.name.removesuffix(".c.o"): loaded(o) for o in objects}
    wrong = {k: (sizes[k], t) for k, t in c_costs.CODE.items() if not least * t <= sizes[k] <= most * t}
    assert not wrong, "measured and in the table"
    elf = link_image(
        tools, "cortex-m0", objects, "net_all", Region(0, 1 << 20), Region(1 << 29, 1 << 16), tmp_path / "all.elf"
    )
    taken = measure(elf, "net_all", "net_")
    assert taken.stack.worst is not None and 0.6 * c_costs.stack() <= taken.stack.worst - 8 <= c_costs.stack()


def conv(label: str, x: tuple[int, ...], kernel: tuple[int, ...], **attributes: object) -> Sample:
    constants = {"w": weights(*kernel), "b": weights(kernel[0], seed=3)}
    return one_node("Conv", {"x": x}, constants, label=label, **attributes)


LAYERS = [
    one_node("MatMul", {"x": (4, 128)}, {"w": weights(128, 40)}, label="dense"),
    conv("conv", (1, 16, 9, 9), (20, 16, 3, 3), pads=[1, 1, 1, 1]),
    conv("depthwise", (1, 24, 12, 12), (24, 1, 3, 3), group=24, pads=[1, 1, 1, 1]),
    one_node("MaxPool", {"x": (1, 16, 12, 12)}, kernel_shape=[2, 2], strides=[2, 2], label="max_pool"),
    one_node("AveragePool", {"x": (1, 16, 12, 12)}, kernel_shape=[2, 2], strides=[2, 2], label="average_pool"),
    one_node("Add", {"a": (1, 16, 12, 12), "b": (1, 16, 12, 12)}, label="add"),
]


@pytest.mark.parametrize("requantizer", ["shift", "multiplier"])
@pytest.mark.parametrize("sample", LAYERS, ids=[s.name for s in LAYERS])
def test_cycles_of_the_c_kernels_are_about_those_planned(sample: Sample, requantizer: str, tmp_path: Path) -> None:
    inputs = tuple(sample.inputs(4).values())
    built = build(sample.model, inputs, inputs, requantizer)
    (call,) = built.program.calls
    library = write_library(built, tmp_path, "cortex-m0", built.program)
    (run,) = on_chip(built, library, "cortex-m0", count=1)
    measured = run.layers[0].zero_wait[1]
    assert abs(c_costs.cycles(call) - measured) < 0.1 * measured
