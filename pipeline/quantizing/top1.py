"""The answers of a classifier, and the share of them that is right."""

import numpy as np

from pipeline.graph.ir import Graph
from pipeline.graph.tensor import Array


def top1(graph: Graph, outputs: Array, labels: Array | None) -> float | None:
    """The share of right answers in the first output's integers, (n, ...) as stored; None without labels."""
    port = graph.outputs[0]
    stored = outputs.reshape(len(outputs), *graph.tensors[port.tensor].shape)
    return None if labels is None else round(float(np.mean(classes_of(port.to_onnx(stored)) == labels)), 6)


def classes_of(values: Array) -> Array:
    """(n,) class of each sample: the largest entry, or the value itself when the network ends in ArgMax."""
    flat = values.reshape(len(values), -1)
    return flat.argmax(axis=1) if flat.shape[1] > 1 else np.rint(flat[:, 0]).astype(np.int64)
