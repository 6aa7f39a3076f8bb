"""Constant folding while a file is read: by ONNX's reference evaluator, within bounds known before.

The bound counts values and steps, not seconds: the same file is taken or refused on every machine.
"""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from pipeline.graph.tensor import Array

MAX_VALUES = 1 << 25
"""Values that the outputs of one node of constants may hold."""
_MAX_WORK = 1 << 29
"""Values that all nodes of constants may read and write together, some seconds of work; other costs count as values."""
_WORK_PER_NODE = 3000
_WORK_PER_STEP = 1000
"""Work of one step of an operator that the reference evaluator does in Python."""
_MULTIPLICATIONS_PER_WORK = 64
_MAX_KNOWN_VALUES = 1024
"""Inputs of up to so many values are given to shape inference: shapes, repeats, sizes."""
_REFUSED_OPS = frozenset(
    "Loop Scan SequenceMap RandomNormal RandomNormalLike RandomUniform RandomUniformLike Multinomial Bernoulli "
    "ImageDecoder".split()
)
"""Operators whose work the file's numbers alone decide, and those whose results are other ones each time."""
_ELEMENTWISE_OPS = frozenset(
    "Reshape Transpose Flatten Squeeze Unsqueeze Identity Cast CastLike Slice Split Constant Concat Gather GatherND "
    "GatherElements ReduceMax ReduceMin ReduceSum ReduceMean ReduceProd ArgMax ArgMin NonZero Compress Unique Shape "
    "Size Clip Relu Neg Abs Sqrt Exp Log Floor Ceil Round Reciprocal Sign Not Erf Tanh Sigmoid Add Sub Mul Div Pow Min "
    "Max Sum Mean Mod And Or Xor Equal Less LessOrEqual Greater GreaterOrEqual Where ConstantOfShape Expand Tile Range "
    "Pad OneHot EyeLike Trilu ScatterND ScatterElements CumSum BatchNormalization QuantizeLinear DequantizeLinear "
    "IsNaN IsInf BitShift HardSigmoid LeakyRelu Softmax DepthToSpace SpaceToDepth Swish Gelu PRelu".split()
)
"""Operators that look at each value a few times, in NumPy."""
_DATA_DEPENDENT_OPS = frozenset(("NonZero", "Compress", "Unique"))

FindConstant = Callable[[str], Array | None]


class TooMuchWork(ValueError):
    """The work of a node of constants is above its bound, or unknown before it is done."""


class ConstantFolder:
    """Evaluates the nodes of constants of one model, within a bound on the work of all of them."""

    def __init__(self, opset: int) -> None:
        self._opset, self._work_left = opset, _MAX_WORK

    def evaluate(self, node: onnx.NodeProto, find: FindConstant) -> list[Array]:
        """The node's outputs; `find` gives the constant of a name. Raises TooMuchWork, or what the evaluator raises."""
        if node.op_type == "If":
            return self._branch(node, find)
        constants = {i: find(i) for i in node.input if i}
        if any(v is None for v in constants.values()):
            raise ValueError("it reads what is no constant")
        arrays = {n: v for n, v in constants.items() if v is not None}
        self._charge(node, arrays)
        outputs: list[Any] = ReferenceEvaluator(node, opsets={"": self._opset}).run(None, arrays)
        return [np.asarray(m) for m in outputs]

    def _branch(self, node: onnx.NodeProto, find: FindConstant) -> list[Array]:
        """The outputs of an If: of the branch that is taken, node by node; it sees the constants around it."""
        condition = find(node.input[0])
        if condition is None or condition.size != 1:
            raise ValueError("its condition is not one constant")
        graph = next(a.g for a in node.attribute if a.name == ("then_branch" if condition.item() else "else_branch"))
        constants: dict[str, Array] = {}
        for tensor in graph.initializer:
            self._spend(prod(tensor.dims))
            constants[tensor.name] = numpy_helper.to_array(tensor)

        def find_inner(name: str) -> Array | None:
            return constants[name] if name in constants else find(name)

        for inner_node in graph.node:
            constants |= {
                n: a for n, a in zip(inner_node.output, self.evaluate(inner_node, find_inner), strict=False) if n
            }
        outputs = [find_inner(o.name) for o in graph.output]
        if any(a is None for a in outputs):
            raise ValueError("a branch gives what is no constant")
        return [a for a in outputs if a is not None]

    def _charge(self, node: onnx.NodeProto, arrays: Mapping[str, Array]) -> None:
        if node.op_type in _REFUSED_OPS or any(a.HasField("g") or a.graphs for a in node.attribute):
            raise TooMuchWork("how much work it is cannot be said before")
        input_size = sum(a.size for a in arrays.values())
        output_size = self._output_size(node, arrays)
        if output_size > MAX_VALUES:
            raise TooMuchWork(f"it makes {output_size} values, the limit is {MAX_VALUES}")
        work = input_size + output_size
        if node.op_type in ("MatMul", "Gemm"):
            work += output_size * max((a.size // max(min(a.shape, default=1), 1) for a in arrays.values()), default=0)
            work //= _MULTIPLICATIONS_PER_WORK
        elif node.op_type not in _ELEMENTWISE_OPS:
            work = (prod(max(a.size, 1) for a in arrays.values()) + output_size) * _WORK_PER_STEP
        self._spend(work + _WORK_PER_NODE)

    def _spend(self, work: int) -> None:
        self._work_left -= work
        if self._work_left < 0:
            raise TooMuchWork("the constants of this model are more work than a network's are")

    def _output_size(self, node: onnx.NodeProto, arrays: Mapping[str, Array]) -> int:
        """The number of values of the node's outputs, from ONNX's shape inference."""
        if node.op_type in _DATA_DEPENDENT_OPS:
            return sum(a.size * max(a.ndim, 1) for a in arrays.values())
        if node.op_type == "Constant":
            return sum(prod(a.t.dims) + len(a.floats) + len(a.ints) + 1 for a in node.attribute)
        types = {
            n: helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for n, a in arrays.items()
        }
        known = {n: numpy_helper.from_array(a, n) for n, a in arrays.items() if a.size <= _MAX_KNOWN_VALUES}
        schema = onnx.defs.get_schema(node.op_type, self._opset, "")
        opsets = [helper.make_opsetid("", self._opset)]
        inferred = shape_inference.infer_node_outputs(schema, node, types, known, opset_imports=opsets)
        return sum(_size(inferred[o]) for o in node.output if o in inferred)


def _size(kind: onnx.TypeProto) -> int:
    tensor = kind.tensor_type
    dims: Sequence[Any] = tensor.shape.dim
    if not tensor.HasField("shape") or not all(d.HasField("dim_value") for d in dims):
        raise TooMuchWork("how much it makes cannot be said before")
    return prod(max(d.dim_value, 0) for d in dims)
