"""One TensorFlow Lite operator as an operator's import function sees it: options, scales, declared outputs."""

from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
import tflite

from pipeline.graph.ir import Node
from pipeline.graph.tensor import Array, QuantParams, Tensor
from pipeline.model_files.node import ImportNode

_RANGES = {
    tflite.ActivationFunctionType.NONE: (-inf, inf),
    tflite.ActivationFunctionType.RELU: (0.0, inf),
    tflite.ActivationFunctionType.RELU_N1_TO_1: (-1.0, 1.0),
    tflite.ActivationFunctionType.RELU6: (0.0, 6.0),
}
LIMITS = {"int8": (-128, 127), "int16": (-32768, 32767), "int32": (-(2**31), 2**31 - 1)}


@dataclass(frozen=True, eq=False)
class TfliteNode(ImportNode):
    """A node with its output tensors as the file declares them, and the flatbuffer table of its options.

    `unsigned`: the file's activations are uint8; here they are int8, 128 lower.
    """

    declared: tuple[Tensor, ...]
    table: Any
    unsigned: bool = False

    def options(self, kind: type) -> Any:
        """The options table read as `kind`, a class of the `tflite` package."""
        if self.table is None:
            self.refuse("it has no options", "Convert the model again.")
        options = kind()
        options.Init(self.table.Bytes, self.table.Pos)
        return options

    @property
    def quantized(self) -> bool:
        """Whether it computes on integers with a scale."""
        return self.declared[0].dtype != "float32"

    @property
    def dtype(self) -> str:
        return self.declared[0].dtype

    def quant(self, index: int) -> QuantParams:
        return self._quant(self.graph.tensors[self.inputs[index]])

    def output_quant(self, index: int = 0) -> QuantParams:
        return self._quant(self.declared[index])

    def _quant(self, tensor: Tensor) -> QuantParams:
        if tensor.quant is None:
            self.refuse(f"{tensor.name!r} ({tensor.dtype}) has no scale", "Quantize the whole model to int8.")
        return tensor.quant

    def scale(self, index: int) -> float:
        """The scale of input `index`; refuses one scale for each channel."""
        return self._per_tensor(self.quant(index), self.inputs[index]).scale[0]

    def output_scale(self, index: int = 0) -> float:
        return self._per_tensor(self.output_quant(index), self.declared[index].name).scale[0]

    def _per_tensor(self, quant: QuantParams, name: str) -> QuantParams:
        if quant.axis is not None:
            self.refuse(f"{name!r} has a scale per channel")
        return quant

    def zero_point(self, index: int) -> int:
        return self.quant(index).zero_point

    def output_zero_point(self, index: int = 0) -> int:
        return self.output_quant(index).zero_point

    def real_range(self, code: int) -> tuple[float, float]:
        """Least and largest real value of the fused activation `code`; refuses an unknown one."""
        if code not in _RANGES:
            self.refuse(f"fused activation {code}", "NONE, RELU, RELU6 and RELU_N1_TO_1 are supported.")
        return _RANGES[code]

    def clamp(self, low: float, high: float) -> tuple[int, int]:
        """The real clamp [low, high] as integers of the output, within its type.

        Source: TFLite CalculateActivationRangeQuantized.
        """
        scale, zero = np.float32(self.output_scale()), self.output_zero_point()
        bottom, top = LIMITS[self.dtype]
        if low != -inf:
            bottom = max(bottom, zero + round_away(np.float32(low) / scale))
        if high != inf:
            top = min(top, zero + round_away(np.float32(high) / scale))
        return bottom, top

    def activation(self, code: int) -> dict[str, Any]:
        """A fused activation as fields of a ScaledNode: real bounds, and integer ones when quantized."""
        low, high = self.real_range(code)
        if not self.quantized:
            return {"low": low, "high": high}
        bottom, top = self.clamp(low, high)
        return {"low": low, "high": high, "bottom": bottom, "top": top}

    def emit(self, node: Node) -> None:
        """Append the node that computes this operator's outputs; refuses shapes other than the declared ones."""
        shapes = node.shapes([self.graph.tensors[n].shape for n in node.inputs])
        for shape, tensor in zip(shapes, self.declared, strict=True):
            if tuple(shape) != tensor.shape:
                self.refuse(f"the file says it makes {list(tensor.shape)}, its inputs make {list(shape)}")
        for tensor in self.declared:
            self.graph.add(tensor)
        self.graph.nodes.append(node)

    def append(self, node: Node, dtype: str, quant: QuantParams | None) -> str:
        """Append a node for an intermediate result; returns the name of its output."""
        return self.graph.append(node, dtype, quant)

    def fold(self, value: Array) -> None:
        """Set the operator's only output to the constant `value`, of the shape that the file declares."""
        if value.shape != self.declared[0].shape:
            self.refuse(f"the file says it makes {list(self.declared[0].shape)}, not {list(value.shape)}")
        self.graph.add(Tensor.constant(self.outputs[0], value, self.declared[0].quant))


def round_away(value: Any) -> int:
    """`value` rounded to the nearest integer, ties away from zero, as C's round() does."""
    wide = float(value)
    return int(np.copysign(np.floor(abs(wide) + 0.5), wide))
