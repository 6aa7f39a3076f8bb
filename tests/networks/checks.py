"""From a case to its outcome: import, quantization and integer NumPy against programs that are not ours."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from tflite_models import litert

from networks.case import Case
from networks.draw import SAMPLES, draw, draw_lite, samples
from networks.floats import compare_import, reference
from networks.forced import compare_forced
from networks.layers import check_layers
from networks.lite import flatbuffer
from networks.lite import samples as lite_samples
from networks.network import Network
from networks.outcome import Discarded, Outcome, Wrong
from networks.qdq import Writer, habits, in_range
from networks.qoperator import OperatorWriter, plain
from pipeline.facts.errors import ChipfitError
from pipeline.graph.ir import Graph
from pipeline.graph.tensor import Array, Port
from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.passes import canonical, stored_as
from pipeline.importing.tflite_graph import tflite_graph_of
from pipeline.model_files.tflite_file import parse_tflite
from pipeline.quantizing.calibrate import Policy, observe
from pipeline.quantizing.data import Samples
from pipeline.quantizing.fidelity import compare
from pipeline.quantizing.integer_graph import join_int8_functions, quantize, unprescribed_activations
from pipeline.quantizing.rounding_bounds import constant_errors

_SHOWN = "net.onnx"


def outcome(case: Case) -> Outcome:
    """Raises Wrong, or whatever chipfit raises, for a finding."""
    try:
        return CHECKS[case.style](case)
    except ChipfitError as error:
        message = str(error)
        if "\n" in message or len(message) < 20:
            raise
        return Outcome("refused", reason(message))
    except Discarded as error:
        return Outcome("discarded", str(error))


def reason(message: str) -> str:
    """A refusal without the names and numbers of its network."""
    bare = re.sub(r"'[^']*'", "_", message.removeprefix(f"{_SHOWN}: ").split(" Hint:")[0])
    return re.sub(r"(?<![A-Za-z])-?\d+(\.\d+)?(e-?\d+)?", "#", bare)[:110]


def activations(network: Network, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Every tensor's values in ONNX Runtime; raises Discarded."""
    outputs = [o for n in network.layers for o in n.outputs]
    try:
        values = reference(network, feeds, outputs)
    except Exception as error:  # ONNX Runtime raises classes of its own
        raise Discarded(f"ONNX Runtime: {reason(str(error))[-90:]}") from error
    if not all(np.isfinite(v).all() and (np.abs(v) < 1e30).all() for v in values.values()):
        raise Discarded("values beyond all bounds")
    return values


def draw_float(rng: np.random.Generator) -> Case:
    network = draw(rng)
    feeds = dict(zip(network.inputs, samples(network, rng), strict=True))
    settings = {
        "activations": str(rng.choice(["int8", "int8", "int8", "int16"])),
        "calibration": str(rng.choice(["min-max", "mse", "percentile"])),
        "symmetric": bool(rng.random() < 0.2),
        "per_channel": bool(rng.random() < 0.7),
        "requantize": str(rng.choice(["auto", "multiplier"])),
    }
    return Case("float", network, feeds, settings)


def check_float(case: Case) -> Outcome:
    network, feeds, settings = case.network, case.feeds, case.settings
    if not network.layers:
        raise Discarded("no layer")
    expected = activations(network, feeds)
    graph = canonical(graph_of(network.model(), _SHOWN, "net"), _SHOWN)
    equal = compare_import(network, graph, feeds, expected)
    real = tuple(feeds[p.onnx_name] for p in graph.inputs)
    policy = Policy(settings["calibration"], symmetric=settings["symmetric"], dtype=settings["activations"])
    graph = join_int8_functions(graph, policy)
    observed = observe(graph, Samples(real), lambda done, total: None)
    result = quantize(graph, observed, policy, per_channel=settings["per_channel"], requantizer=settings["requantize"])
    kept: dict[str, Array] = {}
    inputs = result.graph.integers(real)
    outputs = result.graph.run(inputs, lambda name, value: kept.__setitem__(name, value))
    check_layers(graph, result, kept)
    return Outcome("equal" if equal else "near", "", result.graph, inputs, outputs)


def draw_qdq(rng: np.random.Generator) -> Case:
    return draw_quantized("qdq", Writer, rng)


def draw_qoperator(rng: np.random.Generator) -> Case:
    return draw_quantized("qoperator", OperatorWriter, rng)


def draw_quantized(style: str, writer: type[Writer], rng: np.random.Generator) -> Case:
    h = habits(rng)
    if style == "qoperator":
        h = replace(h, activations="uint8" if h.activations == "int16" else h.activations, fuse=False, integers=1.0)
    opsets = (21, 22) if h.activations == "int16" else (13, 14, 15, 16, 17, 18, 19, 20, 21, 22)
    network = draw(rng, opsets)
    if not network.layers:
        raise Discarded("no layer")
    feeds = dict(zip(network.inputs, samples(network, rng), strict=True))
    quantized, ports = writer(network, {**activations(network, feeds), **feeds}, h, rng).network_of()
    return Case(style, quantized, in_range(ports, quantized, feeds))


