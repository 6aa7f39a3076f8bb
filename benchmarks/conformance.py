"""ONNX's own node tests through import, quantization and C on this machine, in one table.

How a case is run and judged is written in docs/conformance.md.
"""

import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from pipeline.facts.errors import ChipfitError
from pipeline.generating.library import Origin, generate
from pipeline.generating.selftest import Vectors
from pipeline.graph.ir import Graph
from pipeline.graph.onnx_export import qdq_model
from pipeline.graph.tensor import Array
from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.passes import canonical
from pipeline.measuring.toolchain import host_compilers, host_library
from pipeline.measuring.toolchain.host import HostLibrary
from pipeline.measuring.toolchain.scratch import scratch
from pipeline.planning.plan import plan
from pipeline.quantizing.calibrate import Policy, observe
from pipeline.quantizing.data import Samples
from pipeline.quantizing.integer_graph import quantize, unprescribed_activations
from pipeline.quantizing.onnx_runtime import FloatSession

PASSED, REFUSED, WRONG, CRASHED = "passed", "refused", "wrong", "crashed"
_PERTURBATIONS = 8
_FILE = "case.onnx"
_ORIGIN = Origin(_FILE, "0.0.0", "0" * 64, "a" * 64, "f" * 64)
_NAMES = re.compile(r"\(node '.*?'\)|'[^']*'")


@dataclass(frozen=True)
class CaseResult:
    """What became of one case; `why` is the refusal or the failure, `width` the activations that passed."""

    case: str
    result: str
    why: str = ""
    width: str = ""


