"""Any function of one int8 value: a 256-byte table. What activations become in an integer graph."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np

from pipeline.calls import KernelCall
from pipeline.ir import Array, Graph, Node, Shape
from pipeline.ops.samples import Sample

SUMMARY = "not from ONNX: what every other activation becomes"


@dataclass(frozen=True, kw_only=True)
class Lookup(Node):
    """x int8, table (256,) int8 indexed by x + 128 -> y of x's shape."""

    elementwise: ClassVar[bool] = True

    def shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (inputs[0],)

    def meaning(self, inputs: Sequence[Array], graph: Graph) -> tuple[Array, ...]:
        return (inputs[1][inputs[0].astype(np.int64) + 128],)

    def calls(self, graph: Graph) -> list[KernelCall]:
        return [
            KernelCall(
                kernel="lookup",
                family="lookup",
                node=self.name,
                inputs=self.inputs[:1],
                outputs=self.outputs,
                params={"count": prod(graph.tensors[self.output].shape)},
                tables={"table": graph.constant(self.inputs[1])},
                in_place=True,
            )
        ]


ONNX: dict[str, Any] = {}
NODES = (Lookup,)


def samples() -> Iterator[Sample]:
    """Reached through the activations' samples."""
    return iter(())
