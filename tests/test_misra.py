"""MISRA C:2012: what cppcheck's addon finds in kernels and generated C is what docs/misra.md gives reasons for."""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, need, some

from pipeline.generating.kernel_files import KERNELS, kernel_files

_VERSION = "2.10"
_FORMS = (["-DCHIPFIT_PORTABLE"], ["-D__GNUC__=12", "-D__thumb__"])
"""C alone, and with layers in assembly."""


def violations(folder: Path, *flags: str) -> Counter[str]:
    """How often each rule is violated by the sources in `folder` and below; a place in a header counts once."""
    command = ["cppcheck", "-q", "-j2", "--std=c99", "--platform=unix32", "--addon=misra", "--max-configs=1", *flags]
    included = [f"-I{p}" for p in (folder, folder / "include", folder / "src") if p.is_dir()]
    files = some(str(p) for p in sorted(folder.rglob("*.c")))
    template = ["--template={file}:{line}:{column} {id} {message}"]
    done = subprocess.run([*command, *included, *template, *files], capture_output=True, text=True, check=True)
    lines = sorted(set(done.stderr.splitlines()))
    found = [re.search(r"^(?:\S*) misra-c2012-([0-9.]+)", line) for line in lines]
    assert all(found), f"cppcheck says something else: {[x for x, f in zip(lines, found, strict=True) if not f]}"
    return Counter(f[1] for f in found if f)


def every_kernel(folder: Path, core: str) -> Path:
    folder.mkdir()
    names = sorted(p.stem for p in (KERNELS / "portable").glob("*.c"))
    for name, path in kernel_files(names, core).items():
        (folder / name).write_bytes(path.read_bytes())
    (folder / "kernel_prefix.h").write_text("#define KERNEL(name) net__kernel_##name\n", "utf-8")
    return folder


def checked(workshop: Path, folder: Path) -> Iterator[Counter[str]]:
    """The kernels of a core with its own ones and of one without, and every product in every form."""
    for core in ("cortex-m0", "cortex-m3"):
        yield violations(every_kernel(folder / core, core), *_FORMS[1])
    for product in some(p for p in (workshop / "build").iterdir() if (p / "codegen").is_dir()):
        for form in _FORMS:
            yield violations(product / "codegen", *form)


def rules_of_the_page() -> list[str]:
    page = (ROOT / "docs" / "misra.md").read_text("utf-8")
    return re.findall(r"^\| ([0-9]+\.[0-9]+) \| (?:required|advisory) \|", page, re.MULTILINE)


@pytest.mark.exhaustive
def test_every_violated_rule_has_its_reason_and_every_reason_its_rule(workshop: Path, tmp_path: Path) -> None:
    need("cppcheck")
    version = subprocess.run(["cppcheck", "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    if not version.startswith(_VERSION):
        pytest.skip(f"docs/misra.md is written for cppcheck {_VERSION}, this is {version}")
    total: Counter[str] = sum(checked(workshop, tmp_path), Counter())
    rules = sorted(total, key=lambda r: [int(part) for part in r.split(".")])
    print(*(f"{rule:6} {total[rule]:4}" for rule in rules), sep="\n")
    assert rules == rules_of_the_page()