@cache
def cases() -> Mapping[str, Any]:
    """ONNX's node tests by name. They are generated; some of their generators warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        return {c.name: c for c in collect_testcases(None)}


def judge_case(name: str) -> CaseResult:
    """Run one case; never raises."""
    case = cases()[name]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return _judge(case)
        except ChipfitError as error:
            return CaseResult(name, CRASHED if " is malformed (" in error.message else REFUSED, error.message)
        except Exception as error:  # a bug is what this looks for
            return CaseResult(name, CRASHED, f"{type(error).__name__}: {error}"[:200])


def _judge(case: Any) -> CaseResult:
    if not case.data_sets:
        return CaseResult(case.name, REFUSED, "the case has no data")
    given, expected = case.data_sets[0]
    arrays = dict(zip((i.name for i in case.model.graph.input), given, strict=False))
    if not all(
        isinstance(v, np.ndarray | np.generic) and v.dtype.kind in "fiub" for v in (*arrays.values(), *expected)
    ):
        return CaseResult(case.name, REFUSED, "inputs or outputs that are not plain number arrays")
    model, live = _with_bound_inputs(case.model, {n: np.asarray(v) for n, v in arrays.items()})
    refusal: ChipfitError | None = None
    difference = ""
    for width in ("int8", "int16"):
        try:
            difference = _run(model, live, [np.asarray(v) for v in expected], width)
        except ChipfitError as error:
            refusal, difference = error, ""
            continue
        if not difference:
            return CaseResult(case.name, PASSED, width=width)
    if difference:
        return CaseResult(case.name, WRONG, difference)
    raise refusal or AssertionError


def _with_bound_inputs(model: onnx.ModelProto, arrays: Mapping[str, Array]) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """The model with every input bound to its test value but those that can be a network's inputs.

    A network computes on floats and quantized integers; shapes, axes, indices, conditions and parameters are constants
    of it. All floats stay inputs when the importer takes them so, else the first alone.
    """
    floats = [n for n, v in arrays.items() if v.dtype.kind == "f" and v.size > 0]
    quantized = [n for n, v in arrays.items() if v.dtype.name in ("int8", "uint8", "int16") and v.size > 0]
    first = (floats or quantized or [""])[:1]
    refusal: ChipfitError | None = None
    for live in dict.fromkeys((tuple(floats), tuple(first), tuple(quantized[:1]))):
        if not live or not live[0]:
            continue
        frozen = _with_constants(model, {n: v for n, v in arrays.items() if n not in live})
        try:
            canonical(graph_of(frozen, _FILE, "net"), _FILE)
        except ChipfitError as error:
            refusal = refusal or error
            continue
        return frozen, {n: arrays[n] for n in live}
    raise refusal or ChipfitError("has no input that a network could have")


def _with_constants(model: onnx.ModelProto, values: Mapping[str, Array]) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.input[:]
    copy.graph.input.extend(i for i in model.graph.input if i.name not in values)
    copy.graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in values.items())
    return copy


def _run(model: onnx.ModelProto, live: Mapping[str, Array], expected: Sequence[Array], width: str) -> str:
    """What is wrong with the C library's outputs, or nothing."""
    graph = canonical(graph_of(model, _FILE, "net"), _FILE)
    real = [np.asarray(live[p.onnx_name], np.float32).reshape(1, *p.onnx_shape) for p in graph.inputs]
    real = [_real(graph, p.tensor, p.unsigned, live[p.onnx_name], v) for p, v in zip(graph.inputs, real, strict=True)]
    names = unprescribed_activations(graph)
    observed = observe(graph, Samples(tuple(real)), lambda done, total: None, names) if names else {}
    result = quantize(graph, observed, Policy("min-max", dtype=width), per_channel=True, requantizer="multiplier")
    inputs = result.graph.integers(real)
    expected_integers = [np.ascontiguousarray(o) for o in result.graph.run(inputs)]
    got = _in_c(result.graph, inputs, expected_integers)
    if any(not np.array_equal(g, m) for g, m in zip(got, expected_integers, strict=True)):
        return "C differs from the integer reference"
    by_name = dict(zip((o.name for o in model.graph.output), expected, strict=False))
    for port, ours in zip(result.graph.outputs, got, strict=True):
        quant, wanted = result.graph.tensors[port.tensor].quant, by_name[port.onnx_name]
        mine = port.to_onnx(ours)[0]
        if mine.shape != wanted.shape:
            return f"shape {mine.shape}, expected {wanted.shape}"
        if wanted.dtype.kind in "iub" or quant is None:
            if not np.array_equal(mine, wanted):
                return f"{int((mine != wanted).sum())} of {wanted.size} integers differ"
            continue
        error = np.abs(quant.dequantize(mine) - wanted.astype(np.float64))
        limit = _limit(model, live, graph, result.params, port.onnx_name, quant.scale[0], wanted)
        if not (error <= limit).all():
            ideal = FloatSession(qdq_model(graph, result.params, result.constants))
            theirs = ideal.stacked(dict(zip((p.onnx_name for p in graph.inputs), real, strict=True)), [port.onnx_name])
            if not (np.abs(theirs[port.onnx_name][0] - wanted.astype(np.float64)) <= limit).all():
                raise ChipfitError(f"{width} activations cannot hold the range of its tensors")
            return f"off by {float(error.max()):.4g}, the bound is {float(np.min(limit)):.4g}"
    return ""


def _real(graph: Graph, tensor: str, unsigned: bool, raw: Array, real: Array) -> Array:
    """A quantized input's real values; floats as they are."""
    quant = graph.tensors[tensor].quant
    if raw.dtype.kind == "f" or quant is None:
        return real
    return quant.dequantize(real.astype(np.int64) - (128 if unsigned else 0)).astype(np.float32)


