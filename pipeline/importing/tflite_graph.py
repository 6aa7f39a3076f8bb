"""TensorFlow Lite to a graph: an integer graph from a quantized model, a float graph from a float one.

A quantized model means exactly what LiteRT's built-in reference kernels compute; each operator's module says how.
uint8 tensors become int8 ones 128 lower, which no difference of values and zero point can tell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.facts.errors import ChipfitError, Place
from pipeline.graph.builder import GraphBuilder
from pipeline.graph.ir import Graph
from pipeline.graph.tensor import Array, Port, QuantParams, Tensor
from pipeline.model_files.node import MALFORMED
from pipeline.model_files.tflite_file import TfliteModel, TfliteOperator, TfliteTensor, load_tflite
from pipeline.model_files.tflite_node import TfliteNode
from pipeline.ops import TFLITE
from pipeline.ops.lookup import FLIP, Lookup


def import_tflite(path: Path, shown: str, name: str) -> Graph:
    """The graph of a .tflite file. Raises ChipfitError with the model's path (`shown`)."""
    return tflite_graph_of(load_tflite(path, shown), shown, name)


def tflite_graph_of(model: TfliteModel, shown: str, name: str) -> Graph:
    """The graph of a loaded and checked .tflite model. Raises ChipfitError with its path (`shown`)."""
    graph = _Importer(model, shown, name).run()
    floats = any(t.dtype == "float32" for t in graph.tensors.values())
    if floats and any(t.data is None and t.quant is not None for t in graph.tensors.values()):
        raise ChipfitError(
            "mixes float and integer tensors", place=Place(shown), hint="Quantize the whole model to int8."
        )
    if graph.integer:
        graph.verify(integer=True)
    return graph


