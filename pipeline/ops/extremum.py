"""Max and Min of several tensors, with broadcasting: at the output's scale, so exact."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from pipeline.graph.facets import NodeQuantizer, OnnxEmitter
from pipeline.graph.ir import Graph
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.pairs import ExtremumParams
from pipeline.graph.tensor import Array
from pipeline.graph.term import Term
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.model_files.tflite_node import LIMITS, TfliteNode
from pipeline.ops.clamp import Clamp
from pipeline.ops.shared.broadcast import Binary, check_broadcast, fold_constants
from pipeline.ops.shared.samples import Sample, one_node, weights

SUMMARY = "of any number of tensors, with broadcasting"


@dataclass(frozen=True, kw_only=True)
class Extremum(Binary):
    """y = max(a, b), or min(a, b)."""

    largest: bool

    def as_term(self, operands: Sequence[Term]) -> Term:
        return ("Max" if self.largest else "Min", (), *operands)

    def selected_from(self, graph: Graph) -> Sequence[Array]:
        return graph.constants_of(self)

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        emit.clip(emit.node("Max" if self.largest else "Min", self.inputs[:2]), self.output, self.low, self.high)

    def quantize(self, quantizer: NodeQuantizer) -> None:
        target = quantizer.params(self.output)
        names = tuple(quantizer.with_params(n, target) for n in self.inputs)
        bottom, top = quantizer.clamp(self)
        quantizer.append(replace(self, inputs=names, bottom=bottom, top=top))

    def arithmetic(self) -> str:
        return "exact"

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        chosen = (np.maximum if self.largest else np.minimum)(*self.operands(inputs, graph))
        return (np.clip(chosen, self.bottom, self.top),)

    def calls(self, graph: Graph) -> list[KernelCall]:
        sign = 1 if self.largest else -1
        return [self.call(graph, ExtremumParams(sign=sign, low=self.bottom, high=self.top, **self.walk(graph)))]


def import_extremum(node: OnnxNode) -> None:
    """Max and Min, two inputs at a time, all constants as one. Source: ONNX Max, Min."""
    x, *others = [n for i, n in enumerate(node.inputs) if not node.is_constant(i)]
    constants = [i for i in range(len(node.inputs)) if node.is_constant(i)]
    if len(constants) > 1:
        values = [node.constant(i, "operand") for i in constants]
        check_broadcast(node, [v.shape for v in values])
        merged = reduce(np.maximum if node.op == "Max" else np.minimum, values)
        others.append(node.graph.constant(f"{node.name}.constant", merged))
    elif constants:
        others.append(node.inputs[constants[0]])
    if not others:
        node.graph.alias(node.outputs[0], x)
        return
    for i, other in enumerate(others, start=1):
        check_broadcast(node, (node.graph.tensors[x].shape, node.graph.tensors[other].shape))
        last = i == len(others)
        label = node.name if last else node.graph.fresh(f"{node.name}.{i}")
        y = node.outputs[0] if last else label
        pair = (x, other)
        bound = node.graph.data(pair[1])
        if bound is not None and bound.size == 1 and bound.ndim <= len(node.graph.tensors[pair[0]].shape):
            side = {"low" if node.op == "Max" else "high": float(bound.reshape(-1)[0])}
            x = node.graph.append(Clamp(name=label, inputs=pair[:1], outputs=(y,), **side))
            continue
        x = node.graph.append(Extremum(name=label, inputs=pair, outputs=(y,), largest=node.op == "Max"))


def import_tflite_extremum(node: TfliteNode) -> None:
    """MAXIMUM and MINIMUM of the integers, which are those of the values at one scale only. Source: TFLite MAXIMUM."""
    if fold_constants(node):
        return
    if node.quantized:
        y = (node.output_scale(), node.output_zero_point())
        for i in range(2):
            if node.graph.tensors[node.inputs[i]].dtype != node.dtype or (node.scale(i), node.zero_point(i)) != y:
                node.refuse(f"{node.inputs[i]!r} has another type or scale than its output")
    largest = node.op == "MAXIMUM"
    limits = LIMITS[node.dtype] if node.quantized else (0, 0)
    extremum = Extremum(name=node.name, inputs=node.inputs[:2], outputs=node.outputs, largest=largest)
    node.emit(replace(extremum, bottom=limits[0], top=limits[1]))


ONNX = {"Max": import_extremum, "Min": import_extremum}
TFLITE = {"MAXIMUM": import_tflite_extremum, "MINIMUM": import_tflite_extremum}
NODES = (Extremum,)


def samples() -> Iterator[Sample]:
    yield one_node("Max", {"a": (1, 3, 4), "b": (1, 1, 4), "c": (1, 3, 1)})
    yield one_node("Min", {"a": (1, 6)}, {"b": weights(6)}, label="Min_constant")
