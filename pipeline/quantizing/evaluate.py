"""How far the integer network is from the float one: per tensor, per class, and on the worst inputs."""

from collections.abc import Callable, Mapping, Sequence
from math import log10
from typing import Any

import numpy as np
import onnx
from onnx import helper

from pipeline.graph.ir import Graph
from pipeline.graph.onnx_export import float_model
from pipeline.graph.tensor import Array
from pipeline.quantizing import litert
from pipeline.quantizing.calibrate import Histogram
from pipeline.quantizing.data import Samples
from pipeline.quantizing.fidelity import compare, compare_export, compared
from pipeline.quantizing.integer_graph import Quantized, proofs, unprescribed_activations
from pipeline.quantizing.onnx_runtime import FloatSession, batch_of_one
from pipeline.quantizing.quantize_file import (
    Accuracy,
    Answers,
    ChangedChannels,
    InputRange,
    LayerProof,
    OutputDistance,
    QuantizeFile,
    TensorError,
    WorstInput,
)
from pipeline.quantizing.quantizer import AccumulatorProof
from pipeline.quantizing.rounding_bounds import constant_errors
from pipeline.quantizing.signal_to_noise import SignalMeter, output_elements, tensor_parts
from pipeline.quantizing.top1 import classes_of

PROBES = 64
_QDQ_SAMPLES = 256
_BATCH = 8
_HARD_SAMPLES = 8
"""Number of samples that are compared tensor by tensor, beside extremes."""
_WORST_SAMPLES = 5


def evaluate(
    graph: Graph,
    result: Quantized,
    observed: Mapping[str, Histogram],
    original: onnx.ModelProto,
    qdq: onnx.ModelProto,
    samples: Samples,
    progress: Callable[[int, int], None],
    source: str | None = None,
) -> QuantizeFile:
    """quantize.json: accuracy of both networks, agreement, every tensor's error, distance to the QDQ model.

    The float side is the user's own file in ONNX Runtime, not our reading of it. Raises ChipfitError when that refuses
    the file, which `source` names.
    """
    integers = result.graph.integers(samples.inputs)
    outputs = result.graph.run(integers)
    port = result.graph.outputs[0]
    quant = result.graph.tensors[port.tensor].quant
    real = port.to_onnx(outputs[0] if quant is None else quant.dequantize(outputs[0]))
    session = FloatSession(batch_of_one(original), source)
    feeds = _onnx_inputs(result, original, samples)
    float_outputs = []
    for done, row in enumerate(session.run(feeds, [port.onnx_name]), start=1):
        float_outputs.append(row[port.onnx_name])
        progress(done, samples.count)
    reference = np.stack(float_outputs).reshape(real.shape)
    if reference.dtype.kind in "iu" and quant is not None:
        reference = quant.dequantize(reference)
    meter = SignalMeter([p for p in tensor_parts(graph) if p.tensor in result.params], output_elements(graph))
    prescribed = any(t.quant is not None for t in graph.tensors.values() if t.data is None)
    hard_samples = hard_inputs(result.graph, samples)
    faithful = compare(original, result.graph, hard_samples, constant_errors(graph, result)) if prescribed else None
    return QuantizeFile(
        samples=samples.count,
        accuracy=_accuracy(real, reference, samples.labels),
        confusion=_confusion(real, samples.labels),
        worst_inputs=_worst(real, reference),
        tensors=_tensors(graph, result, observed, samples.take(PROBES), meter),
        signal=meter.signals(),
        layers=_layers(result.proofs),
        qdq=_qdq_distance(
            result,
            qdq if unprescribed_activations(graph) else original,
            samples.take(_QDQ_SAMPLES),
            Samples(tuple(outputs)).take(_QDQ_SAMPLES),
        ),
        answers=_answers(real, reference, samples.labels),
        inputs=_inputs(result.graph, samples),
        faithful=None if faithful is None else compared(faithful),
        export=None if prescribed else compared(compare_export(qdq, result.graph, hard_samples)),
    )


