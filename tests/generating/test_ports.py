"""Ports as C: names, layout, and scales as exact ratios."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from samples_of_calls import dense, linear_call, program

from pipeline.generating.ports import exact_ratio, ports_of
from pipeline.planning.plan import Location

CALL = linear_call(dense(np.ones((6, 2))))


@pytest.mark.parametrize("exponent", [*range(-60, 61, 7), -120, 90])
@pytest.mark.parametrize("mantissa", [1, 3, (1 << 24) - 1, 0x9ABCDF])
def test_a_ratio_is_exact_and_its_multiplier_fits_32_bits(mantissa: int, exponent: int) -> None:
    multiplier, shift = exact_ratio(float(mantissa) * 2.0**exponent)
    assert Fraction(multiplier) / Fraction(2) ** shift == Fraction(mantissa) * Fraction(2) ** exponent
    assert 0 < multiplier < 2**31


def test_ports_carry_names_of_c_and_of_the_file_and_where_their_memory_is() -> None:
    x, y = ports_of(program(CALL, {"x": Location("input"), "y": Location("arena", 16)}))
    assert (x.direction, x.name, x.onnx, x.ctype, x.size, x.macro) == (
        "input",
        "input",
        "image",
        "int8_t",
        24,
        "NET_INPUT",
    )
    assert x.parameter == "const int8_t input[24]" and x.shape == "1x3x4x2" and x.arena_offset is None
    assert x.layout == ", channels last (the model file has [1, 2, 3, 4])"
    assert (y.parameter, y.layout, y.arena_offset) == ("int8_t output[6]", "", 16)
    assert x.scale is not None and x.scale.scale == "0.375"
    assert (x.scale.zero_point, x.scale.multiplier, x.scale.shift) == ("5", 3, "3")


def test_several_ports_are_numbered_and_axes_of_size_one_are_no_other_layout() -> None:
    one = program(CALL, {"x": Location("input"), "z": Location("input", port=1), "y": Location("output")})
    flat = replace(one.graph.tensors["x"], name="z", shape=(1, 1, 1, 24))
    port = replace(one.graph.inputs[0], tensor="z", onnx_shape=(1, 24, 1, 1))
    graph = replace(one.graph, tensors=one.graph.tensors | {"z": flat}, inputs=(*one.graph.inputs, port))
    names = [(p.name, p.layout != "") for p in ports_of(replace(one, graph=graph))]
    assert names == [("input_0", True), ("input_1", False), ("output", False)]