def real_inputs(network: Network, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Integer inputs as the real values that their DequantizeLinear makes of them."""
    reals = {n: v.astype(np.float32) for n, v in feeds.items()}
    origin = {n: n for n in network.inputs if n in network.kinds}
    for layer in network.layers:
        source = origin.get(layer.inputs[0])
        if source is None:
            continue
        if layer.op == "DequantizeLinear":
            scale, zero = (network.constants[i] for i in layer.inputs[1:3])
            reals[source] = (feeds[source].astype(np.float32) - zero.astype(np.float32)) * scale
        else:
            origin |= dict.fromkeys(layer.outputs, source)
    return reals


def check_qdq(case: Case) -> Outcome:
    written, feeds = case.network, case.feeds
    network = plain(written)
    free = activations(network, feeds) | dict(feeds)
    imported = graph_of(written.model(), _SHOWN, "net")
    graph = canonical(imported, _SHOWN)
    real = real_inputs(network, feeds)
    given = tuple(real[p.onnx_name] for p in graph.inputs)
    wide = "int16" in network.kinds.values()
    policy = Policy("min-max", dtype="int16" if wide else "int8")
    graph = join_int8_functions(graph, policy)
    names = unprescribed_activations(graph)
    observed = observe(graph, Samples(given), lambda done, total: None, names) if names else {}
    result = quantize(graph, observed, policy, per_channel=True, requantizer="multiplier")
    kept: dict[str, Array] = {}
    inputs = result.graph.integers(given)
    outputs = result.graph.run(inputs, lambda name, value: kept.__setitem__(name, value))
    check_layers(graph, result, kept)
    if names:
        return Outcome("near", "", result.graph, inputs, outputs)
    compare_forced(network, feeds, stored_as(imported), graph, result, kept, free)
    # Beside units this small exp(x) - 1 of ONNX Runtime has no digits left.
    least = min(p.scale[0] for p in result.params.values())
    found = (
        compare(written.model(), result.graph, given, constant_errors(graph, result)).first if least > 1e-5 else None
    )
    if found is not None:
        detail = f"{found.unexplained} of {found.values}, by {found.steps} steps, {found.allowed:.3f} allowed"
        raise Wrong("faithful", found.tensor, detail)
    equal = all(end_to_end(network, p, result.graph, o, free) for p, o in zip(graph.outputs, outputs, strict=True))
    return Outcome("equal" if equal else "near", "", result.graph, inputs, outputs)


def end_to_end(network: Network, port: Port, graph: Graph, ours: Array, free: Mapping[str, Array]) -> bool:
    """Whether ONNX Runtime by itself makes the very same output."""
    theirs = free[port.onnx_name]
    quant = graph.tensors[graph.outputs[[p.onnx_name for p in graph.outputs].index(port.onnx_name)].tensor].quant
    mine = port.to_onnx(ours)
    if quant is None or theirs.dtype.kind != "f":
        return bool((mine.astype(np.int64) == theirs.astype(np.int64)).all())
    return bool((mine.astype(np.int64) == np.rint(theirs / quant.scale[0]) + quant.zero_point).all())


def draw_tflite(rng: np.random.Generator) -> Case:
    network = draw_lite(rng)
    if not network.layers:
        raise Discarded("no layer")
    return Case("tflite", network, lite_samples(network, rng, SAMPLES))


def check_tflite(case: Case) -> Outcome:
    """Byte for byte."""
    network, feeds = case.network, case.feeds
    model = flatbuffer(network)
    graph = tflite_graph_of(parse_tflite(model, _SHOWN), _SHOWN, "net")
    inputs = [np.ascontiguousarray(p.to_stored(feeds[p.onnx_name])) for p in graph.inputs]
    outputs = graph.run(inputs)
    expected = lite_values(network, feeds, network.outputs)
    for port, ours in zip(graph.outputs, outputs, strict=True):
        mine, theirs = port.to_onnx(ours), expected[port.onnx_name]
        if mine.shape != theirs.shape or (mine != theirs).any():
            where = np.argwhere(mine.reshape(theirs.shape) != theirs)
            at = tuple(int(i) for i in where[0])
            detail = f"{mine.reshape(theirs.shape)[at]}, LiteRT {theirs[at]} at {list(at)}, {len(where)} of {mine.size}"
            raise Wrong("tflite", port.onnx_name, detail)
    return Outcome("equal", "", graph, inputs, outputs)


def lite_values(network: Network, feeds: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
    """What LiteRT makes of tensors; raises Discarded where it refuses the network."""
    try:
        values = litert(flatbuffer(network, names), [feeds[n] for n in network.inputs], apart=True)
    except (RuntimeError, ValueError) as error:
        raise Discarded(f"LiteRT: {reason(str(error))}") from error
    return dict(zip(dict.fromkeys([*network.outputs, *names]), values, strict=True))


def values_of(case: Case) -> Mapping[str, Array]:
    """Every tensor of a case's network, as its own framework computes it."""
    outputs = [o for n in case.network.layers for o in n.outputs]
    if case.style == "tflite":
        return lite_values(case.network, case.feeds, outputs)
    return activations(plain(case.network), case.feeds)


CHECKS = {"float": check_float, "qdq": check_qdq, "qoperator": check_qdq, "tflite": check_tflite}
DRAWS = {"float": draw_float, "qdq": draw_qdq, "qoperator": draw_qoperator, "tflite": draw_tflite}
