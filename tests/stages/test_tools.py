"""Versions and digests of packages: from what a wheel brought, the same whoever installed it."""

import importlib.metadata
import sys
from pathlib import Path

import pytest
from conftest import some

from stages.keys.closure import PACKAGES, closure_of, outside_names
from stages.keys.code import facts_of_all, read_sources
from stages.keys.distributions import DISTRIBUTIONS, NO_EFFECT, distribution_of
from stages.keys.tools import MISSING, _checked, _files_digest, _tool, python_version, record_digest, tools_of

ROWS = """\
numpy/__init__.py,sha256=aaa,10
numpy/core.so,sha256=bbb,20
"""


def digest(folder: Path, rows: str) -> str | None:
    (folder / "RECORD").write_text(rows, "utf-8")
    return record_digest(folder / "RECORD")


def test_a_record_names_the_files_of_a_wheel(tmp_path: Path) -> None:
    plain = digest(tmp_path, ROWS)
    assert plain is not None
    assert digest(tmp_path, ROWS.replace("bbb", "ccc")) != plain
    assert digest(tmp_path, ROWS.replace("core", "kern")) != plain
    assert digest(tmp_path, ROWS + "numpy/new.py,sha256=ddd,1\n") != plain


def test_what_installers_and_machines_add_is_left_out(tmp_path: Path) -> None:
    added = (
        "../../../bin/f2py,sha256=x,1", "numpy-2.dist-info/INSTALLER,sha256=x,1", "numpy-2.dist-info/RECORD,,",
        "numpy-2.dist-info/direct_url.json,sha256=x,1", "numpy/__pycache__/core.pyc,,", "/usr/share/x,sha256=x,1",
        "numpy/__pycache__/core.pyc,sha256=x,1", "numpy-2.dist-info/REQUESTED,sha256=x,0",
    )  # fmt: skip
    reversed_rows = "\n".join([*added, *reversed(ROWS.splitlines())])
    assert digest(tmp_path, reversed_rows) == digest(tmp_path, ROWS)


def test_without_a_record_the_files_themselves_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert record_digest(tmp_path / "RECORD") is None
    assert digest(tmp_path, "__editable__.x.pth,sha256=a,1\n") is None
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "chipfit_test_package"
    package.mkdir()
    (package / "__init__.py").write_text("a = 1")
    before = _files_digest("chipfit-test-package")
    assert before == _files_digest("chipfit-test-package")
    (package / "__init__.py").write_text("a = 2")
    assert before != _files_digest("chipfit-test-package")


def test_tools_are_named_by_distribution_with_all_that_they_require() -> None:
    found = tools_of(["elftools", "onnx", "yaml", "no_such_package", "chipfit"])
    assert list(found) == sorted(found)
    assert found["pyelftools"].startswith(importlib.metadata.version("pyelftools") + " sha256:")
    assert {"onnx", "numpy", "protobuf"} <= set(found) and "pyyaml" not in found
    assert found["no-such-package"] == MISSING
    assert found["chipfit"] == importlib.metadata.version("chipfit")
    assert found["python"] == f"cpython {sys.version_info.major}.{sys.version_info.minor}"
    assert tools_of(["python"])["python"] == python_version(whole=True)


def test_every_import_of_pipeline_and_stages_has_its_distribution() -> None:
    sources = read_sources()
    facts = facts_of_all(sources)
    brought = importlib.metadata.packages_distributions()
    names = {i.module.partition(".")[0] for f in facts.values() for i in f.imports} - set(PACKAGES)
    for name in some(sorted(n for n in names - sys.stdlib_module_names if n in brought)):
        assert distribution_of(name) in {distribution_of(d) for d in brought[name]}, name
    assert not set(DISTRIBUTIONS.values()) & (set(NO_EFFECT) - {"pyyaml"})
    asked = outside_names(closure_of("stages.report", facts, sources.digests))
    assert {"numpy", "jinja2", "chipfit", "python"} <= set(asked)


def test_a_remembered_digest_is_that_of_the_record_as_it_is() -> None:
    stamps = [[1, 2, 3, 4, 5], [1, 2, 3, 4, 6]]
    tool = "2.1.0 sha256:" + "a" * 64
    assert _checked([stamps, tool, ["numpy"]], stamps) == (tool, ("numpy",))
    for entry in (
        None, [], [stamps, tool], [stamps[::-1], tool, []], [stamps, "2.1.0", []], [stamps, 1, []], [stamps, tool, 1],
    ):  # fmt: skip
        assert _checked(entry, stamps) is None, entry
    assert _checked([[None, None], tool, []], [None, None]) is None
    assert _tool("numpy")[0] == _tool.__wrapped__("numpy")[0]
