"""Elementwise operators that read one tensor and constants, joined: what is a function of one value is one table.

A table is exact to half an output step whatever stands in between, and needs no scale for it: Log(Sigmoid(x)) keeps the
small values that int8 would lose.
"""

from dataclasses import dataclass
from typing import Any

from pipeline.graph.builder import GraphBuilder
from pipeline.graph.ir import ClampedNode, Graph, Node
from pipeline.graph.term import Term
from pipeline.ops.expression import Expression

_MOST = 64  # operators in one expression


@dataclass(frozen=True)
class _Said:
    """A tensor as a term of another one, `root`."""

    root: str
    term: Term
    count: int
    must: bool
    """Whether there is no other way to compute it."""


def join_comparisons(graph: Graph) -> Graph:
    """Every comparison or choice with what it compares and chooses: they have no integer meaning of their own."""
    return _joined(graph, everything=False)


def join_functions(graph: Graph) -> Graph:
    """Every run of elementwise operators on one tensor as one node; for int8, whose tables are exact."""
    return _joined(graph, everything=True)


def _joined(graph: Graph, *, everything: bool) -> Graph:
    said: dict[str, _Said] = {}
    out = GraphBuilder.beside(graph)
    for node in graph.nodes:
        found = _said(node, graph, said)
        if found is not None:
            said[node.output] = found
            wide = any(_wide(graph, n) for n in (found.root, node.output))
            if found.count > 1 and (found.must or (everything and not wide)):
                node = Expression(name=node.name, inputs=(found.root,), outputs=node.outputs, term=found.term)
        made = graph.tensors[node.output]
        out.append(node, made.dtype, made.quant)
    return out.build(graph.inputs, graph.outputs, graph.opset)


def _said(node: Node, graph: Graph, said: dict[str, _Said]) -> _Said | None:
    """The node's output as a term of one tensor; None where it depends on several."""
    own = _term(node, graph)
    if own is None:
        return None
    names = graph.activations(node)
    if len({graph.tensors[n].shape for n in (*names, node.output)}) != 1:
        return None
    parts = [_part(n, graph, said) for n in names]
    count = 1 + sum(p.count for p in parts)
    if len({p.root for p in parts}) != 1 or count > _MOST:
        parts = [_Said(n, ("input", 0), 0, False) for n in names]
        count = 1
    if len({p.root for p in parts}) != 1:
        return None
    must = isinstance(node, Expression) or any(p.must for p in parts)
    return _Said(parts[0].root, _put(own, [p.term for p in parts]), count, must)


def _part(name: str, graph: Graph, said: dict[str, _Said]) -> _Said:
    """What a tensor is a term of: itself, where nothing is known or its scale is prescribed."""
    free = graph.tensors[name].quant is None
    return said[name] if free and name in said else _Said(name, ("input", 0), 0, False)


def _wide(graph: Graph, name: str) -> bool:
    """Whether the file prescribes int16, of whose values a table holds only some."""
    quant = graph.tensors[name].quant
    return quant is not None and quant.dtype == "int16"


def _put(term: Term, parts: list[Term]) -> Term:
    """The term with `parts` for its inputs."""
    if term[0] == "input":
        return parts[term[1]]
    return term if term[0] == "constant" else (term[0], term[1], *(_put(t, parts) for t in term[2:]))


def _term(node: Node, graph: Graph) -> Term | None:
    """One node as a term of its activations, in their order; None for what is no function of single values."""
    operands = _operands(node, graph)
    made = None if operands is None else node.as_term(operands)
    return _clamped(made, node) if made is not None else None


def _operands(node: Node, graph: Graph) -> list[Term] | None:
    """The node's inputs as terms; None where a constant has more than one value."""
    names = graph.activations(node)
    made: list[Term] = []
    for name in node.inputs:
        if name in names:
            made.append(("input", names.index(name)))
            continue
        data = graph.constant(name)
        if data.size != 1:
            return None
        made.append(("constant", float(data.reshape(-1)[0])))
    return made


def _clamped(term: Term, node: Node) -> Term:
    if not isinstance(node, ClampedNode):
        return term
    bounds: list[tuple[str, Any]] = [("low", node.low), ("high", node.high)]
    finite = tuple((k, v) for k, v in bounds if abs(v) != float("inf"))
    return ("Clip", finite, term) if finite else term
