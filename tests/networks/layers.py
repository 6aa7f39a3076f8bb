"""Does each integer layer mean what its float layer means? All at once, each fed our own integers' real values."""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper

from networks.outcome import Wrong
from networks.runtime import answers
from pipeline.graph.ir import Graph, Node
from pipeline.graph.onnx_export import IR_VERSION, OPSET, Emitter
from pipeline.graph.tensor import Array
from pipeline.ops.activation import Activation
from pipeline.ops.average_pool import AveragePool
from pipeline.ops.conv import Conv
from pipeline.ops.dense import Dense
from pipeline.ops.expression import Expression
from pipeline.ops.mean import Mean
from pipeline.ops.mul import Mul
from pipeline.ops.prelu import PRelu
from pipeline.ops.softmax import Softmax
from pipeline.quantizing.integer_graph import Quantized


def islands(graph: Graph, result: Quantized) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Every node of the float graph by itself, with the constants that it has as integers; `x<` is what it is fed."""
    emitter = Emitter(graph, result.constants)
    fed = {n: f"{n}<" for n, t in graph.tensors.items() if t.data is None}
    outputs = []
    for node in graph.nodes:
        if any(graph.tensors[n].dtype == "int32" for n in node.inputs):  # a view of ArgMax's index
            continue
        emitter.names |= fed
        node.to_onnx(graph, emitter)
        outputs += [(n, emitter.names[n]) for n in node.outputs]
    used = {i for n in emitter.nodes for i in n.input}
    inputs = [
        helper.make_tensor_value_info(f, TensorProto.FLOAT, graph.tensors[n].shape) for n, f in fed.items() if f in used
    ]
    results = [
        helper.make_tensor_value_info(
            m, TensorProto.INT64 if graph.tensors[n].dtype == "int32" else TensorProto.FLOAT, graph.tensors[n].shape
        )
        for n, m in outputs
    ]
    proto = helper.make_graph(emitter.nodes, "islands", inputs, results, list(emitter.initializers.values()))
    return helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION), dict(
        outputs
    )


def check_layers(graph: Graph, result: Quantized, kept: Mapping[str, Array]) -> None:
    """Raise Wrong unless every node's integers are its float meaning on the same inputs, rounded once.

    Constants must be the nearest integers; beyond half a step only what `explained` says of the operator is allowed.
    """
    check_constants(graph, result)
    model, emitted = islands(graph, result)
    if not model.graph.node:
        return
    feeds = {}
    for value in model.graph.input:
        name = value.name.removesuffix("<")
        feeds[value.name] = result.params[name].dequantize(kept[name]).astype(np.float32)
    expected = answers(model, feeds)
    for node in graph.nodes:
        for name in node.outputs:
            if name in emitted:
                check_tensor(node, name, graph, result, kept[name], expected[emitted[name]])


def check_tensor(node: Node, name: str, graph: Graph, result: Quantized, got: Array, wanted: Array) -> None:
    kind = type(node).__name__
    if name not in result.params:
        if (got != wanted).any():
            raise Wrong(f"layer {kind}", name, f"{int((got != wanted).sum())} of {got.size} indices differ")
        return
    quant = result.params[name]
    real = wanted.astype(np.float64) / quant.scale[0] + quant.zero_point
    off = np.abs(got - np.clip(real, *quant.limits))
    # What float32 leaves of a value this large, in steps.
    steps, share = explained(node, result)
    steps = steps + changed(result).get(node.name, 0.0)
    allowed = 0.5 + steps + share * np.abs(real - quant.zero_point)
    bad = off > allowed
    if bad.any():
        at = np.unravel_index(int(np.argmax(np.where(bad, off - allowed, -1))), off.shape)
        where = [int(i) for i in at]
        detail = f"{got[at]} for {real[at]:.4f} at {where}, {int(bad.sum())} of {bad.size}"
        raise Wrong(f"layer {kind} {quant.dtype}", name, detail)


def changed(result: Quantized) -> dict[str, float]:
    """Steps by which layers, by name, differ because 32 bits cannot say them: bounded, and in the report."""
    return {p.node: float(p.changed.largest_error) for p in result.proofs if p.changed is not None}


def explained(node: Node, result: Quantized) -> tuple[Array | float, float]:
    """What the integer arithmetic of an operator costs beyond half a step: steps of the output, and a share of it."""
    y, x = result.params[node.outputs[0]], result.params.get(node.inputs[0])
    node_of = next((n for n in result.graph.nodes if n.outputs[0] == node.outputs[0]), None)
    ratio = x.scale[0] / y.scale[0] if x is not None else 0.0
    exact = 1e-6  # float32
    if isinstance(node_of, Conv | Dense) and node_of.rescale is not None:
        # Rounded twice, first to 2**-shift of a step; a multiplier of 15 bits for 48-bit sums.
        shift = result.graph.constant(node_of.rescale.shift).astype(np.float64)
        if node_of.rescale.kind == "multiplier":
            return 0.01 + 0.5 * 2.0 ** np.minimum(shift, 0), exact
        return 0.01, exact if node_of.rescale.kind != "wide" else 2.0**-15
    if isinstance(node_of, Mean) and node_of.scale:
        return 0.02, 0.5 / node_of.scale + exact
    if isinstance(node, Mul):
        return 0.05, exact
    if isinstance(node_of, PRelu):
        return 0.02 + 0.5 * 2.0**-node_of.shift * 2.0 ** (16 if y.dtype == "int16" else 8), exact  # slopes are rounded
    if isinstance(node, Softmax):
        own = 1 / 256 if y.dtype == "int8" else 1 / 32768
        # Exponentials are rounded to 2**-15, and their sum is one at the least; int16 has lines between 513 of them.
        count = result.graph.tensors[node.inputs[0]].shape[node.axis] + 1
        table = count * 0.5 / 32768 / own + (4.0 if y.dtype == "int16" else 0.0)
        twice = 0.5 if y.dtype == "int16" and y.scale[0] != own else 0.0
        return 0.02 + (table + twice) * own / y.scale[0], exact
    if isinstance(node, Activation | Expression):
        # exp(x) - 1 and the like lose what float32 has behind 1; int16 has straight lines between 513 values.
        return 0.02 + 2.4e-7 / y.scale[0] + (64.0 if y.dtype == "int16" else 0.0), exact
    if y.dtype == "int16" and isinstance(node, AveragePool | Mean):
        return 0.2 + 0.5 * ratio, exact  # the exact average is rounded at the input's scale first
    return 0.02, exact


def check_constants(graph: Graph, result: Quantized) -> None:
    """Every quantized constant is within half a step of the one that it stands for."""
    for name, tensor in result.constants.items():
        if tensor.quant is None or tensor.data is None or name not in graph.tensors:
            continue
        spread = tensor.quant.spread(tensor.data.ndim)
        off = np.abs(tensor.quant.dequantize(tensor.data) - graph.constant(name).astype(np.float64))
        bad = off > spread * 0.5001 + 1e-6 * np.abs(graph.constant(name))
        if bad.any():
            at = tuple(int(i) for i in np.argwhere(bad)[0])
            detail = (
                f"{tensor.data[at]} for {graph.constant(name)[at]:.6g} at {list(at)}, {int(bad.sum())} of {bad.size}"
            )
            raise Wrong(
                f"constant {tensor.dtype}", name, f"{detail}, scale {np.broadcast_to(spread, bad.shape)[at]:.3g}"
            )
