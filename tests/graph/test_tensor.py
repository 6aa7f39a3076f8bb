"""Tensors and ports: what integers mean, how reals are rounded to them, and the two layouts of a port."""

import numpy as np
import pytest

from pipeline.graph.tensor import Port, QuantParams, Tensor


def test_limits_and_range_are_those_of_the_type() -> None:
    quant = QuantParams((0.5,), -28)
    assert quant.limits == (-128, 127) and quant.real_range == (-50.0, 77.5)
    assert QuantParams((1.0,), dtype="int16").limits == (-32768, 32767)


def test_reals_are_rounded_half_to_even_and_saturate() -> None:
    quant = QuantParams((0.5,), 3)
    reals = np.array([0.25, 0.75, -0.25, -0.75, 1e300, -np.inf, 61.9])
    assert quant.quantize(reals).tolist() == [3, 5, 3, 1, 127, -128, 127]
    assert quant.quantize(reals).dtype == np.int8


def test_float32_is_divided_in_float32_as_onnx_does_it() -> None:
    real, scale = np.float32(0.15), 0.1  # float32: exactly one and a half steps, rounded to two; float64: above
    single = QuantParams((scale,)).quantize(np.array([real], np.float32))
    assert single.tolist() == [int(np.rint(real / np.float32(scale)))]
    rng = np.random.default_rng(0)
    values = rng.integers(-200, 200, 4000).astype(np.float32) * np.float32(0.05)
    expected = np.rint(values / np.float32(scale)).clip(-128, 127)
    assert (QuantParams((scale,)).quantize(values) == expected).all()


def test_scales_of_an_axis_apply_along_it() -> None:
    quant = QuantParams((1.0, 2.0, 4.0), axis=1)
    reals = np.full((2, 3, 1), 8.0)
    assert quant.quantize(reals)[0, :, 0].tolist() == [8, 4, 2]
    assert (quant.dequantize(quant.quantize(reals)) == reals).all()


def test_a_constant_is_a_copy_that_nobody_changes() -> None:
    data = np.arange(6, dtype=np.int16).reshape(2, 3).T
    tensor = Tensor.constant("c", data)
    data[0, 0] = 99
    assert tensor.data is not None and tensor.data[0, 0] == 0 and tensor.data.flags.c_contiguous
    assert (tensor.shape, tensor.dtype, tensor.size, tensor.bytes) == ((3, 2), "int16", 6, 12)
    with pytest.raises(ValueError, match="read-only"):
        tensor.data[0, 0] = 1


def test_a_port_goes_from_the_files_layout_to_the_stored_one_and_back() -> None:
    port = Port("x", "image", (1, 2, 3, 4), (0, 2, 3, 1))
    samples = np.arange(5 * 24).reshape(5, 1, 2, 3, 4)
    stored = port.to_stored(samples)
    assert stored.shape == (5, 1, 3, 4, 2) and stored[4, 0, 2, 1, 1] == samples[4, 0, 1, 2, 1]
    assert (port.to_onnx(stored) == samples).all()
