"""The code of each stage as it is: what a change to a file reruns."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import ROOT, some

from stages import STAGES
from stages.keys.closure import PACKAGES, WITHOUT_EFFECT, has_no_effect, is_too_wide, module_name
from stages.keys.code import (
    Sources,
    _checked,
    closures_of,
    code_below,
    code_of,
    facts_of_all,
    is_unchanged,
    read_sources,
)

SOURCES = read_sources()
FACTS = facts_of_all(SOURCES)
CLOSURES = closures_of(SOURCES, FACTS)
NAMES = {s.NAME: s.__name__ for s in STAGES}  # type: ignore[attr-defined]

WIDE = {
    "pipeline/facts/config/chips.py": "chips, which are settings",
    "stages/export.py": "where the process that exports starts",
}
"""Files with a path to a folder that holds more than their own data, and what they seek there."""


def stages_of(path: str) -> set[str]:
    """The stages that a change to a file reruns."""
    return {name for name, module in NAMES.items() if path in CLOSURES[module].files}


def test_every_kernel_template_and_other_data_is_some_stages_code() -> None:
    used = {f for module in NAMES.values() for f in CLOSURES[module].files}
    print("of no stage:", *sorted(f for f in FACTS if f.startswith("pipeline/") and f not in used))
    data = some(f for f in SOURCES.digests if f not in FACTS)
    assert not [f for f in data if f not in used and not f.startswith("stages/app/")]


def test_code_below_folders_is_all_that_lies_there() -> None:
    found = code_below("pipeline/judging", "stages/app/publish.py")
    assert {"pipeline/judging/report/style.css", "pipeline/judging/verdict.py", "stages/app/publish.py"} <= set(found)
    assert found == {f: SOURCES.digests[f] for f in found}
    assert all(f.startswith("pipeline/judging/") or f == "stages/app/publish.py" for f in some(found))


def test_a_change_reruns_the_stages_that_it_can_change() -> None:
    for page in some(f for f in SOURCES.digests if f.startswith("pipeline/judging/")):
        assert stages_of(page) <= {"report"}, page
    assert stages_of("pipeline/judging/report/style.css") == {"report"}
    for kernel in some(f for f in SOURCES.digests if f.startswith("pipeline/generating/kernels/")):
        assert {"codegen"} <= stages_of(kernel), kernel
    for name in WITHOUT_EFFECT:
        own = [f for f in FACTS if module_name(f) == name or module_name(f).startswith(f"{name}.")]
        assert all(not stages_of(f) for f in some(own)), name
    for name, module in NAMES.items():
        assert name in stages_of(f"{module.replace('.', '/')}.py")
    for child in ("pipeline/measuring/toolchain/host_child.py", "pipeline/measuring/blockcount.c"):
        assert "simulate" in stages_of(child)
    assert "export" in stages_of("pipeline/model_files/torch_program.py")


NO_CODE_OF = {
    "export": "arithmetic ops importing quantizing planning generating judging",
    "import": "quantizing generating measuring judging",
    "feasibility": "quantizing generating measuring judging",
    "quantize": "planning generating measuring judging",
    "codegen": "measuring judging",
    "size-check": "arithmetic model_files ops importing quantizing generating judging",
    "simulate": "importing generating judging",
    "report": "generating",
}
"""Rooms of which a change must not rerun a stage: one import of a type that a stage does not need drags in a room."""


def test_a_stage_does_not_depend_on_rooms_that_it_does_not_use() -> None:
    assert set(NO_CODE_OF) == set(NAMES)
    for name, rooms in NO_CODE_OF.items():
        own = {f.split("/")[1] for f in CLOSURES[NAMES[name]].files if f.startswith("pipeline/")}
        print(f"{name:12} {len(CLOSURES[NAMES[name]].files):4} files of", *sorted(own))
        assert not own & set(rooms.split()), f"{name} needs {own & set(rooms.split())}"


def test_nothing_is_imported_or_read_that_cannot_be_followed() -> None:
    for path, facts in FACTS.items():
        assert not facts.unclear
        wide = [p for p in facts.paths if is_too_wide(p)]
        assert not wide or path in WIDE or has_no_effect(module_name(path)), f"{path} reads {wide}"


def test_the_digests_are_those_of_the_files() -> None:
    from pipeline.facts.artifact import file_sha256

    code: Mapping[str, str] = code_of("stages.report")
    assert list(code) == sorted(code)
    assert all(file_sha256(ROOT / path) == digest for path, digest in some(code.items()))
    assert is_unchanged()


def test_the_record_of_another_version_or_form_is_not_believed() -> None:
    found = {m: [list(c.files), list(c.outside)] for m, c in CLOSURES.items()}
    assert _checked({"version": "a", "closures": found}, "a", SOURCES) == CLOSURES
    assert _checked({"version": "b", "closures": found}, "a", SOURCES) is None
    for files in (["stages/codegen.py", "../../x"], [], "stages/codegen.py", None, {"a": 1}):
        for outside in (["numpy"], [1]):
            hostile = {"version": "a", "closures": {"stages.codegen": [files, outside]}}
            assert _checked(hostile, "a", SOURCES) is None, hostile
    for record in (None, 1, [], {}, {"version": "a"}, {"version": "a", "closures": []}):
        assert _checked(record, "a", SOURCES) is None, record


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder as a wheel fills it, chips included, beside packages of others."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "configs" / "chips", tmp_path / "pipeline" / "chip_files")
    (tmp_path / "numpy").mkdir()
    (tmp_path / "pipeline" / "__pycache__").mkdir()
    (tmp_path / "pipeline" / "__pycache__" / "a.pyc").write_bytes(b"a")
    return tmp_path


def test_an_installed_wheel_has_the_same_code(installed: Path) -> None:
    assert read_sources(installed) == SOURCES
    code = "from stages.keys import code_of; print(*code_of('stages.codegen').values())"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=installed, env={"PYTHONPATH": str(installed), "XDG_CACHE_HOME": str(installed)},
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.split() == list(code_of("stages.codegen").values())
    assert (installed / "chipfit" / "keys" / "closures.json").is_file()


def test_a_change_to_any_file_is_seen(installed: Path) -> None:
    page = installed / "pipeline" / "judging" / "report" / "style.css"
    page.write_text(page.read_text() + "\n")
    changed = read_sources(installed)
    assert isinstance(changed, Sources)
    assert {p for p in SOURCES.digests if changed.digests[p] != SOURCES.digests[p]} == {
        "pipeline/judging/report/style.css"
    }
