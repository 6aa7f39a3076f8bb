"""LiteRT's reference kernels, where the package ai-edge-litert is installed (pip install chipfit[litert])."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from pipeline.graph.ir import Graph
from pipeline.graph.tensor import Array

MISSING = "not compared with LiteRT (pip install chipfit[litert])"


def available() -> bool:
    """Whether LiteRT can be asked."""
    return find_spec("ai_edge_litert") is not None


def run(model: bytes, inputs: Sequence[Array], real: Sequence[Array]) -> list[Array]:
    """What the reference kernels make of `inputs`, one array (n, *shape) for each; one array for each output.

    `real`: the same as floats, for a file whose inputs are.

    Raises ValueError or RuntimeError for a model that LiteRT refuses.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType  # type: ignore[import-not-found, import-untyped, unused-ignore]

    # LiteRT writes a sum over an operand that it still repeats, unless every tensor is kept.
    made: Any = Interpreter(
        model_content=model,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    made.allocate_tensors()
    given, wanted = made.get_input_details(), made.get_output_details()
    rows: list[list[Array]] = []
    for i in range(len(inputs[0])):
        for detail, array, floats in zip(given, inputs, real, strict=True):
            source = floats if np.dtype(detail["dtype"]).kind == "f" else array
            made.set_tensor(detail["index"], source[i].reshape(detail["shape"]).astype(detail["dtype"]))
        made.invoke()
        rows.append([made.get_tensor(d["index"]).copy() for d in wanted])
    return [np.stack(column) for column in zip(*rows, strict=True)]


def compare(
    model: bytes, graph: Graph, integers: Sequence[Array], outputs: Sequence[Array]
) -> tuple[dict[str, Any], Array | None]:
    """The document of `fidelity`, and LiteRT's first output as integers, stored as ours; None if not asked.

    `integers` and `outputs` are those of `graph`, which was made of `model`; every output must be equal.
    """
    told: dict[str, Any] = {"against": "LiteRT", "why": "", "samples": len(integers[0]), "tensors": len(outputs)}
    told |= {"values": 0, "differing": 0, "unexplained": 0, "largest_difference": 0, "left_out": [], "first": None}
    if not available():
        return told | {"against": None, "why": MISSING}, None
    try:
        theirs = run(model, *_given(graph, integers))
    except (ValueError, RuntimeError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        return told | {
            "against": None,
            "why": f"not compared: LiteRT's reference kernels refuse the model: {first}",
        }, None
    kept = []
    for port, ours, other in zip(graph.outputs, outputs, theirs, strict=True):
        quant = graph.tensors[port.tensor].quant
        other = other.reshape(len(ours), *port.onnx_shape)
        if other.dtype.kind == "f" and quant is not None:
            other = quant.quantize(other)
        stored = port.to_stored(other)
        off = np.abs(stored.astype(np.int64) - ours)
        wrong, steps = int((off > 0).sum()), int(off.max(initial=0))
        told["values"], told["differing"] = told["values"] + off.size, told["differing"] + wrong
        told["largest_difference"] = max(told["largest_difference"], steps)
        if wrong and told["first"] is None:
            bad = int(np.argmax(off.reshape(len(off), -1).any(axis=1)))
            told["first"] = {
                "tensor": port.onnx_name, "layer": "the output", "values": off.size, "differing": wrong,
                "unexplained": wrong, "steps": steps, "allowed": 0.0, "first": bad,
            }  # fmt: skip
        kept.append(stored)
    return told | {"unexplained": told["differing"]}, kept[0]


def _given(graph: Graph, integers: Sequence[Array]) -> tuple[list[Array], list[Array]]:
    """The inputs as the file names them, as integers and as real values."""
    raw, real = [], []
    for port, array in zip(graph.inputs, integers, strict=True):
        quant = graph.tensors[port.tensor].quant
        raw.append(port.to_onnx(array))
        real.append(port.to_onnx(array if quant is None else quant.dequantize(array)).astype(np.float32))
    return raw, real
