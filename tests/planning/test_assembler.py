"""The macro files: each macro says what it takes and leaves, and a debugger finds its way out of every routine."""

import re
from collections.abc import Iterator
from pathlib import Path

import capstone
import pytest
from building import fastest_plan, on_chip, write_library
from conftest import some
from elftools.dwarf.callframe import FDE
from elftools.elf.elffile import ELFFile
from every_variant import built_for
from variant_samples import SAMPLES

from pipeline.generating.kernel_files import KERNELS
from pipeline.measuring.toolchain import TOOLCHAINS, compile_library
from pipeline.planning.variants.armv6m.assembler import expanded, macro_body, macros, symbols

FILES = sorted((KERNELS / "armv6m").glob("*.inc"))


def contract(lines: list[str], at: int) -> str:
    """The comment above the macro that begins in line `at`."""
    first = at
    while lines[first - 1].strip().startswith("@"):
        first -= 1
    return " ".join(line.strip(" @") for line in lines[first:at])


def macro_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Each macro's first line and the comment above."""
    lines = path.read_text("utf-8").splitlines()
    yield from ((line.strip(), contract(lines, n)) for n, line in enumerate(lines) if line.strip().startswith(".macro"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_macro_says_what_it_takes_what_it_leaves_and_what_is_lost(path: Path) -> None:
    for line, comment in some(list(macro_lines(path))):
        assert re.search(r"\bin: .+; out: .+; clobbers: .+\.$", comment), line


def test_a_name_of_a_register_means_one_register_in_all_files() -> None:
    named: dict[str, str] = {}
    for path in FILES:
        for name, register in re.findall(r"^ +(\w+) \.req (\w+)", path.read_text("utf-8"), re.MULTILINE):
            assert named.setdefault(name, register) == register, f"{path.name}: {name}"
            assert path.read_text("utf-8").count(f" {name} .req") == 1, f"{path.name}: {name}"
    assert len(named) > 50


def test_macros_are_expanded_as_an_assembler_does() -> None:
    assert {"frame.inc", "packed.inc"} < {p.name for p in FILES} and "packed_split_step" in macros()
    assert symbols()["FIRST_OF_GROUP"] == 256 and symbols()["F_WINDOW"] == symbols()["F_SUMS"]
    body = macro_body("packed_split_steps 2, 3, 4")
    assert body is not None
    assert list(expanded(body, symbols())) == ["packed_split_step 2, 3", "packed_split_step 2, 4"]
    assert list(expanded([".rept 2", ".if 1 - 1", "a", ".else", "b", ".endif", ".endr"], {})) == ["b", "b"]


def depths(code: bytes, address: int) -> Iterator[tuple[int, int]]:
    """Of every instruction up to the first return, and how many bytes are on the stack before it."""
    depth = 0
    for step in capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB + capstone.CS_MODE_MCLASS).disasm(
        code, address
    ):
        yield step.address, depth
        registers = step.op_str.count(",") + 1
        if "pc" in step.op_str or step.mnemonic == "bx":
            return
        if step.mnemonic in ("push", "pop"):
            depth += 4 * registers if step.mnemonic == "push" else -4 * registers
        elif step.op_str.startswith("sp, "):
            amount = int(step.op_str.rpartition("#")[2], 0)
            depth += amount if step.mnemonic == "sub" else -amount


def test_a_debugger_finds_the_caller_from_every_instruction(tmp_path: Path) -> None:
    for name in ("few_channels", "depthwise_seven", "dense_17_13_3", "Add_1x2x3x4_17"):
        built = built_for(SAMPLES[name], "shift")
        library = write_library(built, tmp_path / name, "cortex-m0", fastest_plan(built, "cortex-m0"))
        on_chip(built, library, "cortex-m0", count=1)
        objects = compile_library(TOOLCHAINS["ziglang"], "cortex-m0", library, tmp_path / name)
        (layers,) = (p for p in objects if p.name.endswith("layers.S.o"))
        assert b".eh_frame" not in layers.read_bytes(), "what a debugger reads takes no flash"
        with (library / "ziglang-cortex-m0" / "net.elf").open("rb") as file:
            elf = ELFFile(file)
            text, info = elf.get_section_by_name(".text"), elf.get_dwarf_info()
            entries = {e["initial_location"]: e for e in info.CFI_entries() if isinstance(e, FDE)}
            for symbol in elf.get_section_by_name(".symtab").iter_symbols():
                if symbol["st_info"]["type"] == "STT_FUNC" and "__layer_" in symbol.name:
                    begin = symbol["st_value"] & ~1
                    code = text.data()[begin - text["sh_addr"] :][: symbol["st_size"]]
                    table = entries[begin].get_decoded().table
                    for address, depth in some(list(depths(code, begin))):
                        row = [r for r in table if r["pc"] <= address][-1]
                        assert row["cfa"].offset == depth, (symbol.name, hex(address))
