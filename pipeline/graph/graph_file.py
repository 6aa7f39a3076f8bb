"""A graph as two files: graph.json, readable and diffable, and weights.bin with the constants one after another."""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

import numpy as np

from pipeline.facts.artifact import to_json
from pipeline.facts.errors import ChipfitError
from pipeline.facts.records import from_plain
from pipeline.graph.ir import Graph, Node
from pipeline.graph.tensor import Port, QuantParams, Tensor

Classes = Mapping[str, type]
"""Classes by their names in graph.json."""


def save(graph: Graph) -> dict[str, bytes]:
    """The two files of a graph, by name."""
    weights = bytearray()
    tensors = []
    for tensor in graph.tensors.values():
        entry: dict[str, Any] = {"name": tensor.name, "shape": tensor.shape, "dtype": tensor.dtype}
        if tensor.data is not None:
            entry["offset"] = len(weights)
            weights += tensor.data.astype(np.dtype(tensor.dtype).newbyteorder("<")).tobytes()
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
    return {"graph.json": to_json(document), "weights.bin": bytes(weights)}


def load(files: Mapping[str, bytes], nodes: Mapping[str, type[Node]]) -> Graph:
    """The graph of two files, of operators among `nodes`. Raises ChipfitError when they are not what `save` wrote."""
    classes = {**nodes, **_value_classes(nodes)}
    try:
        document = json.loads(files["graph.json"])
        tensors = {t["name"]: _tensor(t, files["weights.bin"]) for t in document["tensors"]}
        graph_nodes = tuple(_from_fields(classes[n.pop("op")], n, classes) for n in document["nodes"])
        ports = [tuple(from_plain(Port, p) for p in document[k]) for k in ("inputs", "outputs")]
        return Graph(document["name"], tensors, graph_nodes, ports[0], ports[1], document["opset"])
    except (KeyError, ValueError, TypeError) as error:
        raise ChipfitError("graph.json is damaged", hint="Delete the build folder.") from error


def _fields(value: Any) -> dict[str, Any]:
    return {f.name: _to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}


def _to_json(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {"value": type(value).__name__} | _fields(value)
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if isinstance(value, tuple):
        return [_to_json(v) for v in value]
    return dict(value) if isinstance(value, Mapping) else value


def _value_classes(nodes: Mapping[str, type[Node]]) -> Classes:
    """The frozen values that are fields of nodes, by name."""
    hints = [h for n in nodes.values() for h in get_type_hints(n).values()]
    classes = [c for h in hints for c in (h, *get_args(h)) if isinstance(c, type)]
    return {c.__name__: c for c in classes if dataclasses.is_dataclass(c)}


def _from_fields(cls: type, entry: Mapping[str, Any], classes: Classes) -> Any:
    return cls(**{k: _from_json(v, classes) for k, v in entry.items()})


def _from_json(value: Any, classes: Classes) -> Any:
    if isinstance(value, list):
        return tuple(_from_json(v, classes) for v in value)
    if isinstance(value, dict) and "value" in value:
        return _from_fields(classes[value["value"]], {k: v for k, v in value.items() if k != "value"}, classes)
    return {"inf": math.inf, "-inf": -math.inf}.get(value, value) if isinstance(value, str) else value


def _tensor(entry: Mapping[str, Any], weights: bytes) -> Tensor:
    shape = tuple(entry["shape"])
    quant = from_plain(QuantParams, entry["quant"]) if "quant" in entry else None
    if "offset" not in entry:
        return Tensor(entry["name"], shape, entry["dtype"], None, quant)
    dtype = np.dtype(entry["dtype"]).newbyteorder("<")
    data = np.frombuffer(weights, dtype, math.prod(shape), entry["offset"]).reshape(shape)
    return Tensor.constant(entry["name"], data.astype(entry["dtype"]), quant)
