"""Sparse tensors of an ONNX file as the dense ones that they stand for."""

from math import prod

import numpy as np
import onnx
from onnx import numpy_helper

from pipeline.facts.errors import ChipfitError, Place

_MAX_ELEMENTS = 1 << 26
"""Elements of all sparse tensors together once they are dense: far more than any chip holds."""


def densify(model: onnx.ModelProto, shown: str) -> onnx.ModelProto:
    """The model with dense initializers and constants; the very same object when it has no sparse ones.

    Source: ONNX SparseTensorProto (indices of one number or of one for each axis). Raises ChipfitError for indices
    outside the shape, or a shape that is far too large.
    """
    if not model.graph.sparse_initializer and not any(_sparse_value(n) for n in model.graph.node):
        return model
    dense = onnx.ModelProto()
    dense.CopyFrom(model)
    del dense.graph.sparse_initializer[:], dense.graph.node[:]
    elements = 0
    sources = [(s.values.name, s) for s in model.graph.sparse_initializer]
    for node in model.graph.node:
        sparse = _sparse_value(node)
        if sparse is None:
            dense.graph.node.add().CopyFrom(node)
        else:
            sources.append((node.output[0], sparse))
    for name, tensor in sources:
        elements += prod(max(d, 0) for d in tensor.dims)
        if elements > _MAX_ELEMENTS:
            raise ChipfitError(
                f"sparse tensor {name!r} has an impossible shape {list(tensor.dims)}", place=Place(shown)
            )
        try:
            dense.graph.initializer.append(_dense(name, tensor))
        except (ValueError, IndexError, TypeError, KeyError) as error:
            raise ChipfitError(
                f"sparse tensor {name!r} does not hold its shape {list(tensor.dims)}", place=Place(shown)
            ) from error
    return dense


def _sparse_value(node: onnx.NodeProto) -> onnx.SparseTensorProto | None:
    if node.op_type != "Constant" or not node.output:
        return None
    return next((a.sparse_tensor for a in node.attribute if a.name == "sparse_value"), None)


def _dense(name: str, tensor: onnx.SparseTensorProto) -> onnx.TensorProto:
    values, indices = numpy_helper.to_array(tensor.values), numpy_helper.to_array(tensor.indices)
    shape = tuple(tensor.dims)
    flat = indices if indices.ndim == 1 else np.ravel_multi_index(tuple(indices.T), shape)
    if len(flat) != len(values) or (len(flat) and flat.min() < 0):
        raise ValueError("indices and values do not fit")
    dense = np.zeros(prod(shape), values.dtype)
    dense[flat] = values
    return numpy_helper.from_array(dense.reshape(shape), name)
