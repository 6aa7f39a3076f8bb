"""Quantized operators (QLinearConv and its like) as float operators between DequantizeLinear and QuantizeLinear.

That is how ONNX defines them; what comes out is the one form that the importer reads.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pipeline.facts.errors import ChipfitError, Place
from pipeline.importing.onnx_constants import constants_of
from pipeline.importing.onnx_ml import without_ml
from pipeline.model_files.node import MALFORMED

MICROSOFT = "com.microsoft"
_DYNAMIC = ("DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "MatMulIntegerToFloat")


def without_qoperators(model: onnx.ModelProto, shown: str) -> onnx.ModelProto:
    """The model without quantized and classical operators; the very same object when it has none.

    Raises ChipfitError.
    """
    model = without_ml(model, shown)
    dynamic = [n for n in model.graph.node if n.op_type in _DYNAMIC]
    if dynamic:
        raise ChipfitError(
            f"{dynamic[0].op_type} (node {dynamic[0].name!r}) chooses scales at run time: dynamic quantization",
            place=Place(shown),
            hint="Quantize statically (onnxruntime.quantization.quantize_static), or give chipfit the float model.",
        )
    if not any((n.domain, n.op_type) in OPERATORS for n in model.graph.node):
        return model
    expander = _Expander(model, shown)
    rewritten = onnx.ModelProto()
    rewritten.CopyFrom(model)
    del rewritten.graph.node[:]
    for node in model.graph.node:
        rewrite = OPERATORS.get((node.domain, node.op_type))
        if rewrite is None:
            expander.nodes.append(node)
            continue
        try:
            rewrite(expander, node)
        except IndexError as error:
            raise expander.refuse(node, "it lacks inputs") from error
        except MALFORMED as error:
            raise expander.refuse(node, f"is malformed ({type(error).__name__}: {str(error)[:100]})") from error
    rewritten.graph.node.extend(expander.nodes)
    rewritten.graph.initializer.extend(expander.constants)
    return rewritten


class _Expander:
    def __init__(self, model: onnx.ModelProto, shown: str) -> None:
        self.shown = shown
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.known = constants_of(model.graph)
        self.makers = {o: n for n in model.graph.node for o in n.output}
        self.count = 0

    def refuse(self, node: onnx.NodeProto, why: str) -> ChipfitError:
        return ChipfitError(f"{node.op_type} node {node.name!r}: {why}", place=Place(self.shown))

    def value(self, node: onnx.NodeProto, name: str, what: str) -> Any:
        if name not in self.known:
            raise self.refuse(node, f"its {what} must be a constant")
        array = numpy_helper.to_array(self.known[name])
        with np.errstate(invalid="ignore"):  # a signalling NaN
            real = array.astype(np.float64)
        if not np.isfinite(real).all():
            raise self.refuse(node, f"its {what} holds NaN or infinity")
        return real

    def constant(self, value: Any) -> str:
        self.count += 1
        name = f"chipfit.constant.{self.count}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def emit(self, node: onnx.NodeProto, op: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        self.count += 1
        label = node.name or node.output[0]
        output = output or f"{label}.chipfit.{self.count}"
        self.nodes.append(helper.make_node(op, inputs, [output], name=f"{label}.{op}", **attributes))
        return output

    def dequantized(self, node: onnx.NodeProto, first: int, axis: int = 0) -> str:
        """The inputs (value, scale, zero point) from number `first` on, dequantized; the name of the real tensor."""
        return self.emit(node, "DequantizeLinear", _operands(node.input[first : first + 3], 2), axis=axis)

    def quantized(self, node: onnx.NodeProto, real: str, first: int) -> None:
        """Emit the node's output: `real` quantized with the inputs (scale, zero point) from number `first` on."""
        self.emit(node, "QuantizeLinear", [real, *_operands(node.input[first : first + 2], 1)], node.output[0])


def _operands(names: Sequence[str], required: int) -> list[str]:
    """The names that are there. Raises IndexError where one of the first `required` is not."""
    if len(names) < required or "" in names[:required]:
        raise IndexError(required)
    return [n for n in names if n]


def _attributes(node: onnx.NodeProto, *without: str) -> dict[str, Any]:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute if a.name not in without}


def _bias(
    expander: _Expander, node: onnx.NodeProto, index: int, scales: tuple[int, int], factor: float = 1.0
) -> list[str]:
    """An int32 bias at input `index`, whose scale is the product of those at `scales`."""
    if len(node.input) <= index or not node.input[index]:
        return []
    scale = (
        factor
        * expander.value(node, node.input[scales[0]], "scale")
        * expander.value(node, node.input[scales[1]], "scale")
    )
    bias = expander.value(node, node.input[index], "bias")
    with np.errstate(over="ignore"):
        real = (bias.reshape(-1) * scale.reshape(-1)).astype(np.float32)
    if not np.isfinite(real).all():
        raise expander.refuse(node, "its bias at the product of its scales leaves float32")
    return [expander.constant(real)]


