"""Weights of every linear family as one row for each output."""

import numpy as np
from samples_of_calls import conv2d, dense, depthwise

from pipeline.graph.kernel_params.linear import weight_rows

RNG = np.random.default_rng(1)


def test_a_row_holds_an_outputs_weights_in_the_order_of_its_taps() -> None:
    matrix, kernel, planes = (RNG.integers(-9, 9, s) for s in ((3, 5), (3, 2, 2, 4), (2, 3, 4)))
    assert (weight_rows(dense(matrix)) == matrix).all()
    assert (weight_rows(conv2d(kernel, 5, 5)) == kernel.reshape(3, 16)).all()
    rows = weight_rows(depthwise(planes, 5, 5))
    assert rows.shape == (4, 6), "output channels come last in a depthwise layer"
    assert all((rows[c] == planes[..., c].reshape(-1)).all() for c in range(4))
