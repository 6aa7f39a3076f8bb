"""Accuracy of float, int8 and int16 networks on labelled data, as a Markdown table: `python benchmarks/accuracy.py`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from models import ROOT, require

from pipeline.calibrate import Policy, observe
from pipeline.data import Samples
from pipeline.evaluate import _batch_of_one
from pipeline.importers.onnx_graph import import_onnx
from pipeline.ir import Array
from pipeline.oracle import FloatOracle
from pipeline.passes import canonical
from pipeline.quantize import quantize


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
    made = []
    for name in ("touch", "digits"):
        d = np.load(own / f"{name}.npz")
        made.append(Task(name, own / f"{name}.onnx", f"{name}.npz, {len(d['y'])} held out", d["calib"], d["x"], d["y"]))
    first = shared / "first"
    for name in ("mlp_hardtanh_30_32_16_4.dynamo", "cnn_hardtanh_8x8.torchscript"):
        found = next(first.glob(f"{name.split('_')[0]}*.npz"))
        d = np.load(found)
        made.append(
            Task(name.split(".")[0], first / f"{name}.onnx", f"{found.name}, x and y", d["calib"], d["x"], d["y"])
        )
    d = np.load(shared / "mlperf_tiny" / "kws_500.npz")
    x = ((d["x"].astype(np.float32) - 83) * np.float32(0.5847)).astype(np.float32)
    kws = shared / "mlperf_tiny" / "kws_float.onnx"
    made.append(Task("kws_float (MLPerf Tiny DS-CNN)", kws, "kws_500.npz, rows 0-399", x[400:], x[:400], d["y"][:400]))
    return made


def main() -> None:
    print("| model | data | float | int8 | int16 |")
    print("|---|---|---:|---:|---:|")
    for task in tasks():
        graph = canonical(import_onnx(task.model, task.model.name, "net"), task.model.name)
        shape = graph.inputs[0].onnx_shape
        real = task.x.reshape(-1, *shape).astype(np.float32)
        typical = Samples((task.calibration.reshape(-1, *shape).astype(np.float32),))
        observed = observe(graph, typical, lambda done, total: None)
        oracle = FloatOracle(_batch_of_one(onnx.load(task.model)))
        name = graph.inputs[0].onnx_name
        floats = oracle.stacked({name: real})[graph.outputs[0].onnx_name].reshape(len(real), -1).argmax(axis=1)
        shares = [float(np.mean(floats == task.y))]
        for width in ("int8", "int16"):
            policy = Policy("mse", dtype=width)
            made = quantize(graph, observed, policy, per_channel=True, requantizer="auto").graph
            got = made.run(made.integers([real]))[0]
            port = made.outputs[0]
            guesses = port.to_onnx(got).reshape(len(real), -1).argmax(axis=1)
            shares.append(float(np.mean(guesses == task.y)))
        print(f"| {task.name} | {task.data} | {' | '.join(f'{100 * s:.2f} %' for s in shares)} |", flush=True)


if __name__ == "__main__":
    main()
