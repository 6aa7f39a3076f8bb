"""How many nodes an ONNX model has once its functions stand where they are called: counted, not put there."""

from collections import Counter
from collections.abc import Set
from typing import Any

import onnx

MAX_NODES = 20_000
"""Ten times the largest networks that were ever squeezed into a microcontroller."""

_Key = tuple[str, str, str]


def count_nodes(model: onnx.ModelProto) -> int:
    """Nodes of the graph, its subgraphs and every call of a function; at most MAX_NODES + 1 is counted.

    Functions that call each other in a circle count as more than MAX_NODES.
    """
    functions = {(f.domain, f.name, f.overload): f for f in model.functions}
    bodies = {k: _direct(f, functions.keys()) for k, f in functions.items()}
    known: dict[_Key, int] = {}
    for start in bodies:
        _settle(start, bodies, known)
    plain, calls = _direct(model.graph, functions.keys())
    return min(plain + sum(known[k] * n for k, n in calls.items()), MAX_NODES + 1)


def _settle(start: _Key, bodies: dict[_Key, tuple[int, Counter[_Key]]], known: dict[_Key, int]) -> None:
    """Put what `start` and all that it calls have into `known`; no recursion, for chains may be long."""
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


def _direct(holder: Any, functions: Set[_Key]) -> tuple[int, "Counter[_Key]"]:
    """The nodes of a graph or function that are no calls, and how often each function is called."""
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
