"""How far the integer network is from the float one: per tensor, per class, and on the worst inputs."""

from collections.abc import Callable, Mapping, Sequence
from math import log10
from typing import Any

import numpy as np
import onnx
from onnx import helper

from pipeline.calibrate import Observed
from pipeline.data import Samples
from pipeline.ir import Array, Graph
from pipeline.onnx_export import float_model
from pipeline.oracle import FloatOracle, batch_of_one
from pipeline.quantize import Quantized, proofs, unsettled
from pipeline.quantizer import Proof

_PROBES = 64
_COMPARED = 256
_WORST = 5


def evaluate(
    graph: Graph,
    result: Quantized,
    observed: Mapping[str, Observed],
    original: onnx.ModelProto,
    qdq: onnx.ModelProto,
    samples: Samples,
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """quantize.json: accuracy of both networks, agreement, every tensor's error, distance to the QDQ model.

    The float side is the user's own file in ONNX Runtime, not our reading of it.
    """
    integers = result.graph.integers(samples.inputs)
    outputs = result.graph.run(integers)
    port = result.graph.outputs[0]
    quant = result.graph.tensors[port.tensor].quant
    real = port.to_onnx(outputs[0] if quant is None else quant.dequantize(outputs[0]))
    oracle = FloatOracle(batch_of_one(original))
    feeds = _feeds(result, original, samples)
    rows = []
    for done, row in enumerate(oracle.run(feeds, [port.onnx_name]), start=1):
        rows.append(row[port.onnx_name])
        progress(done, samples.count)
    reference = np.stack(rows).reshape(real.shape)
    if reference.dtype.kind in "iu" and quant is not None:
        reference = quant.dequantize(reference)
    return {
        "samples": samples.count,
        "accuracy": _accuracy(real, reference, samples.labels),
        "confusion": _confusion(real, samples.labels),
        "worst_inputs": _worst(real, reference),
        "tensors": _tensors(graph, result, observed, samples.take(_PROBES)),
        "layers": _layers(result.proofs),
        "qdq": _distance(
            result,
            qdq if unsettled(graph) else original,
            samples.take(_COMPARED),
            Samples(tuple(outputs)).take(_COMPARED),
        ),
    }


def evaluate_integer(graph: Graph, samples: Samples) -> dict[str, Any]:
    """quantize.json of a network that came quantized: there is no float network to compare it with."""
    outputs = graph.run(graph.integers(samples.inputs))
    port = graph.outputs[0]
    quant = graph.tensors[port.tensor].quant
    real = port.to_onnx(outputs[0] if quant is None else quant.dequantize(outputs[0]))
    right = None if samples.labels is None else float(np.mean(_classes(real) == samples.labels))
    return {
        "samples": samples.count,
        "accuracy": {"integer": None if right is None else round(right, 6), "float": None, "agreement": None},
        "confusion": _confusion(real, samples.labels),
        "worst_inputs": [],
        "tensors": [],
        "layers": _layers(proofs(graph)),
        "qdq": None,
    }


def _layers(found: Sequence[Proof]) -> list[dict[str, Any]]:
    return [
        {
            "name": p.node,
            "requantizer": p.requantizer,
            "accumulator_bound": p.bound,
            "accumulator_headroom_bits": round(31 - log10(max(p.bound, 1)) / log10(2), 2),
            "channels": None
            if p.changed is None
            else {
                "constant": p.changed.constant,
                "step": p.changed.step,
                "coarser": p.changed.coarser,
                "largest_error": _short(p.changed.largest_error),
            },
        }
        for p in found
    ]


def _feeds(result: Quantized, model: onnx.ModelProto, samples: Samples) -> dict[str, Array]:
    """The samples as the inputs of `model`: integers where it takes those."""
    kinds = {i.name: helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type) for i in model.graph.input}
    made = {}
    for port, real in zip(result.graph.inputs, samples.inputs, strict=True):
        kind, tensor = kinds[port.onnx_name], result.graph.tensors[port.tensor]
        made[port.onnx_name] = (
            real.astype(kind) if kind.kind == "f" else port.to_onnx(tensor.stored(port.to_stored(real)))
        )
    return made


def _classes(values: Array) -> Array:
    """(n,) class of each sample: the largest entry, or the value itself when the network ends in ArgMax."""
    flat = values.reshape(len(values), -1)
    return flat.argmax(axis=1) if flat.shape[1] > 1 else np.rint(flat[:, 0]).astype(np.int64)


