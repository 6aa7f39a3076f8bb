"""The self-test: vectors that are part of the generated library, and what runs them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.generating.ports import CPort
from pipeline.generating.tables import lines
from pipeline.graph.tensor import Array


@dataclass(frozen=True, eq=False)
class Vectors:
    """Embedded self-test vectors: one array (n, *stored shape) per input and per output port."""

    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]


@dataclass(frozen=True)
class Expected:
    """A port and its vectors, each as lines of numbers, in the C array `array`."""

    port: CPort
    array: str
    vectors: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class SelfTest:
    """Variables of the self-test's template; `owned` are the inputs in the library's memory."""

    arrays: tuple[Expected, ...]
    outputs: tuple[Expected, ...]
    owned: tuple[Expected, ...]
    arguments: str


def selftest_of(product: str, ports: Sequence[CPort], vectors: Vectors) -> SelfTest:
    """The test of `ports`, in the order of the arrays of `vectors`."""
    arrays = [*vectors.inputs, *vectors.outputs]
    expected = tuple(
        Expected(port, f"{product}__{port.name}_vectors", tuple(lines(np.reshape(a, -1)) for a in array))
        for port, array in zip(ports, arrays, strict=True)
    )
    callers = [e for e in expected if e.port.arena_offset is None]
    arguments = [f"{e.array}[v]" if e.port.direction == "input" else f"got_{e.port.name}" for e in callers]
    return SelfTest(
        arrays=expected,
        outputs=tuple(e for e in expected if e.port.direction == "output"),
        owned=tuple(e for e in expected if e.port.arena_offset is not None and e.port.direction == "input"),
        arguments=", ".join(arguments),
    )
