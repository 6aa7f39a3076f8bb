"""From a network that fails to a small one that fails in the same way."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from networks.network import Network
from pipeline.graph.tensor import Array

Feeds = Mapping[str, Array]
TRIES = 400


def shrink(
    network: Network, feeds: Feeds, values: Callable[[Network, Feeds], Feeds], fails: Callable[[Network, Feeds], bool]
) -> tuple[Network, Feeds]:
    """`values` gives every activation of a network; `fails` says whether a candidate still fails. Greedy, bounded."""
    tries = 0
    again = True
    while again:
        again = False
        for candidate, fed in candidates(network, feeds, values(network, feeds)):
            tries += 1
            if tries > TRIES:
                return network, feeds
            if fails(candidate, fed):
                network, feeds, again = candidate, fed, True
                break
    return network, feeds


def candidates(network: Network, feeds: Feeds, values: Feeds) -> Iterator[tuple[Network, Feeds]]:
    """Smaller networks: one output, a tensor as an input, a layer left out, a constant of few values, fewer samples."""
    if len(network.outputs) > 1:
        for name in network.outputs:
            yield pruned(replace(network, outputs=(name,)), feeds)
        for name in network.outputs:
            yield pruned(replace(network, outputs=tuple(o for o in network.outputs if o != name)), feeds)
    produced = [o for n in network.layers for o in n.outputs]
    if len(network.outputs) == 1:
        for name in produced:
            if name not in network.outputs:
                yield pruned(replace(network, outputs=(name,)), feeds)
    for name in reversed(produced):
        single = network.kinds.get(name) not in ("int32", "int64", "bool")
        if name in values and name not in network.outputs and name not in network.inputs and single:
            layers = tuple(n for n in network.layers if name not in n.outputs)
            if any(len(n.outputs) > 1 and name in n.outputs for n in network.layers):
                continue
            cut = replace(network, inputs=(*network.inputs, name), layers=layers)
            yield pruned(cut, {**feeds, name: values[name]})
    for layer in network.layers:
        for x in layer.inputs:
            same = x in network.shapes and network.shapes[x] == network.shapes[layer.outputs[0]]
            if same and len(layer.outputs) == 1 and network.kinds.get(x) == network.kinds.get(layer.outputs[0]):
                yield pruned(without(network, layer.outputs[0], x), feeds)
    samples = len(next(iter(feeds.values())))
    if samples > 1:
        for i in range(samples):
            yield network, {k: v[i : i + 1] for k, v in feeds.items()}


def without(network: Network, gone: str, instead: str) -> Network:
    """The network without the layer that makes `gone`; its readers read `instead`."""
    layers = tuple(
        replace(n, inputs=tuple(instead if i == gone else i for i in n.inputs))
        for n in network.layers
        if gone not in n.outputs
    )
    outputs = tuple(dict.fromkeys(instead if o == gone else o for o in network.outputs))
    return replace(network, layers=layers, outputs=outputs)


def pruned(network: Network, feeds: Feeds) -> tuple[Network, Feeds]:
    smaller = network.pruned()
    return smaller, {n: feeds[n] for n in smaller.inputs}
