"""Mutated model files through import, quantization and code generation: each must end well or in one sentence.

`python tests/fuzz.py COUNT [SEED]` prints the counts; the test runs a bounded number.
"""

import faulthandler
import json
import resource
import subprocess
import sys
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnx.shape_inference

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

SECONDS = 60  # a hang, not a slow machine: the largest mutants take a tenth of it on an idle processor
MEMORY = 4 << 30  # address space; onnxruntime alone maps 2 GB of it
_EXTREMES = (0, 1, -1, 2, 127, 128, 255, 256, 65535, 2**31 - 1, -(2**31), 1 << 20, 1 << 28)


def seeds() -> list[tuple[str, bytes]]:
    """Small models of both formats, one for each operator, and the shipped ones."""
    from pipeline.ops import samples

    found = [("onnx", onnx.shape_inference.infer_shapes(s.model).SerializeToString()) for s in samples()]
    models = Path(__file__).resolve().parent.parent / "configs" / "models"
    found += [("onnx", (models / n).read_bytes()) for n in ("touch.onnx", "digits.onnx")]
    try:
        from tflite_cases import cases

        found += [("tflite", c.model) for c in cases()]
    except ImportError:
        pass
    shared = Path(__file__).resolve().parent.parent.parent / "shared" / "models" / "mlperf_tiny"
    found += [("tflite", p.read_bytes()) for p in sorted(shared.glob("*.tflite"))]
    return found


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """One to three edits: bits, words at extremes, cuts, repetitions."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        kind, at = int(rng.integers(0, 6)), int(rng.integers(0, max(len(changed), 1)))
        # Most of a file is weights: half of the edits go to its first or last kilobyte.
        if rng.random() < 0.5:
            at = int(rng.integers(0, min(1024, len(changed)) or 1))
            at = at if rng.random() < 0.5 else len(changed) - 1 - at
        if not changed:
            break
        if kind == 0:
            changed[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            changed[at] = int(rng.integers(0, 256))
        elif kind == 2:
            word = int(rng.choice(_EXTREMES)) & 0xFFFFFFFF
            changed[at : at + 4] = word.to_bytes(4, "little")
        elif kind == 3 and rng.random() < 0.3:
            del changed[at:]
        elif kind == 4:
            del changed[at : at + int(rng.integers(1, 9))]
        else:
            changed[at:at] = changed[at : at + int(rng.integers(1, 33))]
    return bytes(changed)


def reshuffled(data: bytes, rng: np.random.Generator) -> bytes:
    """An ONNX model that still parses, with one thing in it that does not fit the rest."""
    model = onnx.ModelProto.FromString(data)
    graph, kind = model.graph, int(rng.integers(0, 9))
    node = graph.node[int(rng.integers(0, len(graph.node)))] if graph.node else None
    tensor = graph.initializer[int(rng.integers(0, len(graph.initializer)))] if graph.initializer else None
    extreme = int(rng.choice(_EXTREMES))
    if kind == 0 and tensor is not None and tensor.dims:
        tensor.dims[int(rng.integers(0, len(tensor.dims)))] = extreme
    elif kind == 1 and tensor is not None:
        tensor.raw_data = mutated(tensor.raw_data, rng)
    elif kind == 2 and tensor is not None:
        graph.initializer.remove(tensor)
    elif kind == 3 and node is not None and node.attribute:
        attribute = node.attribute[int(rng.integers(0, len(node.attribute)))]
        attribute.i = extreme
        if attribute.ints:
            attribute.ints[int(rng.integers(0, len(attribute.ints)))] = extreme
        attribute.f = float(rng.choice([np.nan, np.inf, -np.inf, 0.0, -1e30]))
    elif kind == 4 and node is not None and node.input:
        node.input[int(rng.integers(0, len(node.input)))] = node.output[0]  # a cycle
    elif kind == 5 and node is not None:
        node.op_type = str(
            rng.choice([n.op_type for n in graph.node] + ["Conv", "Gemm", "Reshape", "Concat", "Resize"])
        )
    elif kind == 6 and graph.input:
        dims = graph.input[0].type.tensor_type.shape.dim
        if dims:
            dims[int(rng.integers(0, len(dims)))].dim_value = extreme
    elif kind == 7:
        graph.node.append(onnx.NodeProto.FromString(graph.node[0].SerializeToString()))
    elif node is not None:
        hostile = '*/ #include "x" \\ ??/ %s %n ../../x\x00\x1b[31m'
        node.name, old = hostile, node.output[0]
        for other in graph.node:
            for names in (other.input, other.output):
                names[:] = [hostile if n == old else n for n in names]
        for output in graph.output:
            output.name = hostile if output.name == old else output.name
    return model.SerializeToString()


def attempt(kind: str, data: bytes) -> str:
    """ "built" or "refused"; anything else raises."""
    from pipeline.facts.errors import ChipfitError
    from pipeline.generating.library import Origin, generate
    from pipeline.generating.selftest import Vectors
    from pipeline.importing.passes import canonical
    from pipeline.planning.plan import plan
    from pipeline.quantizing.calibrate import Policy, observe
    from pipeline.quantizing.data import Samples
    from pipeline.quantizing.integer_graph import quantize, unprescribed_activations

    try:
        graph = imported(kind, data)
        rng = np.random.default_rng(0)
        if sum(t.size for t in graph.tensors.values()) > 1 << 24:
            return "large"
        if not graph.integer:
            graph = canonical(graph, "model")
            real = tuple(rng.normal(0, 1, (2, *p.onnx_shape)).astype(np.float32) for p in graph.inputs)
            names = unprescribed_activations(graph)
            observed = observe(graph, Samples(real), lambda done, total: None, names) if names else {}
            graph = quantize(graph, observed, Policy("min-max"), per_channel=True, requantizer="multiplier").graph
        inputs = [
            np.ascontiguousarray(rng.integers(-128, 128, (2, *graph.tensors[p.tensor].shape))).astype(
                graph.tensors[p.tensor].dtype
            )
            for p in graph.inputs
        ]
        outputs = graph.run(inputs)
        origin = Origin("model", "0.0.0", "0" * 64, "a" * 64, "f" * 64)
        files = generate(plan("net", graph), "cortex-m0", origin, Vectors(tuple(inputs), tuple(outputs)))
        assert all(not n.startswith(("/", "..")) for n in files)
    except ChipfitError as error:
        message = str(error)
        assert message and "\n" not in message and "Traceback" not in message, message
        return "refused"
    return "built"


def imported(kind: str, data: bytes):  # type: ignore[no-untyped-def]
    import tempfile

    from pipeline.importing.onnx_graph import import_onnx
    from pipeline.importing.tflite_graph import tflite_graph_of
    from pipeline.model_files.tflite_file import parse_tflite

    if kind == "tflite":
        return tflite_graph_of(parse_tflite(data, "model"), "model", "net")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(data)
        return import_onnx(path, "model", "net")


def batch(seed: int, count: int) -> None:
    """`count` mutations; prints what became of them as JSON. A hang kills this process with a traceback."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    rng, pool = np.random.default_rng(seed), seeds()
    results: Counter[str] = Counter()
    failures = []
    for i in range(count):
        kind, data = pool[int(rng.integers(0, len(pool)))]
        structural = kind == "onnx" and rng.random() < 0.5
        mutant = reshuffled(data, rng) if structural else mutated(data, rng)
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        try:
            with np.errstate(all="ignore"):
                results[f"{kind} {attempt(kind, mutant)}"] += 1
        except Exception as error:
            results[f"{kind} FAILED"] += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            message = f"{type(error).__name__}: {str(error)[:120]} ({Path(where.filename).name}:{where.lineno})"
            failures.append(f"seed {seed} case {i} {kind}: {message}")
        finally:
            faulthandler.cancel_dump_traceback_later()
    print(json.dumps([results, failures]))


