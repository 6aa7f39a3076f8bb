"""Affine forms: whatever changes the form, tensor == scale * other + offset still holds."""

import numpy as np

from pipeline.graph.affine_form import AffineForm

OTHER = np.arange(24.0).reshape(2, 3, 4)
FORM = AffineForm(
    np.broadcast_to(np.array([2.0, -1.0, 0.5, 3.0]), (2, 3, 4)),
    np.broadcast_to(np.array([[1.0], [2.0], [3.0]]), (2, 3, 4)),
)


def test_what_moves_values_moves_the_form() -> None:
    tensor, form = FORM.scale * OTHER + FORM.offset, FORM.mapped(lambda v: v.transpose(2, 0, 1))
    assert (form.scale * OTHER.transpose(2, 0, 1) + form.offset == tensor.transpose(2, 0, 1)).all()


def test_it_is_constant_along_the_axes_where_neither_part_changes() -> None:
    along = {axis: FORM.constant_along((axis,)) for axis in range(3)}
    assert along == {0: True, 1: False, 2: False} and not FORM.constant_along((0, 1)) and FORM.constant_along(())


def test_a_sum_along_constant_axes_keeps_the_form_and_another_length_too() -> None:
    tensor = FORM.scale * OTHER + FORM.offset
    reduced = FORM.reduced((0,))
    assert reduced.scale.shape == (1, 3, 4)
    np.testing.assert_allclose(
        reduced.scale * OTHER.mean(0, keepdims=True) + reduced.offset, tensor.mean(0, keepdims=True)
    )
    longer = FORM.resized((0,), (5, 3, 4))
    assert longer.scale.shape == longer.offset.shape == (5, 3, 4) and (longer.offset[4] == FORM.offset[0]).all()
