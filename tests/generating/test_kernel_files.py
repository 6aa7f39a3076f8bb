"""Files of kernels: what a kernel includes comes with it, and the nearest folder of an instruction set wins."""

import re

import pytest
from conftest import some
from samples_of_calls import routine

from pipeline.generating.kernel_files import GENERATED, KERNELS, kernel_files, routine_files
from pipeline.planning.variants.armv6m.shared_routines import IM2COL


def folders(kernels: list[str], core: str) -> dict[str, str]:
    found = kernel_files(kernels, core)
    assert all(path.name == name for name, path in found.items())
    return {name: path.parent.relative_to(KERNELS).as_posix() for name, path in found.items()}


def test_a_kernel_comes_with_everything_that_it_includes() -> None:
    assert folders(["add", "add"], "cortex-m0") == {"add.c": "portable", "add.h": ".", "walk.h": ".", "kernel.h": "."}
    assert GENERATED in (KERNELS / "kernel.h").read_text("utf-8"), "it is written for each product"


@pytest.mark.parametrize(("core", "folder"), [("cortex-m0", "armv6m"), ("cortex-m4", "portable")])
def test_the_nearest_folder_of_the_instruction_set_wins(core: str, folder: str) -> None:
    assert folders(["dense_multiplier"], core)["multiply_high.h"] == folder


def test_macros_and_shared_routines_are_found_for_their_instruction_set_alone() -> None:
    wanted = [routine(includes=("frame.inc", "packed.inc"), shared=(IM2COL,)), routine(includes=("frame.inc",))]
    found = routine_files(wanted, "cortex-m0")
    assert list(found) == ["frame.inc", "im2col.inc", "packed.inc"]
    assert {p.parent.name for p in found.values()} == {"armv6m"}
    with pytest.raises(FileNotFoundError, match=r"frame\.inc for cortex-m4"):
        routine_files(wanted, "cortex-m4")


def test_every_header_of_the_kernels_is_guarded_by_its_own_name() -> None:
    for path in some(KERNELS.rglob("*.h")):
        guard, text = f"CHIPFIT_{path.stem.upper()}_H", path.read_text("utf-8")
        code = re.sub(r"/\*.*?\*/\s*", "", text, flags=re.DOTALL)
        assert code.startswith(f"#ifndef {guard}\n#define {guard}\n") and code.endswith("\n#endif\n"), path.name
