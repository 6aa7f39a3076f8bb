"""The dataclasses of kernels' parameters, found."""

import importlib
import pkgutil

import pipeline.graph.kernel_params as package
from pipeline.graph.kernel_params.struct import Struct


def classes() -> dict[str, type[Struct]]:
    """The dataclasses that nothing is derived from, by the name of their struct."""
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    waiting, found = [Struct], {}
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if not kind.__subclasses__():
            found[kind.struct_name()] = kind
    return found