def evaluate_integer(graph: Graph, samples: Samples, model: bytes) -> QuantizeFile:
    """quantize.json of a quantized .tflite, `model`: LiteRT's reference kernels are what it is compared with."""
    all_inputs = [
        np.concatenate([a, b]) for a, b in zip(samples.inputs, hard_inputs(graph, samples.take(0)), strict=True)
    ]
    integers = graph.integers(all_inputs)
    outputs = graph.run(integers)
    port = graph.outputs[0]
    quant = graph.tensors[port.tensor].quant
    faithful, theirs = litert.compare(model, graph, integers, outputs)
    real, reference = (
        port.to_onnx(v if quant is None else quant.dequantize(v))[: samples.count] if v is not None else None
        for v in (outputs[0], theirs)
    )
    assert real is not None
    return QuantizeFile(
        samples=samples.count,
        accuracy=_accuracy(real, reference, samples.labels),
        confusion=_confusion(real, samples.labels),
        worst_inputs=(),
        tensors=(),
        signal=(),
        layers=_layers(proofs(graph)),
        qdq=None,
        answers=_answers(real, reference, samples.labels),
        inputs=_inputs(graph, samples),
        faithful=faithful,
        export=None,
    )


def hard_inputs(graph: Graph, samples: Samples) -> list[Array]:
    """Real inputs for a comparison of integers: a few samples, the least and the largest integers, and noise."""
    rng, inputs = np.random.default_rng(0), []
    for port, array in zip(graph.inputs, samples.take(_HARD_SAMPLES).inputs, strict=True):
        quant = graph.tensors[port.tensor].quant
        assert quant is not None
        low, high = quant.limits
        noise = rng.integers(low, high, (3, *port.onnx_shape), endpoint=True)
        noise[0], noise[1] = low, high
        inputs.append(np.concatenate([array, quant.dequantize(noise).astype(np.float32)]))
    return inputs


def _answers(real: Array, reference: Array | None, labels: Array | None) -> Answers:
    """What rules about classes look at: how many there are, how many are ever answered, and the labels' range."""
    flat = real.reshape(len(real), -1)
    return Answers(
        classes=flat.shape[1] if flat.shape[1] > 1 else None,
        integer=len(np.unique(classes_of(real))),
        real=None if reference is None else len(np.unique(classes_of(reference))),
        truth=None if labels is None else len(np.unique(labels)),
        labels=None if labels is None else (int(labels.min()), int(labels.max())),
    )


def _inputs(graph: Graph, samples: Samples) -> tuple[InputRange, ...]:
    """For each input its range as integers, that of the data, and the share of data more than a step outside."""
    rows = []
    for port, array in zip(graph.inputs, samples.inputs, strict=True):
        quant = graph.tensors[port.tensor].quant
        assert quant is not None
        low, high = (float(v) for v in quant.dequantize(np.array(quant.limits)))
        outside = (array < low - quant.scale[0]) | (array > high + quant.scale[0])
        rows.append(
            InputRange(
                name=port.onnx_name,
                range=(_six_digits(low), _six_digits(high)),
                data=(_six_digits(array.min()), _six_digits(array.max())),
                outside=round(float(np.mean(outside)), 6),
            )
        )
    return tuple(rows)


def _layers(proofs_of_layers: Sequence[AccumulatorProof]) -> tuple[LayerProof, ...]:
    rows = []
    for p in proofs_of_layers:
        c, headroom = p.changed, round(31 - log10(max(p.bound, 1)) / log10(2), 2)
        changed = None if c is None else ChangedChannels(c.constant, c.step, c.coarser, _six_digits(c.largest_error))
        rows.append(LayerProof(p.node, p.requantizer, p.bound, headroom, changed))
    return tuple(rows)


def _onnx_inputs(result: Quantized, model: onnx.ModelProto, samples: Samples) -> dict[str, Array]:
    """The samples as the inputs of `model`: integers where it takes those."""
    kinds = {i.name: helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type) for i in model.graph.input}
    inputs = {}
    for port, real in zip(result.graph.inputs, samples.inputs, strict=True):
        kind, tensor = kinds[port.onnx_name], result.graph.tensors[port.tensor]
        inputs[port.onnx_name] = (
            real.astype(kind) if kind.kind == "f" else port.to_onnx(tensor.stored(port.to_stored(real)))
        )
    return inputs


def _accuracy(real: Array, reference: Array | None, labels: Array | None) -> Accuracy:
    """`reference`: the framework's answers, None where nobody could be asked."""
    ours = classes_of(real)
    theirs = None if reference is None else classes_of(reference)
    return Accuracy(
        integer=None if labels is None else round(float(np.mean(ours == labels)), 6),
        real=None if labels is None or theirs is None else round(float(np.mean(theirs == labels)), 6),
        agreement=None if theirs is None else round(float(np.mean(ours == theirs)), 6),
    )


