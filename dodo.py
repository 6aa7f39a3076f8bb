"""Every product in configs/products, built by doit; see `doit list`."""

import sys
from typing import Any

from stages.app.schedule import doit_tasks

globals().update(doit_tasks("configs/products"))


def task_bench() -> dict[str, Any]:
    """Cycles, flash and memory on Cortex-M0 and M0+ beside everybody's figures (minutes; not part of a build)."""
    return {"actions": [[sys.executable, "benchmarks/cortex_m0.py"]], "uptodate": [False], "verbosity": 2}


def task_conformance() -> dict[str, Any]:
    """ONNX's own node tests, in one table (minutes; not part of a build)."""
    return {"actions": [[sys.executable, "benchmarks/conformance.py"]], "uptodate": [False], "verbosity": 2}
