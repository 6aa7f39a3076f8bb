"""A TensorFlow Lite operator: scales, clamps as TFLite computes them, and declared shapes that are kept."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest
import tflite

from pipeline.facts.errors import ChipfitError
from pipeline.graph.builder import GraphBuilder
from pipeline.graph.tensor import QuantParams, Tensor
from pipeline.model_files.tflite_node import TfliteNode, round_away
from pipeline.ops.reshape import Reshape

RELU6 = tflite.ActivationFunctionType.RELU6


def node(dtype: str = "int8", quant: QuantParams | None = None, shape: tuple[int, ...] = (2, 3)) -> TfliteNode:
    quant = quant or QuantParams((0.1,), -20, dtype=dtype)
    builder = GraphBuilder("net")
    builder.add(Tensor("x", (1, 6), dtype, None, quant))
    return TfliteNode("RELU", "n", ("x",), ("y",), builder, "n.tflite", (Tensor("y", shape, dtype, None, quant),), None)


@pytest.mark.parametrize(
    ("value", "rounded"), [(0.5, 1), (-0.5, -1), (1.5, 2), (-1.5, -2), (0.49, 0), (-2.51, -3), (0.0, 0)]
)
def test_ties_are_rounded_away_from_zero(value: float, rounded: int) -> None:
    assert round_away(np.float32(value)) == rounded


def test_a_clamp_is_in_integers_of_the_output_and_within_its_type() -> None:
    assert node().clamp(0.0, 6.0) == (-20, 40) and node().clamp(-inf, inf) == (-128, 127)
    assert node().clamp(-1.0, 1.0) == (-30, -10) and node().clamp(-99.0, 99.0) == (-128, 127)
    assert node("int16", QuantParams((0.001,), 0, dtype="int16")).clamp(0.0, 6.0) == (0, 6000)


def test_a_fused_activation_has_real_bounds_and_integer_ones_where_it_is_quantized() -> None:
    assert node().activation(RELU6) == {"low": 0.0, "high": 6.0, "bottom": -20, "top": 40}
    floats = replace(node(), declared=(Tensor("y", (2, 3)),))
    assert floats.activation(RELU6) == {"low": 0.0, "high": 6.0}
    with pytest.raises(ChipfitError, match=r"n\.tflite: RELU node 'n': fused activation 4"):
        node().activation(tflite.ActivationFunctionType.TANH)


def test_what_a_scale_is_needed_for_is_refused_without_one_or_with_several() -> None:
    bare = node()
    bare.graph.add(Tensor("x", (1, 6), "int8"))
    with pytest.raises(ChipfitError, match=r"'x' \(int8\) has no scale"):
        bare.scale(0)
    with pytest.raises(ChipfitError, match="'y' has a scale per channel"):
        node(quant=QuantParams((0.1, 0.2, 0.3), axis=1)).output_scale()
    with pytest.raises(ChipfitError, match="it has no options"):
        node().options(tflite.AddOptions)


def test_the_declared_shape_is_kept() -> None:
    reshape = Reshape(name="n", inputs=("x",), outputs=("y",), shape=(2, 3))
    right = node()
    right.emit(reshape)
    assert right.graph.nodes == [reshape] and right.graph.tensors["y"].quant == right.output_quant()
    with pytest.raises(ChipfitError, match=r"it makes \[3, 2\], its inputs make \[2, 3\]"):
        node(shape=(3, 2)).emit(reshape)
    with pytest.raises(ChipfitError, match=r"it makes \[2, 3\], not \[6\]"):
        node().fold(np.zeros(6, np.int8))
