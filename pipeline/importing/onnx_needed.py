"""The nodes of an ONNX graph that its outputs depend on: no other is read, so no other can be refused."""

from collections.abc import Iterator

import onnx


def live_nodes(graph: onnx.GraphProto) -> tuple[list[tuple[int, onnx.NodeProto]], set[str]]:
    """The nodes that an output depends on, each with its number in the file, and every name that is read."""
    read = {o.name for o in graph.output}
    nodes = []
    for index, node in reversed(list(enumerate(graph.node))):
        if read & set(node.output):
            nodes.append((index, node))
            read |= set(_names_read(node))
    return nodes[::-1], read


def _names_read(node: onnx.NodeProto) -> Iterator[str]:
    """The names that a node and the graphs in it read."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            yield from (o.name for o in graph.output)
            for inner in graph.node:
                yield from _names_read(inner)
