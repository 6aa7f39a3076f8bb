"""The compilers: same bytes in any folder, one sentence for every failure, nothing left behind."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, need

from pipeline.facts.cores import CORES
from pipeline.facts.errors import ChipfitError
from pipeline.measuring.footprint import Footprint, measure
from pipeline.measuring.toolchain import (
    TOOLCHAINS,
    Region,
    compile_library,
    host_compilers,
    host_library,
    link_image,
)
from pipeline.measuring.toolchain.host import HostLibrary
from pipeline.measuring.toolchain.process import cache_folder, run

BOTH = ("ziglang", "gcc")
FLASH, RAM = Region(0, 1 << 18), Region(0x20000000, 1 << 15)
HEADER = "#include <stdint.h>\nvoid f_run(const int8_t *x, int8_t *y);\n"
DOT = '#include "f.h"\n' + (
    "static const int8_t f_weights[64] = {1, -2, 3};\nstatic int8_t f_arena[32];\n"
    "void f_run(const int8_t *x, int8_t *y)\n{\n    int32_t sum = 0;\n"
    "    for (int32_t i = 0; i < 16; ++i) {\n        sum += f_weights[i] * x[i];\n        f_arena[i] = x[i];\n    }\n"
    "    y[0] = (int8_t)(sum >> 8);\n    y[1] = f_arena[y[0] & 7];\n}\n"
)


def write(folder: Path, **sources: str) -> Path:
    for name in ("src", "include"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "include" / "f.h").write_text(HEADER, "utf-8")
    for name, text in sources.items():
        (folder / "src" / name.replace("_dot_", ".")).write_text(text, "utf-8")
    return folder


def image(library: Path, toolchain: str = "ziglang", core: str = "cortex-m0", ram: Region = RAM) -> Path:
    if toolchain == "gcc":
        need("arm-none-eabi-gcc")
    out = library / "out"
    out.mkdir(exist_ok=True)
    objects = compile_library(TOOLCHAINS[toolchain], core, library, out)
    return link_image(TOOLCHAINS[toolchain], core, objects, "f_run", FLASH, ram, out / "f.elf")


def size(library: Path, toolchain: str = "ziglang", core: str = "cortex-m0", ram: Region = RAM) -> Footprint:
    return measure(image(library, toolchain, core, ram), "f_run", "f_")


@pytest.mark.parametrize("toolchain", BOTH)
def test_the_same_sources_give_the_same_image_in_any_folder(
    toolchain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = image(write(tmp_path / "a", f_dot_c=DOT), toolchain).read_bytes()
    monkeypatch.setenv("CPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    second = image(write(tmp_path / "another" / "longer", f_dot_c=DOT), toolchain).read_bytes()
    assert first == second and str(tmp_path).encode() not in first
    assert {p.name for p in tmp_path.iterdir()} == {"a", "another"}
    assert {p.name for p in (tmp_path / "a").iterdir()} == {"src", "include", "out"}


@pytest.mark.parametrize("toolchain", BOTH)
@pytest.mark.parametrize("core", CORES)
def test_every_core_has_code_of_its_own_architecture(toolchain: str, core: str, tmp_path: Path) -> None:
    found = size(write(tmp_path, f_dot_c=DOT), toolchain, core)
    assert found.library_calls == found.float_symbols == () and found.stack.worst is not None
    assert found.constants == 64 and found.ram in (16, 32) and found.code < 100


@pytest.mark.parametrize("toolchain", BOTH)
def test_loops_that_clear_and_copy_do_not_become_calls(toolchain: str, tmp_path: Path) -> None:
    source = '#include "f.h"\n' + (
        "static int8_t f_arena[512];\nvoid f_run(const int8_t *x, int8_t *y)\n{\n"
        "    for (int32_t i = 0; i < 512; ++i) {\n        f_arena[i] = 0;\n    }\n"
        "    for (int32_t i = 0; i < 200; ++i) {\n        f_arena[2 * i] = x[i];\n    }\n"
        "    for (int32_t i = 0; i < 400; ++i) {\n        y[i] = f_arena[i];\n    }\n}\n"
    )
    assert size(write(tmp_path, f_dot_c=source), toolchain).library_calls == ()


@pytest.mark.parametrize("toolchain", BOTH)
@pytest.mark.parametrize("ram", [RAM, Region(1 << 18, 1 << 12)], ids=["apart", "flash runs into RAM"])
def test_a_library_larger_than_the_chip_is_measured_all_the_same(toolchain: str, ram: Region, tmp_path: Path) -> None:
    source = '#include "f.h"\n' + (
        "static const int8_t f_weights[700000] = {1};\nstatic int8_t f_arena[90000];\nstatic int8_t f_state = 3;\n"
        "void f_run(const int8_t *x, int8_t *y)\n{\n    int32_t at = x[0] * 5000;\n"
        "    f_arena[at & 65535] = f_weights[at & 524287];\n    f_state = y[0];\n    y[0] = f_arena[at & 32767];\n"
        "    y[1] = f_state;\n}\n"
    )
    found = size(write(tmp_path, f_dot_c=source), toolchain, ram=ram)
    assert found.constants == 700000 and found.bss >= 90000 and found.flash > 700000


@pytest.mark.parametrize("toolchain", BOTH)
def test_a_source_in_c_and_one_in_assembly_may_share_a_name(toolchain: str, tmp_path: Path) -> None:
    c = '#include "f.h"\nint32_t f_part(void);\nvoid f_run(const int8_t *x, int8_t *y)\n{\n'
    c += "    y[0] = (int8_t)(x[0] + f_part());\n}\n"
    s = ".syntax unified\n.thumb\n.text\n.global f_part\n.type f_part, %function\n.thumb_func\nf_part:\n"
    s += " movs r0, #1\n bx lr\n.size f_part, . - f_part\n"
    found = size(write(tmp_path, f_dot_c=c, f_dot_S=s), toolchain)
    assert {x.name for x in found.symbols} == {"f_run", "f_part"}


@pytest.mark.parametrize("toolchain", BOTH)
def test_what_does_not_compile_is_one_sentence_and_leaves_no_object(toolchain: str, tmp_path: Path) -> None:
    library = write(tmp_path, a_dot_c=DOT, b_dot_c='#include "f.h"\nint32_t f_b(void) { return unknown; }\n')
    with pytest.raises(ChipfitError) as caught:
        image(library, toolchain)
    message = str(caught.value)
    assert message.startswith("toolchain: compiling src/b.c failed: src/b.c:2:") and "unknown" in message
    assert "\n" not in message and str(tmp_path) not in message
    assert list((library / "out").iterdir()) == []


@pytest.mark.parametrize("toolchain", BOTH)
def test_what_does_not_link_is_named_and_leaves_no_image(toolchain: str, tmp_path: Path) -> None:
    source = '#include "f.h"\nvoid f_one(void);\nvoid f_two(void);\nvoid f_run(const int8_t *x, int8_t *y)\n'
    source += "{\n    y[0] = x[0];\n    f_one();\n    f_two();\n}\n"
    library = write(tmp_path, f_dot_c=source)
    with pytest.raises(ChipfitError, match=r"linking f\.elf failed: nothing defines f_one, f_two\. Hint"):
        image(library, toolchain)
    assert [p.name for p in (library / "out").iterdir()] == ["f.c.o"]


@pytest.mark.parametrize("toolchain", BOTH)
def test_a_missing_entry_is_an_error_and_not_an_empty_image(toolchain: str, tmp_path: Path) -> None:
    with pytest.raises(ChipfitError, match="no definition of the entry f_run") as caught:
        image(write(tmp_path, f_dot_c=DOT.replace("f_run", "f_walk").replace("f_walk(", "f_go(")), toolchain)
    assert "/" not in str(caught.value)


def test_a_missing_compiler_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ChipfitError) as caught:
        TOOLCHAINS["gcc"].version("cortex-m0")
    assert str(caught.value) == (
        "toolchain: arm-none-eabi-gcc was not found on PATH. "
        "Hint: Install it (Debian: apt install gcc-arm-none-eabi), or write toolchain: ziglang."
    )
    assert host_compilers() == ["ziglang"]


def test_versions_name_the_compiler_without_a_path() -> None:
    ziglang = TOOLCHAINS["ziglang"].version("cortex-m0")
    assert ziglang.startswith("ziglang 0.") and "(clang " in ziglang
    need("arm-none-eabi-gcc")
    gcc = TOOLCHAINS["gcc"].version("cortex-m0")
    assert gcc.startswith("arm-none-eabi-gcc 1") and "/" not in gcc


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX")
def test_a_compiler_that_hangs_is_ended_with_everything_it_started(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    child = f"import time, pathlib; time.sleep(2); pathlib.Path({str(alive)!r}).touch()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    begin = time.monotonic()
    with pytest.raises(ChipfitError, match=r"toolchain: waiting took more than 0\.5 s"):
        run([sys.executable, "-c", parent], tmp_path, "waiting", timeout=0.5)
    assert time.monotonic() - begin < 1.8
    time.sleep(max(0.0, 2.3 - (time.monotonic() - begin)))
    assert not alive.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX")
def test_what_leaves_the_process_group_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.measuring.toolchain.process._KILL_TIMEOUT_S", 0.2)
    child = "import time; time.sleep(8)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], start_new_session=True)"
    begin = time.monotonic()
    with pytest.raises(ChipfitError, match=r"toolchain: waiting took more than 0\.5 s"):
        run([sys.executable, "-c", parent], tmp_path, "waiting", timeout=0.5)
    assert time.monotonic() - begin < 4


def test_without_a_writable_cache_a_temporary_one_is_used_and_removed(tmp_path: Path) -> None:
    program = "from pipeline.measuring.toolchain.process import cache_folder; f = cache_folder(); print(f, f.is_dir())"
    (tmp_path / "file").write_text("", "utf-8")
    environment = {"HOME": str(tmp_path / "file"), "XDG_CACHE_HOME": str(tmp_path / "file"), "TMPDIR": str(tmp_path)}
    printed = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split()
    assert printed[1] == "True" and not Path(printed[0]).exists()
    if sys.platform == "linux":
        assert Path(printed[0]).parent.parent == tmp_path
    assert cache_folder().is_dir()


@pytest.mark.parametrize(
    "flags", [("-O0",), ("-O3", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")], ids=str
)
@pytest.mark.parametrize("compiler", ["ziglang", "gcc", "clang"])
def test_the_library_for_this_machine_computes(compiler: str, flags: tuple[str, ...], tmp_path: Path) -> None:
    if compiler != "ziglang":
        need(compiler)
    assert compiler in host_compilers()
    shared_library = host_library(write(tmp_path, f_dot_c=DOT), tmp_path / "f.so", compiler, flags)
    given = np.zeros((2, 16), np.int8)
    given[0, :3], given[1, :3] = (100, -100, 100), (7, 0, 0)
    got = HostLibrary(shared_library, "f")([given], [np.zeros((2, 2), np.int8)])
    assert got[0].tolist() == [[(100 + 200 + 300) >> 8, 100], [0, 7]]


def test_ports_of_every_kind_come_through_the_process_that_runs_the_library(tmp_path: Path) -> None:
    text = (
        '#include "f.h"\nstatic int16_t own[2];\nstatic int32_t last[1];\n'
        "int16_t *f_input_1(void);\nint16_t *f_input_1(void) { return own; }\n"
        "int32_t *f_output_1(void);\nint32_t *f_output_1(void) { return last; }\n"
        "void f_run(const int8_t *x, int8_t *y)\n{\n    y[0] = (int8_t)(x[0] + 1);\n"
        "    last[0] += own[0] * own[1];\n}\n"
    )
    shared_library = host_library(write(tmp_path, f_dot_c=text), tmp_path / "f.so")
    inputs = [np.array([[5], [-5]], np.int8), np.array([[300, 300], [-300, 1]], np.int16)]
    library = HostLibrary(shared_library, "f", [None, 0, None, 8])
    got = library(inputs, [np.zeros((2, 1), np.int8), np.zeros((2, 1, 1), np.int32)])
    assert got[0].tolist() == [[6], [-4]] and got[1].tolist() == [[[90_000]], [[89_700]]]


@pytest.mark.skipif(os.name != "posix", reason="limits of a process are POSIX's")
@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("y = 0; *y = x[0];", r"ended in a crash \(SIG(SEGV|ILL|TRAP)\)"),
        (
            "for (volatile int32_t i = 0; i < 1;) { }; y[0] = x[0];",
            r"(took more than \d+ s|ended in a crash \(SIG(XCPU|KILL)\))",
        ),
        (
            "static int8_t large[2000000000]; large[y[0]] = x[0]; y[0] = large[x[0]];",
            "failed: .*(failed to map|allocate memory)",
        ),
        ("y[0] = 0; exit(x[0] + 3);", "failed: exit code 3"),
        ("y[0] = 0; exit(x[0]);", "gave 0 of 2 output bytes"),
    ],
    ids=["crash", "hang", "memory", "exit", "end"],
)
def test_a_library_that_misbehaves_is_said_and_does_no_harm(
    statement: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.measuring.toolchain.host._SECONDS", 1)
    text = f'#include "f.h"\nvoid exit(int);\nvoid f_run(const int8_t *x, int8_t *y)\n{{\n    {statement}\n}}\n'
    shared_library = host_library(write(tmp_path, f_dot_c=text), tmp_path / "f.so")
    with pytest.raises(ChipfitError, match=rf"^toolchain: running f on this machine {says}") as error:
        HostLibrary(shared_library, "f")([np.zeros((1, 16), np.int8)], [np.zeros((1, 2), np.int8)])
    assert "\n" not in str(error.value)


def test_optimization_can_be_chosen_by_a_copy_of_the_toolchain(tmp_path: Path) -> None:
    library = write(tmp_path, f_dot_c=DOT)
    plain = replace(TOOLCHAINS["ziglang"], code=(*TOOLCHAINS["ziglang"].code, "-O0"))
    objects = compile_library(plain, "cortex-m0", library, tmp_path)
    elf = link_image(plain, "cortex-m0", objects, "f_run", FLASH, RAM, tmp_path / "f.elf")
    assert measure(elf, "f_run", "f_").code > size(library).code
