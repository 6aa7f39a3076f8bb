"""Accuracy of float and integer networks on labelled data, as Markdown tables: `python benchmarks/accuracy.py`.

The first table is of int8 and int16 activations, the second of int8 activations and weights of eight to two bits.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from models import ROOT, require

from pipeline.facts.errors import ChipfitError
from pipeline.facts.weight_bits import Widths
from pipeline.graph.tensor import Array
from pipeline.importing.onnx_graph import import_onnx
from pipeline.importing.passes import canonical
from pipeline.ops.shared.linear import Linear
from pipeline.quantizing.calibrate import Policy, observe
from pipeline.quantizing.data import Samples
from pipeline.quantizing.evaluate import batch_of_one
from pipeline.quantizing.input_statistics import measure_inputs
from pipeline.quantizing.integer_graph import quantize
from pipeline.quantizing.onnx_runtime import FloatSession


@dataclass(frozen=True, eq=False)
class Task:
    """A float model with calibration and held-out samples."""

    name: str
    model: Path
    data: str
    calibration: Array
    x: Array
    y: Array


def tasks() -> list[Task]:
    shared, own = require(), ROOT / "configs" / "models"
    found = []
    for name in ("touch", "digits"):
        d = np.load(own / f"{name}.npz")
        found.append(
            Task(name, own / f"{name}.onnx", f"{name}.npz, {len(d['y'])} held out", d["calib"], d["x"], d["y"])
        )
    first = shared / "first"
    for name in ("mlp_hardtanh_30_32_16_4.dynamo", "cnn_hardtanh_8x8.torchscript"):
        data = next(first.glob(f"{name.split('_')[0]}*.npz"))
        d = np.load(data)
        found.append(
            Task(name.split(".")[0], first / f"{name}.onnx", f"{data.name}, x and y", d["calib"], d["x"], d["y"])
        )
    d = np.load(shared / "mlperf_tiny" / "kws_500.npz")
    x = ((d["x"].astype(np.float32) - 83) * np.float32(0.5847)).astype(np.float32)
    kws = shared / "mlperf_tiny" / "kws_float.onnx"
    found.append(Task("kws_float (MLPerf Tiny DS-CNN)", kws, "kws_500.npz, rows 0-399", x[400:], x[:400], d["y"][:400]))
    return found


class Trial:
    """A task imported and calibrated once, to be quantized in many ways."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.graph = canonical(import_onnx(task.model, task.model.name, "net"), task.model.name)
        shape = self.graph.inputs[0].onnx_shape
        self.real = task.x.reshape(-1, *shape).astype(np.float32)
        typical = Samples((task.calibration.reshape(-1, *shape).astype(np.float32),))
        self.observed = observe(self.graph, typical, lambda done, total: None)
        layers = [n for n in self.graph.nodes if isinstance(n, Linear)]
        self.seen = measure_inputs(self.graph, typical, layers, lambda done, total: None)

    def floats(self) -> str:
        """Accuracy of the file itself in ONNX Runtime."""
        session = FloatSession(batch_of_one(onnx.load(self.task.model)))
        return self._right(
            session.stacked({self.graph.inputs[0].onnx_name: self.real})[self.graph.outputs[0].onnx_name]
        )

    def integers(self, requantizer: str = "auto", activations: str = "int8", bits: int = 8) -> str:
        """Accuracy once quantized; a dash where the requantizer cannot say the scales."""
        try:
            graph = quantize(
                self.graph, self.observed, Policy("mse", dtype=activations), per_channel=True,
                requantizer=requantizer, widths=Widths(bits), input_statistics=self.seen,
            ).graph  # fmt: skip
        except ChipfitError:
            return "-"
        return self._right(graph.outputs[0].to_onnx(graph.run(graph.integers([self.real]))[0]))

    def _right(self, outputs: Array) -> str:
        guesses = outputs.reshape(len(self.real), -1).argmax(axis=1)
        return f"{100 * float(np.mean(guesses == self.task.y)):.2f} %"


def row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    trials = [Trial(t) for t in tasks()]
    row("model", "data", "float", "int8", "int16")
    print("|---|---|---:|---:|---:|")
    for trial in trials:
        shares = [trial.floats(), *(trial.integers(activations=w) for w in ("int8", "int16"))]
        row(trial.task.name, trial.task.data, *shares)
    print()
    widths = range(8, 1, -1)
    row("weights", "requantize", *(f"int{n}" for n in widths if n > 2), "int2, ternary")
    print(f"|---|---|{'---:|' * len(widths)}")
    for trial in trials:
        for requantizer in ("auto", "shift", "multiplier"):
            row(trial.task.name, requantizer, *(trial.integers(requantizer, bits=n) for n in widths))


if __name__ == "__main__":
    main()
