"""Other generators' code for the MLP 64-32-16-10, built and emulated like ours: `python benchmarks/peers.py`.

Each is optional and says what to install. emlearn (0.23) knows no HardTanh: it gets the same weights with ReLU, which
takes no longer. Its fixed-point network is not there to be measured: the loops of eml_net_fixedpoint.h are empty.
"""

import importlib.util
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from measure import OWN
from numpy.typing import NDArray
from onnx import numpy_helper

from pipeline.measuring.simulator import Target, simulate
from pipeline.measuring.toolchain import TOOLCHAINS, Region, compile_library, link_image

FLASH, RAM = (0, 1 << 20), (0x20000000, 1 << 18)
VECTORS = 8
FLAGS = (("-O2",), ("-Os",), ("-O2", "-fno-unroll-loops"))
_COMMON = ("-std=gnu11", "-ffreestanding", "-fno-builtin", "-ffunction-sections", "-fdata-sections", "-w", "-g0",
           "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-fno-stack-protector")  # fmt: skip

# No libc is in a freestanding toolchain. A network of ReLUs never calls these functions, so that they may be empty;
# what they would take of flash is left out, in the peer's favour.
_HEADERS = {
    "stdio.h": "",
    "stdlib.h": "",
    "string.h": "",
    "math.h": '#define INFINITY __builtin_inff()\n#define NAN __builtin_nanf("")\n'
    "float expf(float); float logf(float); float tanhf(float);\n"
    "static inline float fabsf(float x) { return x < 0 ? -x : x; }\n",
}
# The entry stands alone: the simulator counts each of its calls as a layer, of which this is the only one.
_SOURCES = {
    "net.c": '#include "net.h"\n'
    "float expf(float x) { return x; }\nfloat logf(float x) { return x; }\nfloat tanhf(float x) { return x; }\n",
    "entry.c": "#include <stdint.h>\nint32_t net_predict(const float *, int32_t);\n"
    "void peer_run(const float *in, int32_t *out) { *out = net_predict(in, 64); }\n",
}


@dataclass(frozen=True)
class Layers:
    """A dense network: matrices (inputs, outputs) and biases."""

    weights: tuple[NDArray[np.float32], ...]
    biases: tuple[NDArray[np.float32], ...]

    def classes(self, x: NDArray[np.float32]) -> NDArray[np.int64]:
        """Class of each row of `x` (samples, inputs), with ReLU between the layers."""
        for w, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = np.maximum(x @ w + b, 0)
        return (x @ self.weights[-1] + self.biases[-1]).argmax(axis=1)


def digits_mlp() -> Layers:
    tensors = [numpy_helper.to_array(t) for t in onnx.load(OWN / "digits_mlp.onnx").graph.initializer]
    return Layers(tuple(t.T for t in tensors if t.ndim == 2), tuple(t for t in tensors if t.ndim == 1))


def emlearn(net: Layers, folder: Path) -> None:
    """Its `loadable` inference, float; writing the `inline` one ends in a ValueError in 0.23.2."""
    from emlearn.net import c_generate_net_loadable

    headers = Path(importlib.util.find_spec("emlearn").origin).parent  # type: ignore[union-attr,arg-type]
    for header in headers.glob("eml_*.h"):
        (folder / "include" / header.name).write_bytes(header.read_bytes())
    activations = ["relu", "relu", "identity"]
    (folder / "include" / "net.h").write_text(c_generate_net_loadable(activations, net.weights, net.biases, "net"))


PEERS: dict[str, tuple[str, str, Callable[[Layers, Path], None]]] = {
    "emlearn": ("emlearn float, ReLU", "pip install emlearn", emlearn),
}


def measured(write: Callable[[Layers, Path], None]) -> tuple[int, str]:
    """The fewest cycles of several compiler flags, and the flags. Raises when a class is wrong."""
    net = digits_mlp()
    x = np.load(OWN / "digits_mlp.npz")["x"][:VECTORS].astype(np.float32)
    expected = net.classes(x)
    found = []
    for flags in FLAGS:
        with tempfile.TemporaryDirectory(prefix="chipfit-") as scratch:
            folder = Path(scratch)
            for part in ("include", "src", "out"):
                (folder / part).mkdir()
            for name, text in _HEADERS.items():
                (folder / "include" / name).write_text(text)
            write(net, folder)
            for name, text in _SOURCES.items():
                (folder / "src" / name).write_text(text)
            tools = replace(TOOLCHAINS["ziglang"], code=(*flags, *_COMMON))
            objects = compile_library(tools, "cortex-m0", folder, folder / "out")
            image = folder / "out" / "peer.elf"
            link_image(tools, "cortex-m0", objects, "peer_run", Region(*FLASH), Region(*RAM), image)
            runs = simulate(image, Target("cortex-m0", FLASH, RAM), "peer_run", 1, [[row.tobytes()] for row in x], [4])
        got = [int.from_bytes(r.outputs[0], "little", signed=True) for r in runs]
        if got != expected.tolist():
            raise AssertionError(f"wrong classes: {got}, expected {expected.tolist()}")
        found.append((max(r.total.high for r in runs), " ".join(flags)))
    return min(found)


def table() -> list[tuple[str, ...]]:
    """One row for each peer that is installed; the others are named with what to install."""
    rows: list[tuple[str, ...]] = [("peer, MLP 64-32-16-10", "cycles, slowest of several inputs", "flags")]
    for module, (title, hint, write) in PEERS.items():
        if importlib.util.find_spec(module) is None:
            print(f"skipped {title}: {hint}", file=sys.stderr)
            continue
        cycles, flags = measured(write)
        rows.append((title, f"{cycles:,}", flags))
    return rows


if __name__ == "__main__":
    for row in table():
        print("  ".join(row))
