"""Evaluating nodes of constants while a file is read: by ONNX's reference evaluator, what it takes bounded before.

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
"""Values that one node of constants may make."""
_MAX_WORK = 1 << 29
"""Values that all of them may read and write together, some seconds of work; others count as so many."""
_PER_NODE = 3000
_PER_STEP = 1000
"""One step of an operator that the reference evaluator does in Python."""
_PER_MULTIPLICATIONS = 64
_SMALL = 1024
"""Values of an input that shape inference is told: shapes, repeats, sizes."""
_REFUSED = frozenset("Loop Scan SequenceMap RandomNormal RandomNormalLike RandomUniform RandomUniformLike Multinomial "
                     "Bernoulli ImageDecoder".split())  # fmt: skip
"""Those whose work the file's numbers alone decide, and those that make other results each time."""
_PASSING = frozenset(
    "Reshape Transpose Flatten Squeeze Unsqueeze Identity Cast CastLike Slice Split Constant Concat Gather GatherND "
    "GatherElements ReduceMax ReduceMin ReduceSum ReduceMean ReduceProd ArgMax ArgMin NonZero Compress Unique Shape "
    "Size Clip Relu Neg Abs Sqrt Exp Log Floor Ceil Round Reciprocal Sign Not Erf Tanh Sigmoid Add Sub Mul Div Pow Min "
    "Max Sum Mean Mod And Or Xor Equal Less LessOrEqual Greater GreaterOrEqual Where ConstantOfShape Expand Tile Range "
    "Pad OneHot EyeLike Trilu ScatterND ScatterElements CumSum BatchNormalization QuantizeLinear DequantizeLinear "
    "IsNaN IsInf BitShift HardSigmoid LeakyRelu Softmax DepthToSpace SpaceToDepth Swish Gelu PRelu".split()
)
"""Operators that look at each value a few times, in NumPy."""
_DATA_DEPENDENT = frozenset(("NonZero", "Compress", "Unique"))

Find = Callable[[str], Array | None]


class TooMuch(ValueError):
    """What a node of constants would take is above its bound, or cannot be said before."""


class Folding:
    """The nodes of constants of one model, and how much work they may still be."""

    def __init__(self, opset: int) -> None:
        self._opset, self._left = opset, _MAX_WORK

    def evaluate(self, node: onnx.NodeProto, find: Find) -> list[Array]:
        """The node's outputs; `find` gives the constant of a name. Raises TooMuch, or what the evaluator raises."""
        if node.op_type == "If":
            return self._branch(node, find)
        feeds = {i: find(i) for i in node.input if i}
        if any(v is None for v in feeds.values()):
            raise ValueError("it reads what is no constant")
        arrays = {n: v for n, v in feeds.items() if v is not None}
        self._charge(node, arrays)
        made: list[Any] = ReferenceEvaluator(node, opsets={"": self._opset}).run(None, arrays)
        return [np.asarray(m) for m in made]

    def _branch(self, node: onnx.NodeProto, find: Find) -> list[Array]:
        """Only the branch that is taken, node by node; it sees the constants around it."""
        condition = find(node.input[0])
        if condition is None or condition.size != 1:
            raise ValueError("its condition is not one constant")
        graph = next(a.g for a in node.attribute if a.name == ("then_branch" if condition.item() else "else_branch"))
        own: dict[str, Array] = {}
        for tensor in graph.initializer:
            self._spend(prod(tensor.dims))
            own[tensor.name] = numpy_helper.to_array(tensor)

        def inner(name: str) -> Array | None:
            return own[name] if name in own else find(name)

        for each in graph.node:
            own |= {n: a for n, a in zip(each.output, self.evaluate(each, inner), strict=False) if n}
        found = [inner(o.name) for o in graph.output]
        if any(a is None for a in found):
            raise ValueError("a branch gives what is no constant")
        return [a for a in found if a is not None]

    def _charge(self, node: onnx.NodeProto, arrays: Mapping[str, Array]) -> None:
        if node.op_type in _REFUSED or any(a.HasField("g") or a.graphs for a in node.attribute):
            raise TooMuch("how much work it is cannot be said before")
        read = sum(a.size for a in arrays.values())
        made = self._made(node, arrays)
        if made > MAX_VALUES:
            raise TooMuch(f"it makes {made} values, the limit is {MAX_VALUES}")
        work = read + made
        if node.op_type in ("MatMul", "Gemm"):
            work += made * max((a.size // max(min(a.shape, default=1), 1) for a in arrays.values()), default=0)
            work //= _PER_MULTIPLICATIONS
        elif node.op_type not in _PASSING:
            work = (prod(max(a.size, 1) for a in arrays.values()) + made) * _PER_STEP
        self._spend(work + _PER_NODE)

    def _spend(self, work: int) -> None:
        self._left -= work
        if self._left < 0:
            raise TooMuch("the constants of this model are more work than a network's are")

    def _made(self, node: onnx.NodeProto, arrays: Mapping[str, Array]) -> int:
        """How many values the node makes, from ONNX's shape inference."""
        if node.op_type in _DATA_DEPENDENT:
            return sum(a.size * max(a.ndim, 1) for a in arrays.values())
        if node.op_type == "Constant":
            return sum(prod(a.t.dims) + len(a.floats) + len(a.ints) + 1 for a in node.attribute)
        types = {
            n: helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for n, a in arrays.items()
        }
        told = {n: numpy_helper.from_array(a, n) for n, a in arrays.items() if a.size <= _SMALL}
        schema = onnx.defs.get_schema(node.op_type, self._opset, "")
        opsets = [helper.make_opsetid("", self._opset)]
        inferred = shape_inference.infer_node_outputs(schema, node, types, told, opset_imports=opsets)
        return sum(_size(inferred[o]) for o in node.output if o in inferred)


def _size(kind: onnx.TypeProto) -> int:
    tensor = kind.tensor_type
    dims: Sequence[Any] = tensor.shape.dim
    if not tensor.HasField("shape") or not all(d.HasField("dim_value") for d in dims):
        raise TooMuch("how much it makes cannot be said before")
    return prod(max(d.dim_value, 0) for d in dims)