def _limit(
    model: onnx.ModelProto, live: Mapping[str, Array], graph: Graph, params: Mapping[str, Any], output: str,
    step: float, wanted: Array,
) -> Array:  # fmt: skip
    """How far an output may be off: steps of every layer, and what half a step of each input and weight may do.

    The last is measured with ONNX Runtime, at random signs. Source: docs/conformance.md.
    """
    layers = sum(1 for n in graph.nodes if not n.outputs[0] or graph.tensors[n.output].dtype == "float32")
    limit = np.full(wanted.shape, step * (1.5 + layers))
    rng = np.random.default_rng(0)
    base = _with_constants(model, {})
    halves = {p.onnx_name: params[p.tensor].scale[0] / 2 for p in graph.inputs}
    try:
        for _ in range(_PERTURBATIONS):
            feeds = {}
            for name, value in live.items():
                signs = rng.choice([-1.0, 1.0], value.shape)
                moved = value.astype(np.float64) + signs * halves[name] if value.dtype.kind == "f" else value
                feeds[name] = np.asarray(moved, value.dtype)[None]
            theirs = FloatSession(_perturbed(base, rng)).stacked(feeds, [output])[output][0]
            spread = np.abs(theirs.astype(np.float64) - wanted) * 2
            limit = np.maximum(limit, step * (1.5 + layers) + np.where(np.isfinite(spread), spread, 0))
    except Exception:  # ONNX Runtime does not have every operator: then the steps alone must do
        return limit
    return limit


def _perturbed(model: onnx.ModelProto, rng: np.random.Generator) -> onnx.ModelProto:
    """The model with float constants of more than one value moved by half a step of an int8 weight."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for tensor in copy.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.dtype.kind == "f" and value.size > 1 and np.isfinite(value).all():
            half = np.abs(value).max() / 254
            moved = value + half * rng.choice([-1.0, 1.0], value.shape)
            tensor.CopyFrom(numpy_helper.from_array(moved.astype(value.dtype), tensor.name))
    return copy


def _in_c(graph: Graph, inputs: Sequence[Array], meant: Sequence[Array]) -> list[Array]:
    """The outputs of the generated library, compiled for this machine."""
    program = plan("net", graph)
    compiler = next((c for c in ("gcc", "clang") if c in host_compilers()), "ziglang")
    with scratch() as folder:
        for name, data in generate(program, "cortex-m0", _ORIGIN, Vectors(tuple(inputs), tuple(meant))).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        library = host_library(folder, folder / "net.so", compiler, ("-O1",))
        return HostLibrary(library, "net")([a[:1] for a in inputs], [m[:1] for m in meant])


def run_all(names: Sequence[str], workers: int = 2) -> Iterator[CaseResult]:
    """Every case, each in a worker that may die without taking the others along."""
    waiting = list(names)
    while waiting:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            futures = {n: pool.submit(judge_case, n) for n in waiting}
            try:
                for name, future in futures.items():
                    yield future.result()
                    waiting.remove(name)
            except BrokenProcessPool:
                yield CaseResult(waiting.pop(0), CRASHED, "the process died")


def table(results: Sequence[CaseResult]) -> str:
    """The summary, the commonest refusals, and every failure."""
    counts = Counter(v.result for v in results)
    widths = Counter(v.width for v in results if v.width)
    lines = [f"{len(results)} cases of ONNX {onnx.__version__}"]
    lines += [f"{counts[r]:6} {r}" for r in (PASSED, REFUSED, WRONG, CRASHED)]
    lines += [f"       passed with {w} activations: {widths[w]}" for w in ("int8", "int16")]
    reasons = Counter(_NAMES.sub("", v.why).replace("  ", " ") for v in results if v.result == REFUSED)
    lines += ["refused, by reason:", *(f"{n:6} {why[:110]}" for why, n in reasons.most_common(25))]
    lines += [f"{sum(n for _, n in reasons.most_common()[25:]):6} for {max(len(reasons) - 25, 0)} other reasons"]
    lines += [f"{v.result}: {v.case}: {v.why}" for v in results if v.result in (WRONG, CRASHED)]
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """`python benchmarks/conformance.py [NAME...]`: the cases whose names contain one of NAMEs, or all."""
    names = [n for n in cases() if not arguments or any(a in n for a in arguments)]
    results = []
    for result in run_all(names):
        results.append(result)
        if result.result in (WRONG, CRASHED) or arguments:
            print(f"{result.result:8} {result.case} {result.width}{result.why}", flush=True)
    print(table(results))
    return 0 if all(v.result in (PASSED, REFUSED) for v in results) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
