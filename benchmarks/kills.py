"""Builds that are killed at random moments: `python benchmarks/kills.py [KILLS [SEED]]`.

SIGKILL to the process group of one build, then of two builds that share a store. After every kill the store is read
and checked whole, and no result in a build folder differs from an undisturbed build's; now and then a build may end,
and then every byte is compared. Prints what happened, and exits with 1 when anything was lost or wrong.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from models import ROOT

from pipeline.facts.artifact import STAMP, digests, file_sha256

PRODUCT = "digits_mlp"


@dataclass
class Trial:
    """One repository that builds with a store, and what an undisturbed build of it gives: sha256 by path."""

    folder: Path
    store: Path
    expected: dict[str, str]
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def built(self) -> Path:
        return self.folder / "build" / PRODUCT

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "stages.app.cli", "build", f"{PRODUCT}.yaml"]
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "CHIPFIT_STORE_FOLDER": str(self.store),
            "CHIPFIT_STORE": "",
        }
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip

    def killed_after(self, process: subprocess.Popen[bytes], seconds: float) -> bool:
        """Whether a build was killed: one that ended before is judged by its exit code and its bytes."""
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return True
        said = process.communicate()[1].decode()
        self.note("ended before the kill" if process.returncode == 0 else f"FAILED: {said[-300:]}")
        if said and process.returncode == 0:
            self.note(f"said: {said.splitlines()[0][:120]}")
        return False

    def check(self, whole: bool) -> None:
        """Compare results that are there, all of them when the build was `whole`, with the expected ones."""
        found = snapshot(self.built)
        for path, digest in found.items():
            if self.expected.get(path) != digest and intact(self.built / path.split("/")[0]):
                self.note(f"WRONG: {path}")
        if whole and found != self.expected:
            self.note(f"LOST: {sorted(self.expected.keys() - found.keys())[:3]}")
        for blob in (self.store / "cas").glob("*"):
            if file_sha256(blob) != blob.name:
                self.note(f"POISONED: cas/{blob.name[:12]}")

    def note(self, what: str) -> None:
        self.counts[what] += 1


def intact(stage: Path) -> bool:
    """Whether a stage's folder passes for one that was written whole."""
    recorded = digests(stage)
    return bool(recorded) and all(file_sha256(stage / n) == d for n, d in recorded.items())


def snapshot(folder: Path) -> dict[str, str]:
    """sha256 of every result, by relative path; stamps too."""
    paths = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != ".lock")
    found = {p.relative_to(folder).as_posix(): file_sha256(p) for p in paths}
    return {n: d for n, d in found.items() if not n.startswith(".") and (n.count("/") or n == STAMP)}


def repository(folder: Path) -> Path:
    """A repository that holds PRODUCT alone."""
    (folder / "models").mkdir(parents=True)
    for suffix in ("onnx", "npz"):
        shutil.copy(ROOT / "configs" / "models" / f"{PRODUCT}.{suffix}", folder / "models")
    text = (ROOT / "configs" / "products" / f"{PRODUCT}.yaml").read_text("utf-8")
    (folder / f"{PRODUCT}.yaml").write_text(text.replace("../models/", "models/"), "utf-8")
    return folder


def run(kills: int, seed: int, scratch: Path) -> Counter[str]:
    """`kills` kills, half of them of one build, half of two at once."""
    rng = random.Random(seed)
    undisturbed = Trial(repository(scratch / "undisturbed"), scratch / "own store", {})
    began = time.perf_counter()
    process = undisturbed.start()
    said = process.communicate()[1].decode()
    if process.returncode:
        raise RuntimeError(f"the undisturbed build failed: {said}")
    longest = time.perf_counter() - began
    expected = snapshot(undisturbed.built)
    trials = [Trial(repository(scratch / f"trial {n}"), scratch / "store", expected) for n in range(2)]
    done = 0
    while done < kills:
        group = trials[:1] if done < kills // 2 else trials
        if rng.random() < 0.1:  # from nothing again
            shutil.rmtree(scratch / "store", ignore_errors=True)
        for trial in group:
            if rng.random() < 0.3:
                shutil.rmtree(trial.folder / "build", ignore_errors=True)
        running = [(t, t.start()) for t in group]
        # What was stored is there in a tenth of the time: half of the kills aim at that.
        moment = rng.uniform(0.02, longest * rng.choice((0.2, 1.0)))
        for trial, process in running:
            was_killed = trial.killed_after(process, moment if process is running[0][1] else 0.01)
            done += was_killed
            trial.note("killed") if was_killed else None
            trial.check(whole=not was_killed)
    for trial in trials:
        process = trial.start()
        said = process.communicate()[1].decode()
        if process.returncode:
            trial.note(f"FAILED at the end: {said[-300:]}")
        trial.check(whole=True)
    return sum((t.counts for t in trials), Counter())


if __name__ == "__main__":
    count, chosen = int(sys.argv[1]) if len(sys.argv) > 1 else 1000, int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with tempfile.TemporaryDirectory(prefix="chipfit-kills-") as name:
        counts = run(count, chosen, Path(name))
    for what, number in sorted(counts.items()):
        print(f"{number:6} {what}")
    raise SystemExit(any(w.split(":")[0] in ("WRONG", "LOST", "POISONED") or w.startswith("FAILED") for w in counts))
