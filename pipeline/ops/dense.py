"""Dense layer: ONNX Gemm and MatMul by a constant matrix."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import tflite

from pipeline.graph.facets import OnnxEmitter
from pipeline.graph.ir import ChannelEffect, Graph
from pipeline.graph.kernel_call import KernelCall
from pipeline.graph.kernel_params.linear import DenseParams, Groups, Image
from pipeline.graph.tensor import Array, QuantParams, Shape
from pipeline.model_files.onnx_node import OnnxNode
from pipeline.model_files.tflite_node import TfliteNode
from pipeline.ops.add import Add
from pipeline.ops.reshape import Reshape
from pipeline.ops.shared.broadcast import check_broadcast
from pipeline.ops.shared.copying import MAX_RANK
from pipeline.ops.shared.linear import (
    Linear,
    grouped_params,
    linear_call,
    linear_epilogue,
    prescribed_params,
    with_offset,
)
from pipeline.ops.shared.linear_tflite import tflite_linear
from pipeline.ops.shared.samples import Sample, one_node, weights
from pipeline.ops.shared.sums import matrix_product
from pipeline.ops.transpose import Transpose

SUMMARY = "by a constant matrix; any number of rows"


@dataclass(frozen=True, kw_only=True)
class Dense(Linear):
    """x (..., in), weights (out, in), bias (out,) -> (..., out)."""

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        assert inputs[0][-1] == inputs[1][1]
        return ((*inputs[0][:-1], inputs[1][0]),)

    def channel_effect(self, graph: Graph) -> ChannelEffect:
        return "mixed"

    def read(self, x: Array, graph: Graph) -> Array:
        return x.reshape(1, -1, graph.tensors[self.weights].shape[1]).astype(np.float64)

    def to_onnx(self, graph: Graph, emit: OnnxEmitter) -> None:
        product = emit.node("MatMul", [self.inputs[0], emit.constant_view(self.weights, (1, 0))])
        emit.clip(emit.node("Add", [product, self.bias]), self.output, self.low, self.high)

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        x, kernel, bias = inputs[:3]
        quant = graph.tensors[self.inputs[0]].quant
        assert quant is not None
        acc = matrix_product(x, quant.zero_point, kernel)
        y = self.rescaled(acc.astype(np.int64) + bias, graph)
        return (y,)

    def macs(self, graph: Graph) -> int:
        return prod(graph.tensors[self.output].shape) * graph.tensors[self.weights].shape[1]

    def calls(self, graph: Graph) -> list[KernelCall]:
        kernel = graph.constant(self.weights)
        out, taps = kernel.shape
        rows = prod(graph.tensors[self.output].shape) // out
        if graph.tensors[self.output].dtype == "int8":
            last = linear_epilogue(self, graph, kernel)
            dense_params = DenseParams(
                weights=kernel, bias=last.bias, requantize=last.requantize, rows=rows, inputs=taps, outputs=out
            )
            int8_params = dense_params if kernel.dtype == np.int8 else with_offset(dense_params)
            if int8_params is not None:
                return [linear_call(self, graph, int8_params)]
        return [linear_call(self, graph, grouped_params(self, graph, kernel, *rows_as_images(rows, taps, out)))]


def rows_as_images(rows: int, taps: int, out: int) -> tuple[Image, Groups]:
    """A dense layer as a convolution of images of one pixel, for the kernels that exist for convolutions alone."""
    image: Image = {
        "batch": rows, "height": 1, "width": 1, "out_height": 1, "out_width": 1, "kernel_height": 1,
        "stride_y": 1, "stride_x": 1, "pad_top": 0, "pad_left": 0, "dilation_y": 1, "input_zero_point": 0,
    }  # fmt: skip
    return image, {"groups": 1, "depth": taps, "group_outputs": out, "kernel_width": 1, "dilation_x": 1}


def import_gemm(node: OnnxNode) -> None:
    """Gemm: alpha * A' * B' + beta * C with constant B and C. Source: ONNX Gemm."""
    if node.attr("transA", 0) or node.rank() != 2:
        node.refuse("a transposed or non-matrix first input")
    matrix = node.constant(1, "matrix") * np.float32(node.attr("alpha", 1.0))
    kernel = matrix if node.attr("transB", 0) else matrix.T
    if node.has(2) and not node.is_constant(2):
        _append_sum(node, kernel)
        return
    offset = node.optional(2, "offset")
    bias: Array = np.zeros(kernel.shape[0], np.float32)
    if offset is not None:
        if offset.size not in (1, kernel.shape[0]) or (offset.ndim == 2 and offset.shape[0] != 1):
            node.refuse(f"an offset of shape {offset.shape}; expected one value per output")
        bias = bias + offset.reshape(-1) * np.float32(node.attr("beta", 1.0))
    _append(node, kernel, bias, _matrix_params(node))


def _append_sum(node: OnnxNode, kernel: Array) -> None:
    """Append a Gemm whose C is an activation: the product, then an addition."""
    beta, graph = float(node.attr("beta", 1.0)), node.graph
    if beta != 1.0:
        node.refuse(f"a factor of {beta:g} on an offset that is not constant", "Scale the offset before it.")
    product_shape = (*node.shape(0)[:-1], len(kernel))
    check_broadcast(node, (product_shape, node.shape(2)))
    if np.broadcast_shapes(product_shape, node.shape(2)) != product_shape:
        node.refuse(f"an offset of shape {list(node.shape(2))} on a product of shape {list(product_shape)}")
    product = graph.fresh(f"{node.outputs[0]}.product")
    _append(replace(node, outputs=(product,)), kernel, np.zeros(len(kernel), np.float32), _matrix_params(node))
    label = graph.fresh(f"{node.name}.sum")
    graph.append(Add(name=label, inputs=(product, node.inputs[2]), outputs=node.outputs[:1]))


def _matrix_params(node: OnnxNode) -> QuantParams | None:
    """The parameters that the file prescribes for a Gemm's matrix, times alpha; none where that is not positive."""
    alpha = float(np.float32(node.attr("alpha", 1.0)))
    quant = prescribed_params(node, 1, 0 if node.attr("transB", 0) else 1) if alpha > 0 else None
    return quant and replace(quant, scale=tuple(s * alpha for s in quant.scale))


