"""Small quantized TFLite models, several for each operator: what the importer must mean exactly."""

from collections.abc import Iterator

from tflite_cases.arithmetic import activations, binaries, extrema, linear, means, pools, prelus, softmaxes
from tflite_cases.case import Case
from tflite_cases.movement import many, moves

__all__ = ["Case", "cases"]
GROUPS = (activations, softmaxes, linear, pools, means, binaries, prelus, moves, many, extrema)


def cases() -> Iterator[Case]:
    for group in GROUPS:
        yield from group()
