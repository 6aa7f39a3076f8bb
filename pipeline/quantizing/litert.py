"""LiteRT's reference kernels, where the package ai-edge-litert is installed (pip install chipfit[litert])."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from pipeline.graph.ir import Graph
from pipeline.graph.tensor import Array
from pipeline.quantizing.quantize_file import Compared, Difference

MISSING = "not compared with LiteRT (pip install chipfit[litert])"


def available() -> bool:
    """Whether LiteRT is installed."""
    return find_spec("ai_edge_litert") is not None


def run(model: bytes, inputs: Sequence[Array], real: Sequence[Array]) -> list[Array]:
    """The outputs of the reference kernels, one array (n, *shape) each, for `inputs`, one array (n, *shape) each.

    `real`: the same inputs as floats, for a file whose inputs are floats.

    Raises ValueError or RuntimeError for a model that LiteRT refuses.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType  # type: ignore[import-not-found, import-untyped, unused-ignore]

    # LiteRT writes a sum over an operand that it still repeats, unless every tensor is kept.
    interpreter: Any = Interpreter(
        model_content=model,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    input_details, output_details = interpreter.get_input_details(), interpreter.get_output_details()
    rows: list[list[Array]] = []
    for i in range(len(inputs[0])):
        for detail, array, floats in zip(input_details, inputs, real, strict=True):
            source = floats if np.dtype(detail["dtype"]).kind == "f" else array
            interpreter.set_tensor(detail["index"], source[i].reshape(detail["shape"]).astype(detail["dtype"]))
        interpreter.invoke()
        rows.append([interpreter.get_tensor(d["index"]).copy() for d in output_details])
    return [np.stack(column) for column in zip(*rows, strict=True)]


def compare(
    model: bytes, graph: Graph, integers: Sequence[Array], outputs: Sequence[Array]
) -> tuple[Compared, Array | None]:
    """The comparison, and LiteRT's first output as integers, stored as ours; None if not asked.

    `integers` and `outputs` are those of `graph`, which `model` became; every output must be equal.
    """
    samples, tensors = len(integers[0]), len(outputs)
    if not available():
        return Compared(None, MISSING, samples, tensors, 0, 0, 0, 0, (), None), None
    try:
        theirs = run(model, *_file_inputs(graph, integers))
    except (ValueError, RuntimeError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        why = f"not compared: LiteRT's reference kernels refuse the model: {first}"
        return Compared(None, why, samples, tensors, 0, 0, 0, 0, (), None), None
    stored_outputs, differences = [], []
    for port, ours, other in zip(graph.outputs, outputs, theirs, strict=True):
        quant = graph.tensors[port.tensor].quant
        other = other.reshape(len(ours), *port.onnx_shape)
        if other.dtype.kind == "f" and quant is not None:
            other = quant.quantize(other)
        stored = port.to_stored(other)
        differences.append(_difference(port.onnx_name, np.abs(stored.astype(np.int64) - ours)))
        stored_outputs.append(stored)
    differing = sum(d.differing for d in differences)
    return Compared(
        against="LiteRT",
        why="",
        samples=samples,
        tensors=tensors,
        values=sum(d.values for d in differences),
        differing=differing,
        unexplained=differing,
        largest_difference=max((d.steps for d in differences), default=0),
        left_out=(),
        first=next((d for d in differences if d.differing), None),
    ), stored_outputs[0]


def _difference(name: str, off: Array) -> Difference:
    """The difference of an output whose values (n, ...) are `off` by so many steps: nothing explains any."""
    wrong = int((off > 0).sum())
    return Difference(
        tensor=name,
        layer="the output",
        values=off.size,
        differing=wrong,
        unexplained=wrong,
        steps=int(off.max(initial=0)),
        allowed=0.0,
        first=int(np.argmax(off.reshape(len(off), -1).any(axis=1))) if wrong else None,
    )


def _file_inputs(graph: Graph, integers: Sequence[Array]) -> tuple[list[Array], list[Array]]:
    """The inputs as the file names them, as integers and as real values."""
    raw, real = [], []
    for port, array in zip(graph.inputs, integers, strict=True):
        quant = graph.tensors[port.tensor].quant
        raw.append(port.to_onnx(array))
        real.append(port.to_onnx(array if quant is None else quant.dequantize(array)).astype(np.float32))
    return raw, real
