"""Objects and images: the same bytes in any folder, one sentence for every failure, nothing left behind."""

from pathlib import Path

import pytest
from libraries import BOTH, DOT, RAM, image, size, write

from pipeline.facts.errors import ChipfitError
from pipeline.measuring.toolchain import (
    Region,
)


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
