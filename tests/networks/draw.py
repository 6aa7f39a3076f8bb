"""A float network from a seed."""

import numpy as np

from networks import moves, pointwise, spatial
from networks.drawing import Drawing, Skip
from networks.network import Network
from pipeline.ir import Array

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
    functions, weights = list(LAYERS), np.array(list(LAYERS.values()))
    count = d.one([1, 2, 3, 4, 6, 8, 12, 16, 20])
    tries = 0
    while len(d.layers) < count and tries < 20 * count:
        tries += 1
        layers, shapes, constants = len(d.layers), len(d.shapes), len(d.constants)
        try:
            d.rng.choice(functions, p=weights / weights.sum())(d)
        except Skip:
            if len(d.layers) > layers:  # a guard was drawn for a layer that was not
                del d.layers[layers:]
                for names, size in ((d.shapes, shapes),):
                    for name in list(names)[size:]:
                        del names[name]
            for name in list(d.constants)[constants:]:
                del d.constants[name]
    return d.network()


def samples(network: Network, rng: np.random.Generator, count: int = SAMPLES) -> tuple[Array, ...]:
    """For each input (count, *shape): normal values about a centre of their own, in units of their own."""
    made = []
    for name in network.inputs:
        unit = 10 ** rng.uniform(-1.5, 1) if rng.random() < 0.95 else 10 ** rng.uniform(-10, 4)
        centre = rng.choice([0.0, 0.0, 1.0, -2.0])
        values = unit * (rng.normal(centre, 1, (count, *network.shapes[name])))
        made.append((np.abs(values) if rng.random() < 0.2 else values).astype(np.float32))
    return tuple(made)
