"""How long builds take with and without stored results: `python benchmarks/builds.py [FIFTY]`.

Whole processes, start to exit, in a copy of the repository's products: seconds by the clock, and of processors (user
and system, of its children too), which tell more on a busy machine. What builds is run once; the rows below are medians
of turns with importing doit alone, as a ratio of processor seconds. FIFTY (any word) adds the fifty variants of
examples/variants, for minutes.
The cross compiler has compiled its own runtime library beforehand.
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models import ROOT

_TURNS = 9
_CHIPFIT = (sys.executable, "-m", "stages.app.cli")


@dataclass(frozen=True)
class Run:
    """A process: seconds by the clock and of processors, and the last line that it printed."""

    wall: float
    cpu: float
    said: str


@dataclass(frozen=True)
class Repository:
    """A firmware repository with these products, and the folder of its user's store."""

    folder: Path
    store: Path
    shared: Path | None = None

    def run(self, *command: str) -> Run:
        """A process in this repository; raises RuntimeError where it fails."""
        environment: Mapping[str, str] = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "CHIPFIT_STORE_FOLDER": str(self.store),
            "CHIPFIT_STORE": self.shared.as_uri() if self.shared else "",
            "CHIPFIT_STORE_MODE": "read-write",
        }
        before, began = _children_cpu(), time.perf_counter()
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        took = time.perf_counter() - began
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return Run(took, _children_cpu() - before, (done.stdout.strip().splitlines() or [""])[-1])

    def build(self, *arguments: str) -> Run:
        return self.run(*_CHIPFIT, "build", *arguments)

    def clean(self) -> None:
        shutil.rmtree(self.folder / "build", ignore_errors=True)

    def edit(self, product: str, old: str, new: str) -> None:
        path = self.folder / "configs" / "products" / f"{product}.yaml"
        text = path.read_text("utf-8")
        if old not in text:
            raise RuntimeError(f"{path.name} does not hold {old!r}")
        path.write_text(text.replace(old, new), "utf-8")


def repository(folder: Path, store: Path, shared: Path | None = None) -> Repository:
    """A new repository with the products that ship."""
    for part in ("products", "models"):
        shutil.copytree(ROOT / "configs" / part, folder / "configs" / part)
    return Repository(folder, store, shared)


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def row(what: str, measured: Run) -> None:
    print(f"{what:<54} {measured.wall:7.2f} s {measured.cpu:7.2f} s of CPU   {measured.said}", flush=True)


def shipped(scratch: Path) -> None:
    """Cold, warm, A-B-A and a fresh clone, for the four products that ship."""
    first = repository(scratch / "first", scratch / "store", scratch / "shared")
    row("four products, nothing stored", first.build())
    first.clean()
    row("build folder removed, results in the user's store", first.build())
    touch = "configs/products/touch.yaml"
    first.edit("touch", "weights: int5", "weights: int6")
    row("A-B-A: touch with other weights (B)", first.build(touch))
    first.edit("touch", "weights: int6", "weights: int5")
    row("A-B-A: touch as before (A)", first.build(touch))
    clone = repository(scratch / "clone", scratch / "other store", scratch / "shared")
    row("fresh clone, another user, shared store", clone.build())
    _against_doit(first)


def _against_doit(built: Repository) -> None:
    """What builds nothing, in turns with importing doit alone."""
    alone = (sys.executable, "-c", "import doit.doit_cmd, doit.cmd_base")
    commands = {"nothing to do": ("build",), "plan": ("plan",), "--help": ("--help",), "--version": ("--version",)}
    turns = [(built.run(*alone), *(built.run(*_CHIPFIT, *c) for c in commands.values())) for _ in range(_TURNS)]
    for index, what in enumerate(("importing doit alone", *commands)):
        wall, cpu = (statistics.median(getattr(t[index], kind) for t in turns) for kind in ("wall", "cpu"))
        ratio = statistics.median(t[index].cpu / t[0].cpu for t in turns)
        row(what, Run(wall, cpu, f"{ratio:.1f} times importing doit"))


def fifty(scratch: Path) -> None:
    """The variants of examples/variants, cold and warm."""
    store, folder = scratch / "store of fifty", scratch / "fifty"
    shutil.copytree(ROOT / "configs" / "models", folder / "configs" / "models")
    shutil.copytree(ROOT / "examples" / "variants", folder / "examples" / "variants")
    variants = Repository(folder, store)
    (path,) = [str(p.relative_to(folder)) for p in (folder / "examples" / "variants").glob("*.yaml")]
    row("fifty variants, nothing stored, -n 2", variants.build(path, "-n", "2"))
    row("fifty variants, nothing to do", variants.build(path))
    variants.clean()
    row("fifty variants, build folder removed, results stored", variants.build(path))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="chipfit-builds-") as name:
        shipped(Path(name))
        if len(sys.argv) > 1:
            fifty(Path(name))
