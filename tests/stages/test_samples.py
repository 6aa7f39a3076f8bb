"""Data of a product: what a missing scale is blamed on, and noise where a quantized network needs no data."""

import numpy as np

from pipeline.graph.ir import Graph
from pipeline.graph.tensor import Port, QuantParams, Tensor
from pipeline.ops.clamp import Clamp
from stages.samples import _missing_scale, _noise

QUANT = QuantParams((0.5,), 3)
PORTS = (Port("x", "in", (1, 4, 5, 6), (0, 2, 3, 1)),), (Port("y", "out", (1, 3), (0, 1)),)


def graph(quant: QuantParams | None) -> Graph:
    tensors = {"x": Tensor("x", (1, 5, 6, 4), quant=quant), "y": Tensor("y", (1, 3))}
    return Graph("net", tensors, (Clamp(name="c", inputs=("x",), outputs=("y",), low=0.0, high=1.0),), *PORTS)


def test_a_tensor_without_a_scale_is_named_with_its_layer() -> None:
    assert _missing_scale(graph(QUANT), ["x", "y"]).endswith("no scale for 'y', of layer 'c' (Clamp)")
    assert _missing_scale(graph(QUANT), ["x"]).endswith("no scale for 'x', an input")
    assert _missing_scale(graph(None), ["x", "y"]) == "", "a float file has none at all"


def test_noise_is_in_the_files_layout_over_the_whole_range() -> None:
    noise = _noise(np.random.default_rng(0), graph(QUANT), PORTS[0][0])
    assert noise.shape == (64, 1, 4, 5, 6) and noise.dtype == np.float32
    assert (noise.min(), noise.max()) == QUANT.real_range
