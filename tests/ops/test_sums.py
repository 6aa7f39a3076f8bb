"""Sums of products by floating-point BLAS: the integers themselves, at the ends of types, in bounded memory."""

import tracemalloc

import numpy as np
import pytest
from building import build
from conftest import some

from pipeline.graph.tensor import Array
from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.passes import canonical
from pipeline.ops.shared.samples import one_node, weights
from pipeline.ops.shared.sums import CHUNK, chunks, correlation, exact_type, matrix_product
from pipeline.ops.shared.window import Window
from pipeline.quantizing.calibrate import Histogram, observe
from pipeline.quantizing.data import Samples

RNG = np.random.default_rng(4)


def exactly(window: Window, x: Array, zero: int, kernel: Array, groups: int) -> Array:
    """The definition, in 64-bit integers."""
    patches = window.patches(x.astype(np.int64) - zero, fill=0)
    n, oh, ow, kh, kw, _ = patches.shape
    out, _, _, per_group = kernel.shape
    columns = patches.reshape(n, oh, ow, kh * kw, groups, per_group)
    rows = kernel.astype(np.int64).reshape(groups, out // groups, kh * kw, per_group)
    sums: Array = np.einsum("nyxtgc,gotc->nyxgo", columns, rows).reshape(n, oh, ow, out)
    return sums


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize(
    ("window", "channels", "out", "groups"),
    [
        (Window((1, 1)), 70, 5, 1),
        (Window((3, 2), (2, 1), (1, 0, 2, 1), (1, 2)), 6, 4, 1),
        (Window((3, 3), (2, 2), (1, 1, 1, 1)), 6, 6, 6),
        (Window((2, 3), (1, 2), (0, 1, 1, 2), (2, 1)), 3, 6, 3),
        (Window((2, 2)), 6, 9, 3),
    ],
)
def test_correlations_are_the_integers(window: Window, channels: int, out: int, groups: int, dtype: str) -> None:
    info = np.iinfo(dtype)
    kernel = RNG.integers(-128, 128, (out, *window.kernel, channels // groups)).astype(np.int8)
    for zero in (info.min, 0, info.max):
        x = RNG.choice([info.min, info.max, 1], (3, 8, 9, channels)).astype(dtype)
        got = correlation(window, x, int(zero), kernel, groups)
        np.testing.assert_array_equal(got, exactly(window, x, int(zero), kernel, groups))


@pytest.mark.parametrize(("taps", "kind"), [(516, np.float32), (520, np.float64)])
def test_single_precision_ends_where_a_sum_could_leave_it(taps: int, kind: type) -> None:
    kernel = np.full((2, taps), 127, np.int8)
    kernel[1, ::2] = -128
    x = np.full((4, taps), -128, np.int8)
    assert exact_type(kernel, x) == kind
    expected = (x.astype(np.int64) - 127) @ kernel.T.astype(np.int64)
    np.testing.assert_array_equal(matrix_product(x, 127, kernel), expected)


def test_a_sum_that_no_float_holds_is_refused() -> None:
    with pytest.raises(ValueError, match="no float holds"):
        exact_type(np.full((1, 4), 1 << 50), np.zeros((1, 4), np.int8))


def test_pieces_cover_everything_once() -> None:
    for count, size in ((0, 5), (1, CHUNK * 3), (7, CHUNK // 2), (1000, 1)):
        covered = [i for part in chunks(count, size) for i in range(count)[part]]
        assert covered == list(range(count))


def test_many_samples_take_no_more_memory_than_their_results() -> None:
    sample = one_node("Conv", {"x": (1, 4, 32, 32)}, {"w": weights(8, 4, 3, 3)}, pads=[1, 1, 1, 1])
    few = tuple(sample.inputs(4).values())
    built = build(sample.model, few, few)
    many = [np.concatenate([built.inputs[0]] * 100)]
    tracemalloc.start()
    (got,) = built.quantized.graph.run(many)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * got.nbytes + (30 << 20)
    np.testing.assert_array_equal(got, np.concatenate([built.expected[0]] * 100))


def test_calibration_keeps_only_what_a_histogram_needs() -> None:
    sample = one_node("Conv", {"x": (1, 4, 64, 64)}, {"w": weights(8, 4, 1, 1)})
    graph = canonical(graph_of(sample.model, "net.onnx", "net"), "net.onnx")
    calibration = Samples(tuple(sample.inputs(200).values()))
    tracemalloc.start()
    observed = observe(graph, calibration, lambda done, total: None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 << 20, "200 samples of 128 KiB each are 26 MB"
    assert all(isinstance(o, Histogram) for o in some(observed.values()))
