"""Clamps and affines in front of what moves values, against the network as it was."""

import numpy as np
import pytest
from test_fold import BOUNDS, RNG, Writer, assert_same, kinds

from pipeline.importing.passes.commute import axis_of, broadcast_along, commute
from pipeline.ops.affine import Affine
from pipeline.ops.clamp import Clamp
from pipeline.ops.dense import Dense
from pipeline.ops.reshape import Reshape
from pipeline.ops.transpose import Transpose


def layer(rows: int = 2) -> Writer:
    return Writer(rows, 3).then(Dense, RNG.normal(0, 1, (4, 3)), RNG.normal(0, 1, 4), **BOUNDS)


def test_a_clamp_moves_to_the_layer_that_has_one() -> None:
    before = layer().then(Reshape, shape=(8, 1)).then(Transpose, perm=(1, 0)).then(Clamp, low=-1.0, high=1.0).graph()
    after = commute(before)
    assert kinds(after) == ["Dense", "Clamp", "Reshape", "Transpose"]
    assert_same(before, after)


@pytest.mark.parametrize(("axis", "perm"), [(0, (1, 0)), (1, (0, 1))])
def test_factors_per_channel_find_the_axis_of_their_channels(axis: int, perm: tuple[int, int]) -> None:
    behind = layer().then(Transpose, perm=perm)
    before = behind.then(Affine, np.array([1.0, -2.0, 3.0, 4.0]), np.arange(4.0), axis=axis, **BOUNDS).graph()
    after = commute(before)
    assert kinds(after) == ["Dense", "Affine", "Transpose"] and after.nodes[1].axis == 1  # type: ignore[attr-defined]
    assert_same(before, after)


def test_a_permutation_of_three_axes_is_followed_backwards() -> None:
    own = Writer(2, 5, 3).then(Dense, RNG.normal(0, 1, (4, 3)), RNG.normal(0, 1, 4), **BOUNDS)
    behind = own.then(Transpose, perm=(1, 2, 0))
    before = behind.then(Affine, np.array([1.0, -2.0, 3.0, 4.0]), np.arange(4.0), axis=1, **BOUNDS).graph()
    after = commute(before)
    assert kinds(after) == ["Dense", "Affine", "Transpose"]
    assert_same(before, after)


def test_what_no_layer_can_take_in_stays_and_what_is_read_twice_too() -> None:
    alone = Writer(2, 3).then(Reshape, shape=(6,)).then(Clamp, low=-1.0, high=1.0).graph()
    assert kinds(commute(alone)) == ["Reshape", "Clamp"]
    mixed = layer().then(Reshape, shape=(8,)).then(Affine, np.arange(8.0), np.zeros(8), axis=0, **BOUNDS).graph()
    assert kinds(commute(mixed)) == ["Dense", "Reshape", "Affine"], "rows and channels have become one axis"
    twice = layer().then(Reshape, shape=(8,))
    middle = twice.last
    twice.then(Clamp, low=-1.0, high=1.0)
    assert kinds(commute(twice.graph(twice.last, middle))) == ["Dense", "Reshape", "Clamp"]


def test_the_axis_that_counts_is_found() -> None:
    index = np.broadcast_to(broadcast_along(np.arange(4), 1, 3), (3, 4, 2))
    assert axis_of(index, 4) == 1 and axis_of(index.transpose(1, 0, 2), 4) == 0
    assert axis_of(index, 3) is None and axis_of(index[:, ::-1], 4) is None
