"""The verdict on figures that are right, but for those that a test changes."""

from pathlib import Path
from typing import Any

from pipeline.facts.config import load_project
from pipeline.facts.records import from_plain
from pipeline.facts.totals import Totals
from pipeline.judging.evidence import Evidence, LockedLibrary
from pipeline.judging.rules import judge
from pipeline.judging.verdict import Finding
from pipeline.measuring.footprint.size_file import SizeFile
from pipeline.measuring.simulate_file import SimulateFile
from pipeline.quantizing.quantize_file import QuantizeFile

GOOD: dict[str, Any] = {
    "samples": 100,
    "accuracy": {"float": 0.95, "integer": 0.94, "agreement": 0.98},
    "confusion": None,
    "worst_inputs": [],
    "tensors": [],
    "qdq": {"samples": 100, "outputs": 400, "differing": 0, "largest_difference_lsb": 0},
    "answers": {"classes": 4, "integer": 4, "float": 4, "truth": 4, "labels": [0, 3]},
    "inputs": [{"name": "x", "range": [-1.0, 1.0], "data": [-1.0, 1.1], "outside": 0.01}],
    "signal": [{"tensor": "y", "part": "output 'y'", "signal_db": 31.0}],
    "signal_tried": [],
    "layers": [
        {
            "name": "conv",
            "requantizer": "shift",
            "accumulator_bound": 1,
            "accumulator_headroom_bits": 31.0,
            "channels": None,
        }
    ],
    "faithful": None,
    "export": None,
}
SIZE: dict[str, Any] = {
    "toolchain": "cc",
    "flash": {"used": 1000, "limit": 2000, "code": 600, "constants": 400, "data": 0},
    "ram": {"used": 100, "limit": 200, "data": 0, "bss": 100},
    "stack": {"worst_case": 64, "limit": None, "chain": ["a", "b"], "unknown": ""},
    "float_symbols": [],
    "heap_symbols": [],
    "library_calls": [],
    "symbols": [],
    "layers": [],
}
SIMULATE: dict[str, Any] = {
    "cycles": {"min": 4800, "max": 4800, "zero_wait": 4800, "depends_on_input": False, "overhead": 800},
    "instructions": 3000,
    "latency_us": 100.0,
    "clock_hz": 48_000_000,
    "layers": [{"name": "l", "kernel": "c", "macs": 1, "cycles": 4000, "zero_wait": 4000, "instructions": 2500}],
    "vectors": {"run": 35, "real": 32, "mismatches": 0, "host_mismatches": 0},
    "accuracy": {"integer": 0.9, "samples": 32},
    "stack": {"watermark": 60},
}
YAML = "product: p\nmodel: {source: m.onnx}\ndata: {evaluation: d.npz}\nchip: truetouch-m0\n"


def findings_of(
    product: Path,
    yaml: str = "",
    quantize: Any = None,
    size: Any = None,
    simulate: Any = None,
    locked: Totals | str = "there is no lock",
    library: LockedLibrary | None = None,
) -> dict[str, Finding]:
    product.write_text(YAML + yaml, "utf-8")
    project = load_project(product)
    quantized = from_plain(QuantizeFile, GOOD | (quantize or {}))
    sized, simulated = from_plain(SizeFile, SIZE | (size or {})), from_plain(SimulateFile, SIMULATE | (simulate or {}))
    evidence = Evidence(project.config, project.chip, quantized, sized, simulated, locked, library)
    return {f.key: f for f in judge(evidence)}


def missed(found: dict[str, Finding]) -> list[str]:
    return [k for k, f in found.items() if not f.passed]


COMPARED: dict[str, Any] = {
    "against": "ONNX Runtime", "why": "", "samples": 11, "tensors": 2, "values": 400, "differing": 0, "unexplained": 0,
    "largest_difference": 0, "left_out": [], "first": None,
}  # fmt: skip
CHECKS: dict[str, tuple[dict[str, Any], str]] = {
    "labels": (
        {"answers": GOOD["answers"] | {"labels": [1, 4]}},
        "labels run from 1 to 4, the network's classes from 0 to 3",
    ),
    "span": (
        {"inputs": [{"name": "x", "range": [0.0, 1.0], "data": [0.0, 255.0], "outside": 0.98}]},
        "98.00 % of the values of input 'x' lie outside its range of 0 to 1: the data run from 0 to 255",
    ),
    "chance": (
        {"accuracy": {"float": 0.3, "integer": 0.9, "agreement": 0.3}},
        "the model file is right on 30 of 100 samples, which guessing among 4 classes reaches in 15 % of all cases",
    ),
    "constant": (
        {"answers": GOOD["answers"] | {"integer": 1}},
        "the integer network answers one class for all 100 samples, where the labels have 4",
    ),
}
