"""What is drawn: a network as a list of layers on named tensors, close to ONNX, small as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline.graph.tensor import Array, Shape
from pipeline.importing.onnx_qoperator import MICROSOFT

_KINDS = {
    "float32": TensorProto.FLOAT,
    "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8,
    "int16": TensorProto.INT16,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
}


@dataclass(frozen=True)
class Layer:
    """One operator; "" in `inputs` omits one."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    domain: str = ""


@dataclass(frozen=True, eq=False)
class Network:
    """`kinds` says the element type of activations that are not float32; `shapes` are those of all activations.

    `scales` are those of a TensorFlow Lite network: scale or scales, zero point and axis of a tensor.
    """

    opset: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    layers: tuple[Layer, ...]
    constants: Mapping[str, Array]
    shapes: Mapping[str, Shape]
    kinds: Mapping[str, str] = field(default_factory=dict)
    scales: Mapping[str, list[Any]] = field(default_factory=dict)

    def model(self, observe: Sequence[str] = ()) -> onnx.ModelProto:
        """As ONNX, with the tensors `observe` as further outputs."""
        nodes = [
            helper.make_node(n.op, n.inputs, n.outputs, name=f"n{i}_{n.op}", domain=n.domain, **n.attributes)
            for i, n in enumerate(self.layers)
        ]
        used = {i for n in self.layers for i in n.inputs}
        tensors = [numpy_helper.from_array(v, k) for k, v in self.constants.items() if k in used]
        names = dict.fromkeys([*self.outputs, *observe])
        outputs = [self._info(n) for n in names if n in self.outputs or n not in self.inputs]
        graph = helper.make_graph(nodes, "net", [self._info(n) for n in self.inputs], outputs, tensors)
        opsets = [helper.make_opsetid("", self.opset)]
        if any(n.domain for n in self.layers):
            opsets.append(helper.make_opsetid(MICROSOFT, 1))
        return helper.make_model(graph, opset_imports=opsets, ir_version=min(10, onnx.IR_VERSION))

    def _info(self, name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, _KINDS[self.kinds.get(name, "float32")], self.shapes[name])

    def pruned(self) -> "Network":
        """Without the layers that no output needs, and without inputs that nobody reads."""
        wanted, kept = set(self.outputs), []
        for layer in reversed(self.layers):
            if wanted & set(layer.outputs):
                kept.append(layer)
                wanted |= set(layer.inputs)
        inputs = tuple(n for n in self.inputs if n in wanted)
        constants = {k: v for k, v in self.constants.items() if k in wanted}
        return replace(self, layers=tuple(reversed(kept)), inputs=inputs, constants=constants)

    def json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        pruned = self.pruned()
        alive = {*pruned.inputs, *pruned.outputs, *(o for n in pruned.layers for o in n.outputs)}
        return {
            "opset": self.opset,
            "inputs": list(pruned.inputs),
            "outputs": list(self.outputs),
            "layers": [[n.op, n.domain, list(n.inputs), list(n.outputs), dict(n.attributes)] for n in pruned.layers],
            "constants": {k: packed(v) for k, v in pruned.constants.items()},
            "shapes": {k: list(v) for k, v in self.shapes.items() if k in alive},
            "kinds": {k: v for k, v in self.kinds.items() if k in alive},
            "scales": {k: v for k, v in self.scales.items() if k in alive or k in pruned.constants},
        }


def packed(array: Array) -> list[Any]:
    """An array as JSON: type, shape and values."""
    return [array.dtype.name, list(array.shape), array.reshape(-1).tolist()]


def unpacked(data: Sequence[Any]) -> Array:
    dtype, shape, values = data
    return np.array(values, dtype).reshape(shape)


def from_json(data: Mapping[str, Any]) -> Network:
    return Network(
        data["opset"],
        tuple(data["inputs"]),
        tuple(data["outputs"]),
        tuple(Layer(op, tuple(x), tuple(y), a, domain) for op, domain, x, y, a in data["layers"]),
        {k: unpacked(v) for k, v in data["constants"].items()},
        {k: tuple(v) for k, v in data["shapes"].items()},
        data["kinds"],
        data["scales"],
    )
