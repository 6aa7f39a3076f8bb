"""Layers and symbols are matched by name, the largest change comes first, a new name alone is no new layer."""

from two_builds import layers, symbols

from pipeline.judging.differences.matching import compared_layers, compared_symbols


def test_the_largest_change_comes_first_and_equal_layers_are_left_out() -> None:
    old = layers(("a", "packed", 100, 8), ("b", "packed", 100, 8), ("c", "packed", 100, 8), ("same", "loop", 1, 1))
    new = layers(("a", "packed", 110, 8), ("b", "loop", 50, 4), ("c", "packed", 100, 9), ("same", "loop", 1, 1))
    found = compared_layers(old, new)
    assert [(x.change, x.old, x.new, x.cycles, x.constants) for x in found] == [
        ("changed", old[1], new[1], -50, -4),
        ("changed", old[0], new[0], 10, 0),
        ("changed", old[2], new[2], 0, 1),
    ]


def test_layers_that_are_gone_new_or_renamed() -> None:
    old = layers(("a", "packed", 100, 8), ("b", "packed", 70, 8))
    new = layers(("z", "packed", 100, 8), ("c", "packed", 60, 8))
    assert [(x.change, x.cycles) for x in compared_layers(old, new)] == [
        ("removed", -70),
        ("added", 60),
        ("renamed", 0),
    ]


def test_calls_of_one_name_are_matched_in_their_order() -> None:
    old = layers(("a", "packed", 100, 8), ("a", "loop", 70, 8))
    new = layers(("a", "packed", 100, 8), ("a", "loop", 71, 8), ("a", "loop", 5, 0))
    assert [(x.change, x.cycles) for x in compared_layers(old, new)] == [("added", 5), ("changed", 1)]


def test_symbols_by_the_size_of_their_change() -> None:
    found = compared_symbols(symbols(run=8, a=100, gone=30), symbols(run=8, a=90, fresh=20))
    assert [(x.name, x.old, x.new, x.difference) for x in found] == [
        ("gone", 30, 0, -30),
        ("fresh", 0, 20, 20),
        ("a", 100, 90, -10),
    ]
