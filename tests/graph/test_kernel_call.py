"""A kernel call: its family, its parts, and names by type."""

from dataclasses import replace

import numpy as np
import pytest
from samples_of_calls import conv2d, dense, linear_call

from pipeline.graph.kernel_call import C_TYPES, suffix


def test_a_family_is_the_struct_and_a_call_without_parts_is_its_own() -> None:
    one, other = linear_call(dense(np.ones((2, 3)))), linear_call(conv2d(np.ones((2, 1, 1, 3)), 4, 4))
    assert (one.family, other.family) == ("dense", "conv2d")
    assert one.each == (one,) and replace(one, parts=(one, other)).each == (one, other)


def test_kernels_are_named_by_the_activations_type() -> None:
    assert (suffix("int8"), suffix("int16")) == ("", "_s16")
    with pytest.raises(KeyError):
        suffix("uint8")


def test_types_of_c_have_the_width_of_numpys() -> None:
    for name, ctype in C_TYPES.items():
        bits, unsigned = np.dtype(name).itemsize * 8, np.dtype(name).kind == "u"
        assert ctype == f"{'u' if unsigned else ''}int{bits}_t"
    assert len(C_TYPES) == 6
