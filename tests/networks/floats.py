"""Does the canonical float graph mean what the model file means? Both in ONNX Runtime, on the same samples."""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from networks.network import Network
from networks.outcome import Discarded, Wrong
from networks.runtime import answers
from pipeline.graph.ir import Graph
from pipeline.graph.onnx_export import float_model
from pipeline.graph.tensor import Array

_SURE = 2e-6
"""Of a value: what a few roundings to float32 explain."""
_NOISE = 2.0**-21
_TIMES = 16.0


def reference(network: Network, feeds: Mapping[str, Array], observe: list[str]) -> dict[str, Array]:
    """What ONNX Runtime makes of the network as it is written: outputs and `observe`, (samples, *shape) each."""
    with np.errstate(all="ignore"):
        return answers(network.model(observe), feeds)


def compare_import(network: Network, graph: Graph, feeds: Mapping[str, Array], expected: Mapping[str, Array]) -> bool:
    """Raise Wrong unless every output is equal within float32 rounding; True when all are equal or nearly so.

    What rounding explains is measured: the same network with noise of 2**-21 of every value on every tensor.
    """
    stored = {p.tensor: p.to_stored(feeds[p.onnx_name]) for p in graph.inputs}
    results = answers(float_model(graph), stored)
    suspects = {}
    for port in graph.outputs:
        got, wanted = port.to_onnx(results[port.tensor]), expected[port.onnx_name]
        if got.shape != wanted.shape:
            raise Wrong("import shape", port.onnx_name, f"{got.shape[1:]}, expected {wanted.shape[1:]}")
        with np.errstate(all="ignore"):
            off = np.abs(got.astype(np.float64) - wanted)
        suspicious = ~(off <= _SURE * np.abs(wanted.astype(np.float64)))
        suspicious &= ~(np.isnan(got) & np.isnan(wanted)) if got.dtype.kind == "f" else True
        if suspicious.any():
            suspects[port.onnx_name] = (off, wanted, suspicious)
    if not suspects:
        return True
    try:
        spread = condition(network, feeds, expected, list(suspects))
    except Exception as error:
        raise Discarded("ONNX Runtime refuses the network with noise") from error
    for name, (off, wanted, suspicious) in suspects.items():
        allowed = _TIMES * spread[name] + 1e-30
        bad = suspicious & ~(off <= allowed)
        if bad.any():
            at = tuple(int(i) for i in np.argwhere(bad)[0])
            detail = f"{off[at]:.3g} off {wanted[at]:.6g} at {list(at)}, {int(bad.sum())} of {bad.size}"
            raise Wrong("import", name, detail)
    return False


def condition(
    network: Network, feeds: Mapping[str, Array], expected: Mapping[str, Array], names: list[str]
) -> dict[str, Array]:
    """For each output how far noise on every tensor moves it, the largest of six draws, over its neighbours too."""
    found = {n: np.zeros(expected[n].shape) for n in names}
    rng = np.random.default_rng(5)
    for _ in range(6):
        noisy = with_noise(network, rng)
        given = {k: v * (1 + _NOISE * rng.choice([-1.0, 1.0], v.shape)).astype(v.dtype) for k, v in feeds.items()}
        results = answers(noisy, given)
        for name in names:
            with np.errstate(all="ignore"):
                moved = np.abs(results[name].astype(np.float64) - expected[name])
            # What a value is made of differs little from what its neighbours are made of.
            found[name] = np.maximum(found[name], np.where(np.isfinite(moved), moved, np.inf))
    for name in names:
        found[name] = np.maximum(found[name], np.median(found[name]))
    return found


def with_noise(network: Network, rng: np.random.Generator) -> onnx.ModelProto:
    """The model with every float result of a layer multiplied by 1 plus or minus 2**-21."""
    # ONNX (1.23) infers another shape than ONNX Runtime makes where the last window of a pool is left out.
    single = any(n.attributes.get("ceil_mode") for n in network.layers)
    model = network.model()
    graph, nodes = model.graph, []
    for node in list(graph.node):
        noisy = []
        for i, name in enumerate(node.output):
            if name in network.kinds:
                continue
            factor = (1 + _NOISE * rng.choice([-1.0, 1.0], () if single else network.shapes[name])).astype(np.float32)
            graph.initializer.append(numpy_helper.from_array(np.asarray(factor), f"{name}.noise"))
            node.output[i] = f"{name}.exact"
            noisy.append(helper.make_node("Mul", [f"{name}.exact", f"{name}.noise"], [name]))
        nodes += [node, *noisy]
    del graph.node[:]
    graph.node.extend(nodes)
    return model
