"""One node of a model file as an operator's import function sees it, whatever the file's format."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from pipeline.facts.errors import ChipfitError, Place
from pipeline.graph.builder import GraphBuilder
from pipeline.graph.tensor import Array, Shape

MALFORMED = (
    IndexError, KeyError, ValueError, TypeError, ArithmeticError, AttributeError, AssertionError, struct.error,
    MemoryError,
)  # fmt: skip
"""What a reader may raise on a node that contradicts itself."""


@dataclass(frozen=True, eq=False)
class ImportNode:
    """A node of the file; `inputs` holds "" for an omitted optional input, `file` is the model's path for messages."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    graph: GraphBuilder
    file: str

    def refuse(self, why: str, hint: str = "") -> NoReturn:
        """Raise ChipfitError: this operator is not supported with `why`."""
        raise ChipfitError(f"{self.op} node {self.name!r}: {why}", place=Place(self.file), hint=hint)

    def malformed(self, error: Exception) -> ChipfitError:
        """The ChipfitError for an `error` that no check foresaw: what the node states contradicts itself."""
        first = (str(error).splitlines() or [""])[0][:100]
        return ChipfitError(
            f"{self.op} node {self.name!r} is malformed ({type(error).__name__}: {first})",
            place=Place(self.file),
            hint="If the model runs elsewhere, this is a bug of chipfit: please report it with the model.",
        )

    def has(self, index: int) -> bool:
        return index < len(self.inputs) and self.inputs[index] != ""

    def shape(self, index: int) -> Shape:
        return self.graph.tensors[self.inputs[index]].shape

    def rank(self, index: int = 0) -> int:
        return len(self.shape(index))

    def is_constant(self, index: int) -> bool:
        return self.has(index) and self.graph.data(self.inputs[index]) is not None

    def constant(self, index: int, what: str) -> Array:
        """The constant at input `index`, called `what` in messages; refuses an activation there."""
        data = self.graph.data(self.inputs[index]) if self.has(index) else None
        if data is None:
            computed = index < len(self.inputs) and any(self.inputs[index] in n.outputs for n in self.graph.nodes)
            hint = "It is computed from the network's input." if computed else "Freeze it when you export the model."
            self.refuse(f"its {what} (input {index}) must be a constant", hint)
        return data

    def optional(self, index: int, what: str) -> Array | None:
        return self.constant(index, what) if self.has(index) else None

    def axis(self, value: int, rank: int) -> int:
        """The axis `value`, negative from the end, as 0 to rank - 1; refuses one that does not exist."""
        if not -rank <= value < rank:
            self.refuse(f"axis {value} does not exist in a tensor of rank {rank}")
        return value % rank

    def axes(self, values: Sequence[int], rank: int) -> tuple[int, ...]:
        found = tuple(self.axis(int(v), rank) for v in np.atleast_1d(np.asarray(values)))
        if len(set(found)) != len(found):
            self.refuse(f"axes {list(values)} name one axis twice")
        return found
