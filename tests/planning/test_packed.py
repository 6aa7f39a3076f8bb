"""What packed layers are made of: blocks, chunks, words of two weights."""

import numpy as np
import pytest
from samples_of_calls import conv2d, dense, depthwise, linear_call

from pipeline.planning.variants.armv6m.packed import (
    Block,
    LinearLayer,
    blocks_of,
    chunks_of,
    linear_of,
    pair_words,
    rows_by_block,
)

RNG = np.random.default_rng(2)


def linear(outputs: int, inputs: int) -> LinearLayer:
    found = linear_of(linear_call(dense(RNG.integers(-128, 128, (outputs, inputs)))))
    assert found is not None
    return found


@pytest.mark.parametrize("outputs", range(1, 20))
@pytest.mark.parametrize("each", [4, 6, 12])
def test_blocks_hold_every_output_once(outputs: int, each: int) -> None:
    blocks = blocks_of(outputs, each)
    assert sum(b.count * b.outputs for b in blocks) == outputs and max(b.outputs for b in blocks) <= each
    assert [b.pairs for b in blocks] == [-(-b.outputs // 2) for b in blocks]


@pytest.mark.parametrize("inputs", [1, 239, 240, 241, 480, 481, 1000])
def test_chunks_are_nearly_equal_parts_that_one_instruction_reaches(inputs: int) -> None:
    chunks = chunks_of(linear(2, inputs))
    assert [b for b, _ in chunks] == [0, *(e for _, e in chunks[:-1])] and chunks[-1][1] == inputs
    sizes = [e - b for b, e in chunks]
    assert max(sizes) <= 240 and max(sizes) - min(sizes) <= 1 and len(chunks) == -(-inputs // 240)


def test_chunks_of_a_convolution_are_whole_kernel_rows() -> None:
    found = linear_of(linear_call(conv2d(np.ones((2, 5, 3, 30)), 9, 9)))
    assert found is not None and found.weights.shape == (2, 450)
    assert [(b % 90, e % 90) for b, e in chunks_of(found)] == [(0, 0)] * len(chunks_of(found))
    assert max(e - b for b, e in chunks_of(found)) == 180


def test_rows_are_negated_and_zeros_fill_a_pair() -> None:
    own = linear(5, 3)
    blocks = rows_by_block(own, [Block(2, 2), Block(1, 1)])
    assert [(first, outputs) for first, outputs, _ in blocks] == [(0, 2), (2, 2), (4, 1)]
    assert (blocks[1][2] == -own.weights[2:4]).all()
    assert (blocks[2][2][0] == -own.weights[4]).all() and not blocks[2][2][1].any()


def test_one_multiplication_of_a_word_is_one_of_both_lanes() -> None:
    rows = RNG.integers(-128, 129, (4, 7))
    words = pair_words(rows).reshape(7, 2)
    for value in (-128, -1, 0, 5, 127):
        product = words * value
        low = (product + 2**15) % 2**16 - 2**15
        assert (low == (rows[0::2] * value).T).all() and ((product - low) >> 16 == (rows[1::2] * value).T).all()


def test_other_layers_have_no_scheme() -> None:
    assert linear_of(linear_call(depthwise(np.ones((3, 3, 2)), 5, 5))) is None
