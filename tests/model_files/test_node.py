"""A node of any file as an import function sees it: inputs, constants, axes, and refusals with its name."""

from typing import Any

import numpy as np
import pytest

from pipeline.facts.errors import ChipfitError
from pipeline.graph.builder import GraphBuilder
from pipeline.graph.tensor import Tensor
from pipeline.model_files.onnx_node import OnnxNode


def node(**attributes: Any) -> OnnxNode:
    builder = GraphBuilder("net")
    builder.add(Tensor("x", (1, 3, 4)))
    builder.constant("w", np.array([1.5, 2.5]))
    return OnnxNode("Op", "n", ("x", "", "w"), ("y",), builder, "net.onnx", attributes, 17, ("", "", "uint8"))


def test_a_constant_is_read_and_an_activation_in_its_place_refused() -> None:
    assert node().constant(2, "scale").tolist() == [1.5, 2.5]
    with pytest.raises(ChipfitError, match=r"^net\.onnx: Op node 'n': its bias \(input 0\) must be a constant\."):
        node().constant(0, "bias")


@pytest.mark.parametrize(("axis", "found"), [(0, 0), (2, 2), (-1, 2), (-3, 0)])
def test_axes_count_from_either_end(axis: int, found: int) -> None:
    assert node().axis(axis, 3) == found


@pytest.mark.parametrize("axis", [3, -4])
def test_an_axis_that_does_not_exist_is_refused(axis: int) -> None:
    with pytest.raises(ChipfitError, match=f"axis {axis} does not exist in a tensor of rank 3"):
        node().axis(axis, 3)


def test_axes_are_a_number_or_a_list_without_repetition() -> None:
    assert node().axes(np.array(-1), 3) == (2,) and node().axes([0, -1], 3) == (0, 2)  # type: ignore[arg-type]
    with pytest.raises(ChipfitError, match="name one axis twice"):
        node().axes([1, -2], 3)


def test_what_no_check_foresaw_is_one_line_with_the_kind_of_error() -> None:
    error = str(node().malformed(IndexError("tuple index\nout of range")))
    assert error.startswith("net.onnx: Op node 'n' is malformed (IndexError: tuple index). Hint: If the model runs")
