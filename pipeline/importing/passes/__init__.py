"""Named passes from an imported graph to the canonical float graph; each returns a legal graph that means the same."""

from collections.abc import Callable, Mapping

import numpy as np

from pipeline.facts.errors import ChipfitError, Place
from pipeline.graph.ir import Graph
from pipeline.importing.passes.commute import commute
from pipeline.importing.passes.expressions import join_comparisons
from pipeline.importing.passes.fold import assign_scales, fold_affines, fold_pads, fuse_clamps, merge_affines
from pipeline.importing.passes.forward import fold_forward
from pipeline.importing.passes.layout import channels_last, layout
from pipeline.importing.passes.propagate_scales import propagate_scales
from pipeline.importing.passes.stored import Stored

PASSES: tuple[Callable[[Graph], Graph], ...] = (
    channels_last,
    commute,
    fold_pads,
    fold_affines,
    fuse_clamps,
    fold_affines,
    fuse_clamps,
    fold_forward,
    merge_affines,
    join_comparisons,
    assign_scales,
    propagate_scales,
)


def canonical(graph: Graph, shown: str) -> Graph:
    """The canonical form of an imported graph: every pass, verified after each.

    Raises ChipfitError for what no kernel can compute in the final layout.
    """
    graph.verify(integer=False)
    for step in PASSES:
        graph = step(graph)
        graph.verify(integer=False)
    for tensor in graph.tensors.values():
        if tensor.data is not None and not np.isfinite(tensor.data).all():
            raise ChipfitError(f"constant {tensor.name!r} holds NaN or infinity once folded", place=Place(shown))
    for node in graph.nodes:
        problem = node.problem(graph)
        if problem is not None:
            raise ChipfitError(f"{type(node).__name__} node {node.name!r}: {problem}", place=Place(shown))
    return graph


def stored_as(graph: Graph) -> Mapping[str, Stored]:
    """The storage of each tensor of an imported graph in its canonical form, where that still has them."""
    for step in PASSES:
        if step is channels_last:
            return layout(graph)
        graph = step(graph)
    raise AssertionError("no pass chooses the layout")
