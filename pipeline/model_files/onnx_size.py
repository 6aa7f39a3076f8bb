"""The number of nodes that an ONNX model has once its functions are inlined, counted without inlining them."""

from collections import Counter
from collections.abc import Set
from typing import Any

import onnx

MAX_NODES = 20_000
"""Ten times the largest networks that were ever squeezed into a microcontroller."""

_Key = tuple[str, str, str]


def count_nodes(model: onnx.ModelProto) -> int:
    """Nodes of the graph, its subgraphs and every call of a function, at most MAX_NODES + 1.

    Functions that call each other in a circle count as more than MAX_NODES.
    """
    functions = {(f.domain, f.name, f.overload): f for f in model.functions}
    bodies = {k: _count_own(f, functions.keys()) for k, f in functions.items()}
    known: dict[_Key, int] = {}
    for start in bodies:
        _count_inlined(start, bodies, known)
    plain, calls = _count_own(model.graph, functions.keys())
    return min(plain + sum(known[k] * n for k, n in calls.items()), MAX_NODES + 1)


def _count_inlined(start: _Key, bodies: dict[_Key, tuple[int, Counter[_Key]]], known: dict[_Key, int]) -> None:
    """Add the inlined nodes of `start`, and of each function that it calls, to `known`.

    No recursion, for call paths may be long.
    """
    waiting, begun = [start], set()
    while waiting:
        key = waiting[-1]
        plain, calls = bodies[key]
        open_calls = [k for k in calls if k not in known]
        if key in known:
            waiting.pop()
        elif not open_calls:
            known[key] = min(plain + sum(known[k] * n for k, n in calls.items()), MAX_NODES + 1)
        elif key in begun:  # what it calls leads back to it
            known[key] = MAX_NODES + 1
        else:
            begun.add(key)
            waiting += open_calls


def _count_own(holder: Any, functions: Set[_Key]) -> tuple[int, "Counter[_Key]"]:
    """How many nodes of a graph or function are no calls, and how often it calls each function."""
    calls: Counter[_Key] = Counter()
    plain, waiting = 0, [holder]
    while waiting:
        for node in waiting.pop().node:
            key = (node.domain, node.op_type, node.overload)
            if key in functions:
                calls[key] += 1
            else:
                plain += 1
            for attribute in node.attribute:
                waiting += [attribute.g] if attribute.HasField("g") else []
                waiting += attribute.graphs
    return plain, calls