def run(count: int, seed: int, workers: int = 2) -> tuple[Counter[str], list[str]]:
    """All mutations, in processes of their own; what became of them, and the failures."""
    size = max(1, min(250, count // workers))
    total: Counter[str] = Counter()
    failures: list[str] = []

    def one(job: tuple[int, int]) -> subprocess.CompletedProcess[str]:
        arguments = [sys.executable, "-W", "ignore", __file__, "--batch", str(job[0]), str(job[1])]
        return subprocess.run(arguments, capture_output=True, text=True, check=False)

    jobs = [(seed + i, min(size, count - at)) for i, at in enumerate(range(0, count, size))]
    with ThreadPoolExecutor(workers) as pool:
        for job, done in zip(jobs, pool.map(one, jobs), strict=True):
            if done.returncode:
                total["died"] += 1
                failures.append(f"seed {job[0]}: exit {done.returncode}: {done.stderr[-1500:]}")
                continue
            results, found = json.loads(done.stdout.splitlines()[-1])
            total.update(results)
            failures += found
    return total, failures


if __name__ == "__main__":
    if sys.argv[1] == "--batch":
        batch(int(sys.argv[2]), int(sys.argv[3]))
    else:
        counts, failed = run(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
        print("\n".join(failed))
        print(dict(sorted(counts.items())))
