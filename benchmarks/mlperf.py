"""The MLPerf Tiny models from .tflite to report: wall time, memory, arena, cycles: `python benchmarks/mlperf.py`.

Each is built by `chipfit build` in an empty folder, with a warm compiler cache, for the chip that its size asks for.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from models import require

from pipeline.facts.records import from_json
from pipeline.judging.verdict import Verdict
from pipeline.planning.plan_file import PlanFile

MODELS = (
    ("kws", "kws_ref_model", "stm32g0b1"),
    ("vww", "vww_96_int8", "stm32g0b1"),
    ("ic", "pretrainedResnet_quant", "stm32g0b1"),
    ("ad", "ad01_int8", "stm32g0b1"),
)


def main() -> None:
    folder = require() / "mlperf_tiny"
    print("| model | build | highest memory so far | arena | lower bound | flash | stack | cycles |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for product, name, chip in MODELS:
        with tempfile.TemporaryDirectory() as scratch:
            yaml = f"product: {product}\nmodel: {{source: {folder / name}.tflite}}\nchip: {chip}\n"
            yaml += "simulate: {vectors: 1}\n"
            (Path(scratch) / f"{product}.yaml").write_text(yaml)
            started = time.monotonic()
            done = subprocess.run(
                [sys.executable, "-m", "stages.app.cli", "build"],
                cwd=scratch,
                capture_output=True,
                text=True,
                check=False,
            )
            seconds = time.monotonic() - started
            memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
            if done.returncode:
                sys.exit(done.stdout + done.stderr)
            built = Path(scratch) / "build" / product
            arena = from_json(PlanFile, (built / "codegen" / "plan.json").read_bytes(), "plan.json").arena
            verdict = from_json(Verdict, (built / "report" / "verdict.json").read_bytes(), "verdict.json")
            print(
                f"| {product} | {seconds:.1f} s | {memory} MiB | {arena.size:,} B | {arena.lower_bound:,} B "
                f"| {verdict.flash.used:,} B | {verdict.stack.used} B | {verdict.cycles:,} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
