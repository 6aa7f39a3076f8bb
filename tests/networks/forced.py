"""A quantized file against ONNX Runtime, layer by layer: each fed our own integers, so that no difference grows."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from networks.layers import explained
from networks.network import Layer, Network
from networks.outcome import Discarded, Wrong
from networks.runtime import answers
from pipeline.graph.ir import Graph, Node
from pipeline.graph.tensor import Array
from pipeline.importing.passes.layout import Stored
from pipeline.ops.mul import Mul
from pipeline.ops.shared.linear import Linear
from pipeline.quantizing.integer_graph import Quantized

_TIE = 2e-3
"""How near half a step a float32 sum must be for either neighbour to be right."""


def forced(network: Network) -> tuple[Network, list[Layer]]:
    """The network with every tensor of integers that a layer reads given from outside, as `name<`; what quantizes."""
    quantizers = [n for n in network.layers if n.op == "QuantizeLinear" and n.inputs[0] not in network.constants]
    given = {n.outputs[0] for n in quantizers}
    layers = tuple(replace(n, inputs=tuple(f"{i}<" if i in given else i for i in n.inputs)) for n in network.layers)
    read = {i for n in layers for i in n.inputs if i.endswith("<")}
    shapes = dict(network.shapes) | {i: network.shapes[i[:-1]] for i in read}
    kinds = dict(network.kinds) | {i: network.kinds[i[:-1]] for i in read}
    outputs = tuple(dict.fromkeys(o for n in quantizers for o in (n.outputs[0], n.inputs[0])))
    forced_network = replace(
        network, layers=layers, shapes=shapes, kinds=kinds, inputs=(*network.inputs, *sorted(read)),
        outputs=tuple(o for o in outputs if o not in network.inputs),
    )  # fmt: skip
    return forced_network, quantizers


def compare_forced(
    network: Network,
    feeds: Mapping[str, Array],
    stored: Mapping[str, Stored],
    graph: Graph,
    result: Quantized,
    kept: Mapping[str, Array],
    free: Mapping[str, Array],
) -> None:
    """Raise Wrong where our integers are not what the file says of our integers before.

    `stored` says how the graph keeps the file's tensors, `kept` are our integers, `free` are ONNX Runtime's when it
    runs by itself.
    """
    network_forced, quantizers = forced(network)
    if not quantizers:
        return
    ours: dict[str, Array] = {}
    for layer in quantizers:
        name = layer.outputs[0]
        at = stored.get(name)
        if at is not None and at.name in kept:
            values = kept[at.name]
            lower = 128 if network.kinds[name] == "uint8" and values.dtype == np.int8 else 0
            raised = (at.to_file(values).astype(np.int64) + lower).astype(network.kinds[name])
            ours[name] = raised.reshape(free[name].shape)
    given = {f"{n}<": ours.get(n, free[n]) for n in (i[:-1] for i in network_forced.inputs if i.endswith("<"))}
    try:
        theirs = answers(network_forced.model(), {**feeds, **given})
    except Exception as error:  # it ran as it was written
        raise Discarded("ONNX Runtime refuses the network in parts") from error
    held = {stored[n].name for n in ours}
    for layer in quantizers:
        name = layer.outputs[0]
        if name not in ours:
            continue
        real = theirs.get(layer.inputs[0], feeds.get(layer.inputs[0]))
        assert real is not None
        scale, zero = (network.constants[i].astype(np.float64) for i in layer.inputs[1:3])
        slack, share = chain(stored[name].name, graph, result, held)
        in_steps = real.astype(np.float64) / scale + zero
        compare_tensor(name, ours[name], theirs[name], in_steps, float(zero), slack + _TIE, share)


def chain(name: str, graph: Graph, result: Quantized, given: set[str]) -> tuple[float, float]:
    """What all layers between the tensors that are given explain together."""
    maker = next((n for n in graph.nodes if name in n.outputs), None)
    if maker is None:
        return 0.0, 1e-6
    steps, share = explained(maker, result)
    found = float(np.max(steps)) + requantized_constants(maker, graph, result)
    own = result.params.get(maker.outputs[0])
    for n in graph.activations(maker):
        if n in given or n not in result.params:
            continue
        more, part = chain(n, graph, result, given)
        ratio = result.params[n].scale[0] / own.scale[0] if own is not None else 1.0
        found, share = found + max(1.0, ratio) * more, share + part
    return found, share


def requantized_constants(node: Node, graph: Graph, result: Quantized) -> float:
    """Steps that constants cost whose integers the file does not prescribe, at the largest inputs.

    Weights and operands of a Q/DQ network that are float in the file, and a float bias.
    """
    y = result.params.get(node.outputs[0])
    off = {n: _off(n, graph, result) for n in node.inputs if n in result.constants}
    if y is None or not off:
        return 0.0
    x = result.params[graph.activations(node)[0]]
    largest = max(abs(limit - x.zero_point) for limit in x.limits) * x.scale[0]
    if isinstance(node, Linear):
        rows = off[node.weights].reshape(len(off[node.weights]), -1).sum(axis=1)
        return float((rows * largest + off[node.bias]).max() / y.scale[0])
    factor = largest if isinstance(node, Mul) else 1.0
    return max(float(v.max(initial=0)) for v in off.values()) * factor / y.scale[0]


def _off(name: str, graph: Graph, result: Quantized) -> Array:
    """How far the integers of a constant are from it."""
    stored = result.constants[name]
    assert stored.quant is not None and stored.data is not None
    return np.abs(stored.quant.dequantize(stored.data) - graph.constant(name).astype(np.float64))


def compare_tensor(name: str, ours: Array, theirs: Array, real: Array, zero: float, steps: float, share: float) -> None:
    """Equal, or as near to the real value as half a step and what the operator's arithmetic explains."""
    info = np.iinfo(ours.dtype)
    off = np.abs(ours.astype(np.float64) - np.clip(real, info.min, info.max))
    bad = (ours != theirs) & (off > 0.5 + steps + share * np.abs(real - zero))
    if bad.any():
        at = np.unravel_index(int(np.argmax(np.where(bad, off, -1))), off.shape)
        where = [int(i) for i in at]
        detail = f"{ours[at]}, ONNX Runtime {theirs[at]} for {real[at]:.4f} at {where}, {int(bad.sum())} of {bad.size}"
        raise Wrong("quantized file", name, detail)