class _Importer:
    def __init__(self, model: TfliteModel, shown: str, name: str) -> None:
        self.model, self.shown = model, shown
        self.builder = GraphBuilder(name, shown)
        self.names = self.unique_names()
        self.shared: dict[int, int] = {}

    def fail(self, message: str, hint: str = "") -> ChipfitError:
        return ChipfitError(message, place=Place(self.shown), hint=hint)

    def unique_names(self) -> list[str]:
        counts: dict[str, int] = {}
        for tensor in self.model.tensors:
            counts[tensor.name] = counts.get(tensor.name, 0) + 1
        return [t.name if counts[t.name] == 1 else f"{t.name}#{i}" for i, t in enumerate(self.model.tensors)]

    def run(self) -> Graph:
        tensors, operators = self.model.tensors, list(self.model.operators)
        if not self.model.inputs or not self.model.outputs:
            raise self.fail("has no input or no output")
        if len(set(self.model.inputs)) != len(self.model.inputs):
            raise self.fail("names one input twice")
        inputs, outputs = list(self.model.inputs), list(self.model.outputs)
        operators = self.without_edge_conversions(operators, inputs, outputs)
        unknown = sorted({o.code for o in operators} - set(TFLITE))
        if unknown:
            raise self.fail(f"operator {unknown[0]} is not supported", f"Supported: {', '.join(sorted(TFLITE))}.")
        for index, tensor in enumerate(tensors):
            if tensor.data is not None and index not in inputs:
                self.builder.add(self.constant(index, tensor))
        ports = [self.input_port(i, file_index) for i, file_index in zip(inputs, self.model.inputs, strict=True)]
        for index, operator in enumerate(operators):
            self.operator(operator, index)
        results = [self.output_port(o, file_index) for o, file_index in zip(outputs, self.model.outputs, strict=True)]
        return self.builder.build(ports, results)

    def without_edge_conversions(
        self, operators: list[TfliteOperator], inputs: list[int], outputs: list[int]
    ) -> list[TfliteOperator]:
        """Float inputs quantized at once and outputs dequantized last: the integers become the ports themselves."""
        tensors = self.model.tensors
        for position, index in enumerate(inputs):
            readers = [o for o in operators if index in o.inputs]
            quantized_at_once = len(readers) == 1 and readers[0].code == "QUANTIZE" and readers[0].outputs
            if (
                quantized_at_once
                and tensors[index].dtype == "float32"
                and tensors[index].data is None
                and index not in outputs
            ):
                inputs[position] = readers[0].outputs[0]
                operators = [o for o in operators if o is not readers[0]]
        for position, index in enumerate(outputs):
            makers = [o for o in operators if index in o.outputs]
            if len(makers) != 1 or makers[0].code != "DEQUANTIZE" or min(makers[0].inputs, default=-1) < 0:
                continue
            source = tensors[makers[0].inputs[0]]
            read_elsewhere = any(index in o.inputs for o in operators) or outputs.count(index) > 1
            if source.scales and source.data is None and not read_elsewhere:
                outputs[position] = makers[0].inputs[0]
                operators = [o for o in operators if o is not makers[0]]
        return operators

    def quant(self, tensor: TfliteTensor) -> QuantParams | None:
        if not tensor.scales:
            return None
        low = 128 if tensor.dtype == "uint8" else 0
        zeros = {z - low for z in tensor.zero_points}
        if len(zeros) > 1 or (len(tensor.scales) > 1 and zeros != {0}):
            raise self.fail(f"tensor {tensor.name!r} has a zero point for each channel other than 0")
        dtype = "int8" if tensor.dtype == "uint8" else tensor.dtype
        return QuantParams(tensor.scales, zeros.pop(), tensor.axis if len(tensor.scales) > 1 else None, dtype)

    def tensor(self, index: int) -> Tensor:
        tensor = self.model.tensors[index]
        dtype = "int8" if tensor.dtype == "uint8" and tensor.scales else tensor.dtype
        dtype = "int32" if dtype == "int64" and tensor.data is None else dtype  # indices
        return Tensor(self.names[index], tensor.shape, dtype, None, self.quant(tensor))

    def constant(self, index: int, tensor: TfliteTensor) -> Tensor:
        data: Array | None = tensor.data
        assert data is not None
        if tensor.dtype == "uint8" and tensor.scales:
            data = (data ^ np.uint8(128)).view(np.int8)
        if tensor.dtype == "float16":
            data = data.astype(np.float32)
        return Tensor.constant(self.names[index], data, self.quant(tensor))

    def input_port(self, index: int, file_index: int) -> Port:
        tensor, stored_tensor = self.model.tensors[index], self.tensor(index)
        if stored_tensor.dtype not in ("float32", "int8", "int16") or (
            stored_tensor.dtype != "float32" and stored_tensor.quant is None
        ):
            raise self.fail(
                f"input {tensor.name!r} has type {tensor.dtype}, expected float32, int8, uint8 or int16 with a scale"
            )
        if tensor.dynamic or min(tensor.shape, default=1) < 1:
            raise self.fail(f"input {tensor.name!r} has a dynamic shape", "Convert the model with fixed sizes.")
        if stored_tensor.name in self.builder.tensors:
            raise self.fail(f"input {tensor.name!r} is named twice")
        stored = self.builder.add(stored_tensor)
        if tensor.dtype == "uint8" and file_index == index:
            stored = f"{stored_tensor.name}.uint8"
            assert stored_tensor.quant is not None
            raw = replace(stored_tensor.quant, zero_point=stored_tensor.quant.zero_point + 128, dtype="uint8")
            self.builder.add(Tensor(stored, stored_tensor.shape, "uint8", None, raw))
            self.flip_sign_bit(stored, stored_tensor.name)
        return self.port(stored, self.model.tensors[file_index].name, stored_tensor.shape)

    def flip_sign_bit(self, source: str, target: str) -> None:
        table = self.builder.constant(f"{target}.flip", FLIP)
        self.builder.nodes.append(Lookup(name=f"{target}.flip", inputs=(source, table), outputs=(target,)))

    def output_port(self, index: int, file_index: int) -> Port:
        name = self.names[index]
        tensor = self.builder.tensors.get(name)
        if tensor is None or tensor.data is not None:
            raise self.fail(f"output {name!r} does not depend on any input")
        if self.model.tensors[index].dtype == "uint8" and file_index == index:
            assert tensor.quant is not None
            raw = replace(tensor.quant, zero_point=tensor.quant.zero_point + 128, dtype="uint8")
            stored = self.builder.add(Tensor(f"{name}.uint8", tensor.shape, "uint8", None, raw))
            self.flip_sign_bit(name, stored)
            name = stored
        return self.port(name, self.model.tensors[file_index].name, tensor.shape)

    def port(self, stored: str, name: str, shape: Sequence[int]) -> Port:
        return Port(stored, name, tuple(shape), tuple(range(len(shape))))

    def operator(self, operator: TfliteOperator, index: int) -> None:
        names = tuple(self.names[i] if i >= 0 else "" for i in operator.inputs)
        if not operator.outputs or min(operator.outputs) < 0:
            raise self.fail(f"{operator.code} (operator {index}) has no output")
        name = self.names[operator.outputs[0]]
        for input_name in names:
            if input_name and input_name not in self.builder.tensors:
                raise self.fail(f"{operator.code} {name!r} reads {input_name!r}, which nothing made before it")
        for output in operator.outputs:
            if self.names[output] in self.builder.tensors:
                raise self.fail(f"{operator.code} {name!r} makes {self.names[output]!r} a second time")
        if not names or not names[0]:
            raise self.fail(f"{operator.code} {name!r} has no input")
        node = TfliteNode(
            op=operator.code,
            name=name,
            inputs=names,
            outputs=tuple(self.names[i] for i in operator.outputs),
            graph=self.builder,
            file=self.shown,
            declared=tuple(self.tensor(i) for i in operator.outputs),
            table=operator.options,
            unsigned=self.model.tensors[operator.outputs[0]].dtype == "uint8",
        )
        first = len(self.builder.nodes)
        try:
            self.check_types(node)
            TFLITE[operator.code](node)
            self.fold_constants(node, first)
        except MALFORMED as error:
            raise node.malformed(error) from error

    def check_types(self, node: TfliteNode) -> None:
        """A quantized operator computes on integers with scales, a float one on floats: nothing in between."""
        moving = [self.builder.tensors[n] for n in node.inputs if n and self.builder.data(n) is None]
        kinds = {t.dtype for t in moving}
        if "float32" in kinds and (len(kinds) > 1 or node.dtype not in ("float32", "int32")):
            node.refuse("mixes float and integer activations", "Quantize the whole model to int8.")
        weights = self.builder.tensors[node.inputs[1]] if node.has(1) else None
        if "float32" in kinds and weights is not None and weights.dtype == "int8" and weights.quant is not None:
            node.refuse(
                "float activations on int8 weights: the model was quantized dynamically",
                "Convert it with a representative dataset and int8 inputs and outputs, or as a float model.",
            )
        for tensor in (*moving, *node.declared):
            if tensor.dtype not in ("float32", "int8", "int16", "int32", "uint8"):
                node.refuse(f"{tensor.name!r} has type {tensor.dtype}", "int8, uint8, int16 and float32 are supported.")
            if tensor.dtype == "uint8":
                node.refuse(f"{tensor.name!r} has type uint8 without a scale")

    def fold_constants(self, node: TfliteNode, first: int) -> None:
        """Nodes whose inputs are all constants are computed now, by their own meaning."""
        remaining = []
        graph: Any = _Constants(self.builder.tensors)
        for candidate in self.builder.nodes[first:]:
            data = [self.builder.data(n) for n in candidate.inputs]
            if any(d is None for d in data):
                remaining.append(candidate)
                continue
            batched = [d[None] for d in data if d is not None]
            for name, value in zip(candidate.outputs, candidate.meaning(batched, graph), strict=True):
                old = self.builder.tensors[name]
                self.builder.add(Tensor.constant(name, value[0].astype(old.dtype), old.quant))
        self.builder.nodes[first:] = remaining


class _Constants:
    """The part of a graph that a node's meaning uses, when every tensor counts as an activation of one sample."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors

    def is_constant(self, name: str) -> bool:
        return False