def _conv(expander: _Expander, node: onnx.NodeProto) -> None:
    inputs = [expander.dequantized(node, 0), expander.dequantized(node, 3), *_bias(expander, node, 8, (1, 4))]
    expander.quantized(node, expander.emit(node, "Conv", inputs, **_attributes(node)), 6)


def _matmul(expander: _Expander, node: onnx.NodeProto) -> None:
    expander.quantized(
        node, expander.emit(node, "MatMul", [expander.dequantized(node, 0), expander.dequantized(node, 3, 1)]), 6
    )


def _gemm(expander: _Expander, node: onnx.NodeProto) -> None:
    attributes = _attributes(node)
    axis = 0 if attributes.get("transB", 0) else 1
    inputs = [
        expander.dequantized(node, 0),
        expander.dequantized(node, 3, axis),
        *_bias(expander, node, 6, (1, 4), attributes.get("alpha", 1.0)),
    ]
    y = expander.emit(node, "Gemm", inputs, **attributes)
    if len(node.input) > 7 and node.input[7]:
        expander.quantized(node, y, 7)
    else:
        expander.emit(node, "Identity", [y], node.output[0])


def _two_inputs(op: str) -> Callable[[_Expander, onnx.NodeProto], None]:
    return lambda expander, node: expander.quantized(
        node, expander.emit(node, op, [expander.dequantized(node, 0), expander.dequantized(node, 3)]), 6
    )


def _one_input(op: str, *without: str) -> Callable[[_Expander, onnx.NodeProto], None]:
    def rewrite(expander: _Expander, node: onnx.NodeProto) -> None:
        if _attributes(node).get("channels_last", 0):
            raise expander.refuse(node, "channels_last")
        expander.quantized(
            node,
            expander.emit(node, op, [expander.dequantized(node, 0)], **_attributes(node, "channels_last", *without)),
            3,
        )

    return rewrite


def _concat(expander: _Expander, node: onnx.NodeProto) -> None:
    parts = [expander.dequantized(node, first) for first in range(2, max(len(node.input), 3), 3)]
    expander.quantized(node, expander.emit(node, "Concat", parts, **_attributes(node)), 0)


def _integer(op: str) -> Callable[[_Expander, onnx.NodeProto], None]:
    """ConvInteger and MatMulInteger: sums of products of integers less their zero points.

    With real x = scale * integer, that is `op` on real x and weights of scale 1 / scale.
    """

    def rewrite(expander: _Expander, node: onnx.NodeProto) -> None:
        zero_points = [node.input[i] if len(node.input) > i else "" for i in (2, 3)]
        producer = expander.makers.get(node.input[0])
        scale = 1.0
        if producer is not None and producer.op_type == "QuantizeLinear":
            scale = float(expander.value(node, producer.input[1], "input's scale").reshape(-1)[0])
        x = [node.input[0], expander.constant(np.float32(scale)), *([zero_points[0]] if zero_points[0] else [])]
        weights = expander.known.get(node.input[1])
        if weights is None:
            raise expander.refuse(node, "its weights must be constant")
        integers = numpy_helper.to_array(weights).astype(np.float64)
        if zero_points[1]:
            zero_point = expander.value(node, zero_points[1], "zero point")
            integers = integers - (zero_point.reshape(-1, *(1,) * (integers.ndim - 1)) if op == "Conv" else zero_point)
        w = expander.constant(integers.astype(np.int16))
        real = expander.emit(node, "DequantizeLinear", [w, expander.constant(np.float32(1.0 / scale))])
        attributes = _attributes(node)
        expander.emit(node, op, [expander.emit(node, "DequantizeLinear", x), real], node.output[0], **attributes)

    return rewrite


OPERATORS: Mapping[tuple[str, str], Callable[[_Expander, onnx.NodeProto], None]] = {
    ("", "QLinearConv"): _conv,
    ("", "QLinearMatMul"): _matmul,
    ("", "ConvInteger"): _integer("Conv"),
    ("", "MatMulInteger"): _integer("MatMul"),
    (MICROSOFT, "QGemm"): _gemm,
    (MICROSOFT, "QLinearAdd"): _two_inputs("Add"),
    (MICROSOFT, "QLinearMul"): _two_inputs("Mul"),
    (MICROSOFT, "QLinearAveragePool"): _one_input("AveragePool"),
    (MICROSOFT, "QLinearGlobalAveragePool"): _one_input("GlobalAveragePool"),
    (MICROSOFT, "QLinearConcat"): _concat,
    (MICROSOFT, "QLinearLeakyRelu"): _one_input("LeakyRelu"),
    (MICROSOFT, "QLinearSigmoid"): _one_input("Sigmoid"),
    (MICROSOFT, "QLinearSoftmax"): _one_input("Softmax", "opset"),
}
"""Domain and name of each quantized operator, and what rewrites it."""
