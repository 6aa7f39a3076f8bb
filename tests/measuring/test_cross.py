"""Cross compilers: code of every core's own architecture, no calls of memset, versions, what is missing."""

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import need
from libraries import BOTH, DOT, FLASH, RAM, size, write

from pipeline.facts.cores import CORES
from pipeline.facts.errors import ChipfitError
from pipeline.measuring.footprint import measure
from pipeline.measuring.toolchain import (
    TOOLCHAINS,
    compile_library,
    host_compilers,
    link_image,
)


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


def test_optimization_can_be_chosen_by_a_copy_of_the_toolchain(tmp_path: Path) -> None:
    library = write(tmp_path, f_dot_c=DOT)
    plain = replace(TOOLCHAINS["ziglang"], code=(*TOOLCHAINS["ziglang"].code, "-O0"))
    objects = compile_library(plain, "cortex-m0", library, tmp_path)
    elf = link_image(plain, "cortex-m0", objects, "f_run", FLASH, RAM, tmp_path / "f.elf")
    assert measure(elf, "f_run", "f_").code > size(library).code
