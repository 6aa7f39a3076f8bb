"""A graph as files: what was saved is loaded, and anything else is one sentence."""

import json
from math import inf

import numpy as np
import pytest

from pipeline.facts.errors import ChipfitError
from pipeline.graph.graph_file import load, save
from pipeline.graph.ir import Graph
from pipeline.graph.tensor import Port, QuantParams, Tensor
from pipeline.ops import NODES
from pipeline.ops.clamp import Clamp


def graph() -> Graph:
    weights = Tensor.constant("w", np.array([[1, -2], [300, -32768]], np.int16), QuantParams((0.5, 0.25), axis=0))
    tensors = {"x": Tensor("x", (1, 3)), "w": weights, "y": Tensor("y", (1, 3), quant=QuantParams((0.1,), -3))}
    node = Clamp(name="c", inputs=("x",), outputs=("y",), low=-inf, high=6.0)
    ports = (Port("x", "in", (1, 3), (0, 1)),), (Port("y", "out", (1, 3), (0, 1), unsigned=True),)
    return Graph("net", tensors, (node,), *ports, 17)


def test_what_was_saved_is_loaded() -> None:
    saved = graph()
    loaded = load(save(saved), NODES)
    assert (loaded.name, loaded.opset, loaded.inputs, loaded.outputs) == ("net", 17, saved.inputs, saved.outputs)
    assert loaded.nodes == saved.nodes
    for name, tensor in saved.tensors.items():
        other = loaded.tensors[name]
        assert (other.shape, other.dtype, other.quant) == (tensor.shape, tensor.dtype, tensor.quant), name
    assert (loaded.constant("w") == saved.constant("w")).all() and loaded.constant("w").dtype == np.int16
    assert save(loaded) == save(saved)


def test_constants_lie_one_after_another_least_byte_first() -> None:
    files = save(graph())
    assert files["weights.bin"] == b"\x01\x00\xfe\xff\x2c\x01\x00\x80"
    tensors = {t["name"]: t for t in json.loads(files["graph.json"])["tensors"]}
    assert tensors["w"]["offset"] == 0 and "offset" not in tensors["x"] and "quant" not in tensors["x"]
    assert '"-inf"' in files["graph.json"].decode(), "JSON has no infinity"


@pytest.mark.parametrize("part", ["nodes", "tensors", "inputs", "name"])
def test_a_file_that_lacks_something_is_damaged(part: str) -> None:
    files = save(graph())
    document = json.loads(files["graph.json"])
    del document[part]
    with pytest.raises(ChipfitError, match=r"graph\.json is damaged"):
        load({**files, "graph.json": json.dumps(document).encode()}, NODES)


def test_weights_that_are_cut_and_operators_that_nobody_knows_are_damage() -> None:
    files = save(graph())
    with pytest.raises(ChipfitError, match="damaged"):
        load({**files, "weights.bin": files["weights.bin"][:-1]}, NODES)
    with pytest.raises(ChipfitError, match="damaged"):
        load(files, {n: c for n, c in NODES.items() if n != "Clamp"})
