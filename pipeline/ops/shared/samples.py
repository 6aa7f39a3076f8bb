"""The smallest interesting instances of an operator, as real ONNX models; every test walks them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline.graph.tensor import Array, Shape


@dataclass(frozen=True, eq=False)
class Sample:
    """One small model and the range [low, high] of its random inputs."""

    name: str
    model: onnx.ModelProto
    low: float = -2.0
    high: float = 2.0
    jumps: bool = False
    """Whether the function jumps, so that half a step of the input may change the output by any amount."""

    def inputs(self, count: int, seed: int = 1) -> dict[str, Array]:
        """`count` random samples for each input: float32 (count, *shape)."""
        rng = np.random.default_rng(seed)
        return {
            i.name: rng.uniform(
                self.low, self.high, (count, *(d.dim_value for d in i.type.tensor_type.shape.dim))
            ).astype(np.float32)
            for i in self.model.graph.input
        }


def weights(*shape: int, seed: int = 7, scale: float = 0.5) -> Array:
    """float32 normal values with some exact zeros."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0.0, scale, shape) * (rng.random(shape) > 0.1)
    return values.astype(np.float32)


def one_node(
    op: str,
    inputs: Mapping[str, Shape],
    constants: Mapping[str, Any] | None = None,
    *,
    outputs: int = 1,
    label: str = "",
    opset: int = 17,
    low: float = -2.0,
    high: float = 2.0,
    jumps: bool = False,
    **attributes: Any,
) -> Sample:
    """A model of one node; floats among `constants` become float32 scalars, integers and lists int64."""
    initializers = []
    for name, value in (constants or {}).items():
        array = np.asarray(value)
        if array.dtype.kind != "b":
            array = array.astype(np.float32 if array.dtype.kind == "f" else np.int64)
        initializers.append(numpy_helper.from_array(array, name))
    names = [*inputs, *(constants or {})]
    results = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op, names, results, name=f"the_{op.lower()}", **attributes)
    kind = TensorProto.INT64 if op in ("ArgMax", "ArgMin") else TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        op.lower(),
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(r, kind, None) for r in results],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    shape = "x".join(str(d) for d in next(iter(inputs.values())))
    suffix = "_".join(f"{k}{v}" for k, v in attributes.items())
    return Sample(label or f"{op}_{shape}_{opset}_{suffix}".rstrip("_"), model, low, high, jumps)