def import_matmul(node: OnnxNode) -> None:
    """MatMul by a constant matrix on either side; on the left it is a layer over transposed rows. Source: ONNX."""
    if node.is_constant(0):
        _append_left_product(node)
        return
    if not node.is_constant(1):
        node.refuse(
            "a product of two activations, as in attention, is not supported",
            "Write it as a product of elements and a sum (Unsqueeze, Mul, ReduceSum), or use layers with weights.",
        )
    matrix = node.constant(1, "right-hand matrix")
    if matrix.ndim != 2:
        node.refuse(f"a right-hand side of rank {matrix.ndim}", "A constant of rank 2 is supported.")
    _append(node, matrix.T, np.zeros(matrix.shape[1], np.float32), prescribed_params(node, 1, 1))


def _append_left_product(node: OnnxNode) -> None:
    """Append W x = (x' W')' with constant W."""
    matrix, graph, rank = node.constant(0, "left-hand matrix"), node.graph, node.rank(1)
    if matrix.ndim != 2 or not 1 <= rank <= MAX_RANK or node.shape(1)[max(rank - 2, 0)] != matrix.shape[1]:
        node.refuse(f"a constant of shape {list(matrix.shape)} on the left of {list(node.shape(1))}")
    x, y, perm = node.inputs[1], node.outputs[0], (*range(rank - 2), rank - 1, rank - 2)
    if rank > 1:
        x, y = graph.fresh(f"{node.name}.columns"), graph.fresh(f"{node.name}.rows")
        graph.append(Transpose(name=x, inputs=(node.inputs[1],), outputs=(x,), perm=perm))
    swapped = replace(node, inputs=(x, node.inputs[0]), outputs=(y,))
    _append(swapped, matrix, np.zeros(len(matrix), np.float32), prescribed_params(node, 0, 0))
    if rank > 1:
        graph.append(Transpose(name=f"{node.name}.back", inputs=(y,), outputs=node.outputs[:1], perm=perm))


