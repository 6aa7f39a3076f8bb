"""A graph as two files: graph.json, readable and diffable, and weights.bin with the constants one after another."""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.artifact import to_json
from pipeline.errors import ChipfitError
from pipeline.fixedpoint import Rescale
from pipeline.ir import Graph, Node, Port, QuantParams, Tensor
from pipeline.ops import NODES
from pipeline.ops.window import Window

_VALUES: Mapping[str, type] = {c.__name__: c for c in (Rescale, Window)}


def save(graph: Graph) -> dict[str, bytes]:
    """The two files of a graph, by name."""
    blob = bytearray()
    tensors = []
    for tensor in graph.tensors.values():
        entry: dict[str, Any] = {"name": tensor.name, "shape": tensor.shape, "dtype": tensor.dtype}
        if tensor.data is not None:
            entry["offset"] = len(blob)
            blob += tensor.data.astype(np.dtype(tensor.dtype).newbyteorder("<")).tobytes()
        if tensor.quant is not None:
            entry["quant"] = dataclasses.asdict(tensor.quant)
        tensors.append(entry)
    document = {
        "name": graph.name,
        "opset": graph.opset,
        "inputs": [dataclasses.asdict(p) for p in graph.inputs],
        "outputs": [dataclasses.asdict(p) for p in graph.outputs],
        "nodes": [{"op": type(n).__name__} | _fields(n) for n in graph.nodes],
        "tensors": tensors,
    }
    return {"graph.json": to_json(document), "weights.bin": bytes(blob)}


def load(files: Mapping[str, bytes]) -> Graph:
    """The graph of two files. Raises ChipfitError when they are not what `save` wrote."""
    try:
        document = json.loads(files["graph.json"])
        tensors = {t["name"]: _tensor(t, files["weights.bin"]) for t in document["tensors"]}
        nodes = tuple(_node(n) for n in document["nodes"])
        ports = [tuple(_made(Port, p) for p in document[k]) for k in ("inputs", "outputs")]
        return Graph(document["name"], tensors, nodes, ports[0], ports[1], document["opset"])
    except (KeyError, ValueError, TypeError) as error:
        raise ChipfitError("graph.json is damaged", hint="Delete the build folder.") from error


def _fields(value: Any) -> dict[str, Any]:
    return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {"value": type(value).__name__} | _fields(value)
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return dict(value) if isinstance(value, Mapping) else value


def _node(entry: dict[str, Any]) -> Node:
    made = _made(NODES[entry.pop("op")], entry)
    assert isinstance(made, Node)
    return made


def _made(kind: type, entry: Mapping[str, Any]) -> Any:
    return kind(**{k: _value(v) for k, v in entry.items()})


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_value(v) for v in value)
    if isinstance(value, dict) and "value" in value:
        return _made(_VALUES[value["value"]], {k: v for k, v in value.items() if k != "value"})
    return {"inf": math.inf, "-inf": -math.inf}.get(value, value) if isinstance(value, str) else value


def _tensor(entry: Mapping[str, Any], blob: bytes) -> Tensor:
    shape = tuple(entry["shape"])
    quant = _made(QuantParams, entry["quant"]) if "quant" in entry else None
    if "offset" not in entry:
        return Tensor(entry["name"], shape, entry["dtype"], None, quant)
    dtype = np.dtype(entry["dtype"]).newbyteorder("<")
    data = np.frombuffer(blob, dtype, math.prod(shape), entry["offset"]).reshape(shape)
    return Tensor.constant(entry["name"], data.astype(entry["dtype"]), quant)
