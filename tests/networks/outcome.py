"""What became of one network, and the ways in which it can be wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.graph.ir import Graph
from pipeline.graph.tensor import Array


@dataclass(frozen=True, eq=False)
class Outcome:
    """`kind`: equal, near (differences that rounding explains), refused or discarded; `why` sorts the last two.

    The integer graph with inputs and outputs, where there is one, for the checks of what becomes of it.
    """

    kind: str
    why: str = ""
    graph: Graph | None = None
    inputs: Sequence[Array] = ()
    outputs: Sequence[Array] = ()


class Wrong(Exception):
    """A value that nothing explains. `where` names the tensor of the network; `kind` sorts findings by their cause."""

    def __init__(self, kind: str, where: str, detail: str) -> None:
        super().__init__(f"{kind} at {where}: {detail}")
        self.kind, self.where, self.detail = kind, where, detail


class Discarded(Exception):
    """There is nothing to compare with: ONNX Runtime cannot run the network, or it overflows."""
