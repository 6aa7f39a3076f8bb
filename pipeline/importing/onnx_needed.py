"""What of an ONNX graph its outputs depend on: nothing else is read, so nothing else can be refused."""

from collections.abc import Iterator

import onnx


def needed(graph: onnx.GraphProto) -> tuple[list[tuple[int, onnx.NodeProto]], set[str]]:
    """The nodes that an output depends on, each with its number in the file, and every name that is read."""
    read = {o.name for o in graph.output}
    found = []
    for index, node in reversed(list(enumerate(graph.node))):
        if read & set(node.output):
            found.append((index, node))
            read |= set(_read_by(node))
    return found[::-1], read


def _read_by(node: onnx.NodeProto) -> Iterator[str]:
    """The names that a node and the graphs in it read."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            yield from (o.name for o in graph.output)
            for inner in graph.node:
                yield from _read_by(inner)
