"""Samples that do not suit the network: the sentence says what the file holds and what the input wants."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.facts.config.models import DataSource
from pipeline.facts.errors import ChipfitError, Place
from pipeline.graph.tensor import Port, Shape
from pipeline.quantizing.data import Samples, load_samples


def load(folder: Path, shape: Shape = (1, 8), **arrays: np.ndarray) -> Samples:
    np.savez(folder / "d.npz", **arrays)
    port = Port("t", "in", shape, tuple(range(len(shape))))
    place = Place("net.yaml", 3)
    return load_samples(folder / "d.npz", place, [port], DataSource(file="d.npz"), defaults=("x",), labelled=True)


@pytest.mark.parametrize(
    ("given", "wanted", "message"),
    [
        ((5, 8), (4, 8), r"\(8,\), .*wants \(4, 8\)\. Hint: If 4 is the batch, export the model with a batch of 1"),
        ((5, 7), (4, 8), r"\(7,\), .*wants \(4, 8\)\. Hint: The first axis counts samples"),
        ((5, 7), (1, 8), r"\(7,\), .*wants \(8,\)\. Hint: The first axis counts samples"),
        ((5, 2, 4), (1, 8), r"\(2, 4\), .*wants \(8,\)\. Hint: The first axis counts samples"),
        ((5, 7), (8,), r"\(7,\), .*wants \(8,\)\. Hint: The first axis counts samples"),
    ],
)
def test_samples_of_another_shape(tmp_path: Path, given: Shape, wanted: Shape, message: str) -> None:
    with pytest.raises(ChipfitError, match=f"'x' has samples of shape {message}"):
        load(tmp_path, wanted, x=np.zeros(given, np.float32))


def test_numbers_are_named_as_the_file_holds_them(tmp_path: Path) -> None:
    x = np.ones((3, 8))
    with pytest.raises(ChipfitError, match=f"labels 'y' hold {2**64 - 1}, which is no class"):
        load(tmp_path, x=x, y=np.full(3, 2**64 - 1, np.uint64))
    with pytest.raises(ChipfitError, match="'x' holds values beyond the range of float32, first in sample 2"):
        load(tmp_path, x=x * [[1], [1], [1e300]])
    with pytest.raises(ChipfitError, match="'x' holds NaN or infinity, first in sample 1"):
        load(tmp_path, x=x * [[1], [np.nan], [1e300]])
    found = load(tmp_path, x=x, y=np.arange(3, dtype=np.uint64)).labels
    assert found is not None and found.dtype == np.int64
