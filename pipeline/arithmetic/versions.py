"""Names of arithmetic with a version: which rules a network's integers follow, so that others can compute them again.

A name never changes its meaning: `docs/arithmetic.md` says it once, a test pins it to vectors. What computes something
else, in one output of one input, has another name.
"""

from pipeline.graph.ir import Graph

EXACT = "chipfit.exact.v1"
VERSIONS = (
    EXACT,
    "chipfit.int8.shift.v1",
    "chipfit.int8.multiplier.v1",
    "chipfit.int8.once.v1",
    "chipfit.int8.scaled.v1",
    "chipfit.int8.rescaled.v1",
    "chipfit.int8.quotient.v1",
    "chipfit.int8.table.v1",
    "chipfit.int8.softmax.v1",
    "chipfit.int8.softmax_scaled.v1",
    "chipfit.int8.softmax_exact.v1",
    "chipfit.int16.wide.v1",
    "chipfit.int16.once.v1",
    "chipfit.int16.scaled.v1",
    "chipfit.int16.rescaled.v1",
    "chipfit.int16.quotient.v1",
    "chipfit.int16.table.v1",
    "chipfit.int16.softmax.v1",
)
"""Every name that there is."""


def arithmetic_of(graph: Graph) -> tuple[str, ...]:
    """The names that an integer network's nodes follow, in the order of `VERSIONS`; none for a network of views.

    Activations stored as uint8 are computed as int8, 128 lower.
    """
    found = {_name(node.arithmetic(), graph.tensors[node.inputs[0]].dtype) for node in graph.nodes if not node.is_view}
    return tuple(v for v in VERSIONS if v in found)


def _name(rule: str, dtype: str) -> str:
    name = EXACT if rule == "exact" else f"chipfit.{'int8' if dtype == 'uint8' else dtype}.{rule}.v1"
    if name not in VERSIONS:
        raise ValueError(
            f"no arithmetic is called {name}: name it in VERSIONS, and say in docs/arithmetic.md what it is"
        )
    return name
