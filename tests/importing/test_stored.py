"""How a tensor of the file is stored: values come back in the file's order."""

import numpy as np

from pipeline.importing.passes.stored import Stored


def test_axes_are_put_back_and_those_of_size_one_left_out() -> None:
    file = np.arange(2 * 5 * 6).reshape(2, 5, 6)  # samples of a tensor of two axes
    stored = Stored("t", (2, 0, 1), 2)  # axis 0 is the stored axis 2, axis 1 the stored axis 0
    values = file.transpose(0, 2, 1)[:, :, None, :]
    assert (stored.to_file(values) == file).all() and not stored.plain


def test_an_order_of_elements_is_taken_back() -> None:
    file = np.arange(2 * 6).reshape(2, 2, 3)
    order = (3, 0, 5, 1, 4, 2)
    values = np.zeros((2, 6), np.int64)
    values[:, list(order)] = file.reshape(2, 6)
    assert (Stored("t", (0, 1), 2, order).to_file(values.reshape(2, 2, 3)) == file).all()


def test_what_lies_as_it_is_is_plain() -> None:
    stored = Stored.as_is("t", 3)
    values = np.arange(24).reshape(1, 2, 3, 4)
    assert stored.plain and (stored.to_file(values) == values).all()
    assert not Stored("t", (0, 1), 2, (1, 0)).plain
