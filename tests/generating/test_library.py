"""The names of a generated library: four spaces that cannot meet, and several products in one image."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from building import build, fastest_plan, write_library
from elftools.elf.elffile import ELFFile
from onnx import TensorProto, helper, numpy_helper

from pipeline.facts.config.models import ProjectConfig
from pipeline.generating.kernel_files import KERNELS, kernel_files
from pipeline.generating.names import inner, with_inner_includes
from pipeline.measuring.toolchain import TOOLCHAINS, compile_library
from pipeline.measuring.toolchain.cross import Toolchain
from pipeline.measuring.toolchain.process import run

KERNEL_NAMES = sorted(p.stem for p in (KERNELS / "portable").glob("*.c"))
PRODUCTS = tuple("touch touch_2 a a_gather touch_kernel a_layer_0 touch_2_input touch_selftest gather kernel".split())
PUBLIC = r"run|input(_\d+)?|output(_\d+)?"
INTERNAL = r"_kernel_\w+|_layer_\d\w*|_shared_[a-z]\w*|_table_(routine_)?\d\w*"


def network() -> onnx.ModelProto:
    """A Gather that is a kernel of its own, and layers whose shared routine is `gather` too."""
    rng = np.random.default_rng(0)
    kept = {
        "i": rng.permutation(16).astype(np.int64),
        "c": rng.normal(0, 0.3, (4, 2, 3, 3)).astype(np.float32),
        "w": rng.normal(0, 0.3, (10, 32)).astype(np.float32),
        "s": np.array([1, 2, 4, 4], np.int64),
        "f": np.array([1, -1], np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["x", "i"], ["g"], axis=1),
        helper.make_node("Concat", ["g", "x"], ["k"], axis=1),
        helper.make_node("Reshape", ["k", "s"], ["r"]),
        helper.make_node("Conv", ["r", "c"], ["v"], pads=[1, 1, 1, 1], strides=[1, 2]),
        helper.make_node("Reshape", ["v", "f"], ["q"]),
        helper.make_node("Gemm", ["q", "w"], ["y"], transB=1),
    ]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, d]) for n, d in (("x", 16), ("y", 10))]
    tensors = [numpy_helper.from_array(a, n) for n, a in kept.items()]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def objects_of(product: str, folder: Path, tools: Toolchain, every_kernel: bool = False) -> list[Path]:
    x = np.random.default_rng(1).normal(0, 1, (8, 1, 16)).astype(np.float32)
    built = build(network(), (x,), (x,))
    program = replace(fastest_plan(built, "cortex-m0"), product=product)
    assert {c.kernel for c in program.calls} >= {"gather"} and any(c.routine for c in program.calls)
    library = write_library(built, folder / product, "cortex-m0", program)
    if every_kernel:
        for name, path in kernel_files(KERNEL_NAMES, "cortex-m0").items():
            text = with_inner_includes(path.read_bytes(), product)
            (library / "src" / inner(product, name)).write_bytes(text)
    (library / "out").mkdir()
    return compile_library(tools, "cortex-m0", library, library / "out")


def defined(elf: Path) -> list[str]:
    with elf.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        return [
            s.name
            for s in table.iter_symbols()
            if s["st_info"]["bind"] != "STB_LOCAL" and s["st_shndx"] != "SHN_UNDEF" and not s.name.startswith("__aeabi")
        ]


def one_image(products: tuple[str, ...], folder: Path, every_kernel: bool = False) -> None:
    tools = TOOLCHAINS["ziglang"]
    objects_by_product = {p: objects_of(p, folder, tools, every_kernel) for p in products}
    for product, objects in objects_by_product.items():
        names = [n for path in objects for n in defined(path)]
        wrong = [n for n in names if not re.fullmatch(f"{product}_({PUBLIC}|{INTERNAL})", n)]
        assert not wrong and len(names) == len(set(names))
    whole = [str(p) for objects in objects_by_product.values() for p in objects]
    arguments = [*tools.driver("cortex-m0"), "-nostdlib", "-static", "-Wl,--fatal-warnings", "-Wl,--no-gc-sections"]
    entry = f"-Wl,-e,{products[0]}_run"
    run([*arguments, entry, *whole, *tools.libraries, "-o", str(folder / "all.elf")], folder, "linking all")
    ran = {f"{p}_run" for p in products}
    assert ran <= set(defined(folder / "all.elf"))


def test_kernels_and_shared_routines_of_one_name_and_two_products_link_into_one_image(tmp_path: Path) -> None:
    one_image(PRODUCTS[:2], tmp_path)


@pytest.mark.exhaustive
def test_every_kernel_of_products_whose_names_begin_alike_links_into_one_image(tmp_path: Path) -> None:
    one_image(PRODUCTS, tmp_path, every_kernel=True)


def test_every_global_name_of_a_kernel_file_is_in_the_space_of_kernels() -> None:
    declared = re.compile(r"^(?:void|(?:const )?u?int\d+_t)\b[^;{=]*?(\w+\((?:\w+\)\()?)", re.MULTILINE)
    named = set()
    for path in sorted(KERNELS.rglob("*.[ch]")):
        for found in declared.findall(path.read_text("utf-8")):
            assert found.startswith("KERNEL("), f"{path.name}: {found}"
            named |= set(re.findall(r"KERNEL\((\w+)\)", found))
        variables = re.findall(
            r"^(?!static|extern|struct|typedef|#|/| |\}).*\[.*=", path.read_text("utf-8"), re.MULTILINE
        )
        assert not variables, f"{path.name}: {variables}"
    for path in sorted((KERNELS.parents[1] / "planning" / "variants").rglob("*.py")):
        assert "KERNEL(" not in path.read_text("utf-8"), f"{path.name}: assembly has the spaces LAYER and SHARED"
    assert set(KERNEL_NAMES) <= named | {"KERNEL_NAME"}


def test_name_spaces_end_in_words_of_which_none_begins_another() -> None:
    text = (KERNELS.parent / "templates" / "kernel_prefix.h.j2").read_text("utf-8")
    spaces = re.findall(r"^#define [A-Z]+\(name\) \{\{ product \}\}__([a-z]+_)##name$", text, re.MULTILINE)
    assert len(spaces) == text.count("(name) ") == 4
    assert not [(a, b) for a in spaces for b in spaces if a is not b and a.startswith(b)]


@pytest.mark.parametrize("name", ["touch__2", "touch_", "chipfit", "chipfit_add", "math", "stdint"])
def test_a_product_that_would_meet_another_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="product"):
        ProjectConfig.model_validate({"product": name, "model": {"source": "m.onnx"}, "chip": "rp2040"})
    for allowed in PRODUCTS:
        ProjectConfig.model_validate({"product": allowed, "model": {"source": "m.onnx"}, "chip": "rp2040"})


def test_the_header_names_the_arithmetic_of_its_network(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(0, 1, (8, 1, 16)).astype(np.float32)
    built = build(network(), (x,), (x,))
    header = (write_library(built, tmp_path, "cortex-m0") / "include" / "net.h").read_text("ascii")
    assert '#define NET_ARITHMETIC "chipfit.exact.v1 chipfit.int8.shift.v1"\n' in header
