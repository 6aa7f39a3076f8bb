"""One ONNX node as an operator's import function sees it: attributes and constant inputs, with precise refusals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np

from pipeline.builder import GraphBuilder
from pipeline.errors import ChipfitError, Place
from pipeline.ir import Array, Shape


@dataclass(frozen=True, eq=False)
class OnnxNode:
    """`inputs` holds "" for an omitted optional input; `file` is the model's path for messages."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    opset: int
    graph: GraphBuilder
    file: str

    def refuse(self, why: str, hint: str = "") -> NoReturn:
        """Say that this operator cannot do `why`."""
        raise ChipfitError(f"{self.op} node {self.name!r}: {why}", place=Place(self.file), hint=hint)

    def without(self, attribute: str) -> "OnnxNode":
        """The same node without one attribute."""
        return replace(self, attributes={k: v for k, v in self.attributes.items() if k != attribute})

    def attr(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)

    def ints(self, name: str, default: Sequence[int]) -> tuple[int, ...]:
        return tuple(int(v) for v in self.attributes.get(name, default))

    def has(self, index: int) -> bool:
        return index < len(self.inputs) and self.inputs[index] != ""

    def shape(self, index: int) -> Shape:
        return self.graph.tensors[self.inputs[index]].shape

    def rank(self, index: int = 0) -> int:
        return len(self.shape(index))

    def is_constant(self, index: int) -> bool:
        return self.has(index) and self.graph.data(self.inputs[index]) is not None

    def constant(self, index: int, what: str) -> Array:
        """The constant at input `index`; refuses an activation there."""
        data = self.graph.data(self.inputs[index]) if self.has(index) else None
        if data is None:
            self.refuse(f"its {what} (input {index}) must be a constant", "Freeze it when you export the model.")
        return data

    def optional(self, index: int, what: str) -> Array | None:
        return self.constant(index, what) if self.has(index) else None

    def attr_or_input(self, name: str, index: int, default: Any = None) -> Any:
        """A parameter that moved from an attribute to an input in a later opset; a list or a scalar."""
        if name in self.attributes:
            return self.attributes[name]
        data = self.optional(index, name)
        return default if data is None else data.tolist()

    def axis(self, value: int, rank: int) -> int:
        """A possibly negative axis as a non-negative one."""
        if not -rank <= value < rank:
            self.refuse(f"axis {value} does not exist in a tensor of rank {rank}")
        return value % rank

    def axes(self, values: Sequence[int], rank: int) -> tuple[int, ...]:
        found = tuple(self.axis(int(v), rank) for v in np.atleast_1d(np.asarray(values)))
        if len(set(found)) != len(found):
            self.refuse(f"axes {list(values)} name one axis twice")
        return found
