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

_MAX_OPERATORS = 64  # operators in one expression


@dataclass(frozen=True)
class _TermOfRoot:
    """A tensor as `term` of another one, `root`; `count` operators."""

    root: str
    term: Term
    count: int
    must: bool
    """Whether there is no other way to compute it."""


def join_comparisons(graph: Graph) -> Graph:
    """Join every comparison or choice with what it compares and chooses: they have no integer meaning of their own."""
    return _join(graph, everything=False)


def join_functions(graph: Graph) -> Graph:
    """Join every run of elementwise operators on one tensor into one node; for int8, whose tables are exact."""
    return _join(graph, everything=True)


def _join(graph: Graph, *, everything: bool) -> Graph:
    terms: dict[str, _TermOfRoot] = {}
    out = GraphBuilder.beside(graph)
    for node in graph.nodes:
        term = _term_of_root(node, graph, terms)
        if term is not None:
            terms[node.output] = term
            wide = any(_is_int16(graph, n) for n in (term.root, node.output))
            if term.count > 1 and (term.must or (everything and not wide)):
                node = Expression(name=node.name, inputs=(term.root,), outputs=node.outputs, term=term.term)
        output = graph.tensors[node.output]
        out.append(node, output.dtype, output.quant)
    return out.build(graph.inputs, graph.outputs, graph.opset)


def _term_of_root(node: Node, graph: Graph, terms: dict[str, _TermOfRoot]) -> _TermOfRoot | None:
    """The node's output as a term of one tensor; None where it depends on several."""
    term = _node_term(node, graph)
    if term is None:
        return None
    names = graph.activations(node)
    if len({graph.tensors[n].shape for n in (*names, node.output)}) != 1:
        return None
    operands = [_operand_term(n, graph, terms) for n in names]
    count = 1 + sum(p.count for p in operands)
    if len({p.root for p in operands}) != 1 or count > _MAX_OPERATORS:
        operands = [_TermOfRoot(n, ("input", 0), 0, False) for n in names]
        count = 1
    if len({p.root for p in operands}) != 1:
        return None
    must = isinstance(node, Expression) or any(p.must for p in operands)
    return _TermOfRoot(operands[0].root, _substitute(term, [p.term for p in operands]), count, must)


def _operand_term(name: str, graph: Graph, terms: dict[str, _TermOfRoot]) -> _TermOfRoot:
    """A tensor as a term: of itself, where nothing is known or its scale is prescribed."""
    free = graph.tensors[name].quant is None
    return terms[name] if free and name in terms else _TermOfRoot(name, ("input", 0), 0, False)


def _is_int16(graph: Graph, name: str) -> bool:
    """Whether the file prescribes int16, of whose values a table holds only some."""
    quant = graph.tensors[name].quant
    return quant is not None and quant.dtype == "int16"


def _substitute(term: Term, parts: list[Term]) -> Term:
    """The term with `parts` for its inputs."""
    if term[0] == "input":
        return parts[term[1]]
    return term if term[0] == "constant" else (term[0], term[1], *(_substitute(t, parts) for t in term[2:]))


def _node_term(node: Node, graph: Graph) -> Term | None:
    """One node as a term of its activations, in their order; None for what is no function of single values."""
    operands = _operand_terms(node, graph)
    term = None if operands is None else node.as_term(operands)
    return _clamp_term(term, node) if term is not None else None


def _operand_terms(node: Node, graph: Graph) -> list[Term] | None:
    """The node's inputs as terms; None where a constant has more than one value."""
    names = graph.activations(node)
    terms: list[Term] = []
    for name in node.inputs:
        if name in names:
            terms.append(("input", names.index(name)))
            continue
        data = graph.constant(name)
        if data.size != 1:
            return None
        terms.append(("constant", float(data.reshape(-1)[0])))
    return terms


def _clamp_term(term: Term, node: Node) -> Term:
    if not isinstance(node, ClampedNode):
        return term
    bounds: list[tuple[str, Any]] = [("low", node.low), ("high", node.high)]
    finite = tuple((k, v) for k, v in bounds if abs(v) != float("inf"))
    return ("Clip", finite, term) if finite else term
