"""The one table of operators: a module here is an operator; add a line and every test, table and refusal knows it."""

from collections.abc import Callable, Iterator, Mapping
from types import ModuleType

from pipeline.graph.ir import Node
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.model_files.tflite_node import TfliteNode
from pipeline.ops import (
    activation,
    add,
    affine,
    argmax,
    average_pool,
    clamp,
    concat,
    conv,
    conv_transpose,
    dense,
    expression,
    extremum,
    gather,
    lookup,
    max_pool,
    mean,
    mul,
    pad,
    prelu,
    reduce,
    reference,
    requantize,
    reshape,
    resize,
    select,
    slice,
    softmax,
    transpose,
)
from pipeline.ops.shared.samples import Sample

OPERATORS: tuple[ModuleType, ...] = (
    conv,
    conv_transpose,
    dense,
    max_pool,
    average_pool,
    mean,
    reduce,
    affine,
    add,
    mul,
    extremum,
    clamp,
    activation,
    prelu,
    expression,
    softmax,
    argmax,
    concat,
    slice,
    gather,
    resize,
    select,
    pad,
    transpose,
    reshape,
    lookup,
    requantize,
    reference,
)

IMPORTS: Mapping[str, Callable[[OnnxNode], None]] = {k: f for m in OPERATORS for k, f in m.ONNX.items()}
TFLITE: Mapping[str, Callable[[TfliteNode], None]] = {
    k: f for m in OPERATORS for k, f in getattr(m, "TFLITE", {}).items()
}
NODES: Mapping[str, type[Node]] = {c.__name__: c for m in OPERATORS for c in m.NODES}


def samples() -> Iterator[Sample]:
    """Every operator's samples, in the table's order."""
    for module in OPERATORS:
        yield from module.samples()
