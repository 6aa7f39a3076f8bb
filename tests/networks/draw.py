"""A network from a random generator, float or TensorFlow Lite."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from networks import lite_layers, lite_moves, moves, pointwise, spatial
from networks.drawing import Drawing, Skip
from networks.lite import LiteDrawing
from networks.network import Network
from pipeline.graph.tensor import Array

LAYERS = {**spatial.LAYERS, **pointwise.LAYERS, **moves.LAYERS}
OPSETS = (7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 24)
SAMPLES = 6


def draw(rng: np.random.Generator, opsets: tuple[int, ...] = OPSETS) -> Network:
    """One to twenty layers on one to three inputs."""
    d = Drawing(rng, int(rng.choice(opsets)))
    for _ in range(d.one([1, 1, 1, 1, 2, 3])):
        kind = d.rng.random()
        if kind < 0.5:
            shape: tuple[int, ...] = (1, d.upto(1, 9), d.upto(1, 11), d.upto(1, 11))
        elif kind < 0.7:
            shape = (1, d.upto(1, 9), d.upto(1, 17))
        elif kind < 0.92:
            shape = (1, d.upto(1, 33))
        else:
            shape = d.one([(d.upto(2, 4), d.upto(1, 9)), (d.upto(1, 9),), (1, 3, d.upto(1, 4), 2, d.upto(1, 3)), ()])
        d.add_input(shape)
        if d.chance(0.2) and len(d.inputs) == 1:
            d.add_input(shape)
    fill(d, LAYERS)
    return d.network()


def draw_lite(rng: np.random.Generator) -> Network:
    """A TensorFlow Lite network of one to twenty operators."""
    d = LiteDrawing(rng, str(rng.choice(["int8", "int8", "uint8", "int16"])))
    for _ in range(d.one([1, 1, 1, 2])):
        kind = d.rng.random()
        if kind < 0.65:
            shape: tuple[int, ...] = (1, d.upto(1, 10), d.upto(1, 10), d.upto(1, 9))
        elif kind < 0.9:
            shape = (1, d.upto(1, 33))
        else:
            shape = d.one([(d.upto(2, 3), d.upto(1, 9)), (1, d.upto(1, 9), d.upto(1, 9)), (2, 5, 4, 3)])
        d.add_quantized(shape)
    # LiteRT's reference kernels lack ELU; those of its ordinary ones round convolutions in other ways.
    if d.dtype == "int8" and d.chance(0.05):
        fill(d, {lite_layers.elu: 5.0, **lite_moves.LAYERS})
    else:
        fill(d, {**lite_layers.LAYERS, **lite_moves.LAYERS})
    return d.network()


def fill(d: Drawing, layers: Mapping[Callable[[Any], str], float]) -> None:
    """One to twenty layers, of these with their weights."""
    functions, weights = list(layers), np.array(list(layers.values()))
    count = d.one([1, 2, 3, 4, 6, 8, 12, 16, 20])
    tries = 0
    while len(d.layers) < count and tries < 20 * count:
        tries += 1
        layer_count, shape_count, constant_count = len(d.layers), len(d.shapes), len(d.constants)
        try:
            d.rng.choice(functions, p=weights / weights.sum())(d)
        except Skip:
            if len(d.layers) > layer_count:  # a guard was drawn for a layer that was not
                del d.layers[layer_count:]
                for names, size in ((d.shapes, shape_count),):
                    for name in list(names)[size:]:
                        del names[name]
            for name in list(d.constants)[constant_count:]:
                del d.constants[name]


def samples(network: Network, rng: np.random.Generator, count: int = SAMPLES) -> tuple[Array, ...]:
    """For each input (count, *shape): normal values about a centre of their own, in units of their own."""
    feeds = []
    for name in network.inputs:
        unit = 10 ** rng.uniform(-1.5, 1) if rng.random() < 0.95 else 10 ** rng.uniform(-10, 4)
        centre = rng.choice([0.0, 0.0, 1.0, -2.0])
        values = unit * (rng.normal(centre, 1, (count, *network.shapes[name])))
        feeds.append((np.abs(values) if rng.random() < 0.2 else values).astype(np.float32))
    return tuple(feeds)