def _accuracy(real: Array, reference: Array, labels: Array | None) -> dict[str, float | None]:
    ours, theirs = _classes(real), _classes(reference)
    return {
        "integer": None if labels is None else round(float(np.mean(ours == labels)), 6),
        "float": None if labels is None else round(float(np.mean(theirs == labels)), 6),
        "agreement": round(float(np.mean(ours == theirs)), 6),
    }


def _confusion(real: Array, labels: Array | None) -> list[list[int]] | None:
    """Rows: truth; columns: the integer network's answer."""
    if labels is None:
        return None
    ours = _classes(real)
    size = int(max(ours.max(), labels.max())) + 1
    if size > 64 or labels.min() < 0 or ours.min() < 0:
        return None
    counted: list[list[int]] = np.bincount(labels * size + ours, minlength=size * size).reshape(size, size).tolist()
    return counted


def _worst(real: Array, reference: Array) -> list[dict[str, Any]]:
    error = np.abs(real - reference).reshape(len(real), -1).max(axis=1)
    order = np.argsort(-error, kind="stable")[:_WORST]
    ours, theirs = _classes(real), _classes(reference)
    return [
        {
            "sample": int(i),
            "error": _short(error[i]),
            "float_class": int(theirs[i]),
            "integer_class": int(ours[i]),
        }
        for i in order
    ]


def _tensors(
    graph: Graph, result: Quantized, observed: Mapping[str, Observed], probes: Samples
) -> list[dict[str, Any]]:
    """For each activation of the integer graph that the float graph has too: scale, range, SQNR, saturation."""
    held = [*(p.tensor for p in result.graph.inputs), *(o for n in result.graph.nodes for o in n.outputs)]
    names = [n for n in held if n in observed]
    made = [n for n in names if all(n != p.tensor for p in graph.inputs)]
    feeds = {p.tensor: p.to_stored(a) for p, a in zip(graph.inputs, probes.inputs, strict=True)}
    integers = result.graph.integers(probes.inputs)
    sums = {n: np.zeros(4) for n in names}  # squares of the error and of the values, saturated values, all of them
    for i, row in enumerate(FloatOracle(float_model(graph, made)).run(feeds, made)):
        kept: dict[str, Array] = {}
        result.graph.run([a[i : i + 1] for a in integers], kept.__setitem__)
        for name in names:
            quant, real = result.params[name], (row[name] if name in row else feeds[name][i]).astype(np.float64)
            error = quant.dequantize(kept[name][0]) - real.reshape(kept[name].shape[1:])
            saturated = np.isin(kept[name], quant.limits).sum()
            sums[name] += (error**2).sum(), (real**2).sum(), saturated, real.size
    rows = []
    for name in names:
        quant = result.params[name]
        noise, signal, saturated, count = (float(v) for v in sums[name])
        rows.append(
            {
                "name": name,
                "low": _short(observed[name].low),
                "high": _short(observed[name].high),
                "scale": quant.scale[0],
                "zero_point": quant.zero_point,
                "sqnr_db": None if not noise or not signal else round(10 * log10(signal / noise), 2),
                "saturated": round(saturated / count, 6),
            }
        )
    return rows


def _distance(result: Quantized, qdq: onnx.ModelProto, probes: Samples, ours: Samples) -> dict[str, Any]:
    """How far ONNX Runtime's answers on model.qdq.onnx are from `ours`, in output steps."""
    model = batch_of_one(qdq)
    theirs = FloatOracle(model).stacked(_feeds(result, model, probes))
    worst, differing, total = 0, 0, 0
    for port, mine in zip(result.graph.outputs, ours.inputs, strict=True):
        quant = result.graph.tensors[port.tensor].quant
        other = theirs[port.onnx_name].reshape(len(mine), *port.onnx_shape)
        steps = other
        if quant is not None and other.dtype.kind == "f":
            steps = np.rint(other / quant.scale[0]) + quant.zero_point
        off = np.abs(steps.astype(np.float64) - port.to_onnx(mine)).astype(np.int64)
        worst, differing, total = (
            max(worst, int(off.max())),
            differing + int((off > 0).sum()),
            total + off.size,
        )
    return {
        "samples": probes.count,
        "outputs": total,
        "differing": differing,
        "largest_difference_lsb": worst,
    }


def _short(value: Any) -> float:
    """Six significant digits: float reductions differ between machines in the last ones."""
    return float(f"{float(value):.6g}")