def _append(node: OnnxNode, kernel: Array, bias: Array, quant: QuantParams | None) -> None:
    if node.shape(0)[-1] != kernel.shape[1]:
        node.refuse(f"an input of shape {node.shape(0)} does not fit a matrix of {kernel.shape[1]} rows")
    constants = (
        node.graph.constant(f"{node.inputs[1]}.rows", kernel.astype(np.float32), quant),
        node.graph.constant(f"{node.name}.bias", bias.astype(np.float32)),
    )
    node.graph.append(Dense(name=node.name, inputs=(node.inputs[0], *constants), outputs=node.outputs[:1]))


def import_fully_connected(node: TfliteNode) -> None:
    """FULLY_CONNECTED; every leading axis is a row. Source: TFLite, whose reference kernel rounds once."""
    options = node.options(tflite.FullyConnectedOptions)
    kernel, input_shape = node.constant(1, "weights"), node.shape(0)
    if options.WeightsFormat() or kernel.ndim != 2 or prod(input_shape) % kernel.shape[1] or not prod(input_shape):
        node.refuse(f"weights of shape {kernel.shape} in format {options.WeightsFormat()} on {input_shape}")
    x, rows = node.inputs[0], (prod(input_shape) // kernel.shape[1], kernel.shape[1])
    fields = tflite_linear(node, kernel, 0, 2, options.FusedActivationFunction(), once=True)
    if input_shape[-1] != rows[1]:
        source = node.graph.tensors[x]
        view = Reshape(name=f"{node.name}.rows", inputs=(x,), outputs=(node.graph.fresh(f"{x}.rows"),), shape=rows)
        x, input_shape = node.append(view, source.dtype, source.quant), rows
    fields["inputs"] = (x, *fields["inputs"][1:])
    output_shape, target = (*input_shape[:-1], len(kernel)), node.declared[0].shape
    if output_shape == target:
        node.emit(Dense(name=node.name, outputs=node.outputs, **fields))
        return
    dense = Dense(name=node.name, outputs=(node.graph.fresh(f"{node.outputs[0]}.rows"),), **fields)
    y = node.append(dense, node.dtype, node.declared[0].quant)
    if prod(target) != prod(output_shape):
        node.refuse(f"the file says it makes {list(target)}, its inputs make {list(output_shape)}")
    node.emit(Reshape(name=f"{node.name}.shape", inputs=(y,), outputs=node.outputs, shape=target))


ONNX = {"Gemm": import_gemm, "MatMul": import_matmul}
TFLITE = {"FULLY_CONNECTED": import_fully_connected}
NODES = (Dense,)


def samples() -> Iterator[Sample]:
    yield one_node("Gemm", {"x": (1, 5)}, {"w": weights(3, 5), "b": weights(3, seed=2)}, transB=1)
    yield one_node("Gemm", {"x": (1, 4)}, {"w": weights(4, 1), "b": weights(1, seed=2)}, alpha=0.5, beta=2.0)
    added = one_node("Gemm", {"x": (1, 5), "c": (1, 3)}, {"w": weights(5, 3)}, label="Gemm_and_an_addition")
    added.model.graph.node[0].input[:] = ["x", "w", "c"]
    yield added
    yield one_node("MatMul", {"x": (1, 7)}, {"w": weights(7, 6)})
    yield one_node("MatMul", {"x": (1, 3, 4)}, {"w": weights(4, 2)}, low=0.0, high=5.0)
