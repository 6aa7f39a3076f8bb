"""Errors of rounded factors, in steps of an operator's output: terms of the bounds that operators state."""

from pipeline.graph.ir import Graph, Node

INT16_SATURATION = 2.0**17
"""Steps beyond which an output of sixteen bits saturates, whatever its zero point."""


def input_values(node: Node, graph: Graph) -> float:
    """The number of integers that the widest type of the node's activations can hold."""
    inputs = [graph.tensors[n] for n in graph.activations(node)]
    return max((2.0 ** (16 if t.dtype == "int16" else 8) for t in inputs), default=1.0)


def double_rounding_error(exponent: int, largest: float) -> float:
    """The error of a multiplier on values of up to `largest`, and of the first of two roundings.

    The multiplier is off by half a unit in 2**30 at most; the first rounding's unit is 2**exponent of the second's.
    """
    return 2.0**-31 * largest + (2.0 ** (exponent - 1) if exponent < 0 else 0.0)