def _confusion(real: Array, labels: Array | None) -> tuple[tuple[int, ...], ...] | None:
    """Rows: truth; columns: the integer network's answer."""
    if labels is None:
        return None
    ours = classes_of(real)
    size = int(max(ours.max(), labels.max())) + 1
    if size > 64 or labels.min() < 0 or ours.min() < 0:
        return None
    counted = np.bincount(labels * size + ours, minlength=size * size).reshape(size, size)
    return tuple(tuple(row) for row in counted.tolist())


def _worst(real: Array, reference: Array) -> tuple[WorstInput, ...]:
    error = np.abs(real - reference).reshape(len(real), -1).max(axis=1)
    order = np.argsort(-error, kind="stable")[:_WORST_SAMPLES]
    ours, theirs = classes_of(real), classes_of(reference)
    return tuple(WorstInput(int(i), _six_digits(error[i]), int(theirs[i]), int(ours[i])) for i in order)


def _tensors(
    graph: Graph, result: Quantized, observed: Mapping[str, Histogram], probes: Samples, meter: SignalMeter
) -> tuple[TensorError, ...]:
    """For each activation of the integer graph that the float graph has too: scale, range, SQNR, saturation.

    `meter` sees those whose scale the file prescribes, too, beside a network that does not round them. The ends of
    their ranges are the file's bounds on them and stay: exporters leave out a ReLU that a zero point says.
    """
    activations = [*(p.tensor for p in result.graph.inputs), *(o for n in result.graph.nodes for o in n.outputs)]
    chosen = unprescribed_activations(graph)
    ranges = {n: result.params[n].real_range for n in activations if n in result.params and n not in chosen}
    names = [n for n in activations if n in observed or (n in ranges and n in meter.parts)]
    computed = [n for n in names if all(n != p.tensor for p in graph.inputs)]
    feeds = {p.tensor: p.to_stored(a) for p, a in zip(graph.inputs, probes.inputs, strict=True)}
    integers = result.graph.integers(probes.inputs)
    sums = {n: np.zeros(4) for n in names}  # squares of the error and of the values, saturated values, all of them
    for i, float_values in enumerate(FloatSession(float_model(graph, computed, ranges)).run(feeds, computed)):
        if i % _BATCH == 0:
            integer_values: dict[str, Array] = {}
            result.graph.run([a[i : i + _BATCH] for a in integers], integer_values.__setitem__)
        for name in names:
            quant, ours = result.params[name], integer_values[name][i % _BATCH]
            real = (
                (float_values[name] if name in float_values else feeds[name][i]).astype(np.float64).reshape(ours.shape)
            )
            real = real.clip(*ranges[name]) if name in ranges else real
            error = quant.dequantize(ours) - real
            meter.add(name, real, error)
            sums[name] += (error**2).sum(), (real**2).sum(), np.isin(ours, quant.limits).sum(), real.size
    rows = []
    for name in (n for n in names if n in observed):
        quant = result.params[name]
        noise, signal, saturated, count = (float(v) for v in sums[name])
        rows.append(
            TensorError(
                name=name,
                low=_six_digits(observed[name].low),
                high=_six_digits(observed[name].high),
                scale=quant.scale[0],
                zero_point=quant.zero_point,
                sqnr_db=None if not noise or not signal else round(10 * log10(signal / noise), 2),
                saturated=round(saturated / count, 6),
            )
        )
    return tuple(rows)


def _qdq_distance(result: Quantized, qdq: onnx.ModelProto, probes: Samples, ours: Samples) -> OutputDistance:
    """How far ONNX Runtime's answers on model.qdq.onnx are from `ours`, in output steps."""
    model = batch_of_one(qdq)
    theirs = FloatSession(model).stacked(_onnx_inputs(result, model, probes))
    largest, differing, total = 0, 0, 0
    for port, mine in zip(result.graph.outputs, ours.inputs, strict=True):
        quant = result.graph.tensors[port.tensor].quant
        other = theirs[port.onnx_name].reshape(len(mine), *port.onnx_shape)
        steps = other
        if quant is not None and other.dtype.kind == "f":
            steps = np.rint(other / quant.scale[0]) + quant.zero_point
        differences = np.abs(steps.astype(np.float64) - port.to_onnx(mine)).astype(np.int64)
        largest, differing, total = (
            max(largest, int(differences.max())),
            differing + int((differences > 0).sum()),
            total + differences.size,
        )
    return OutputDistance(probes.count, total, differing, largest)


def _six_digits(value: Any) -> float:
    """Six significant digits: float reductions differ between machines in the last ones."""
    return float(f"{float(value):.6g}")
