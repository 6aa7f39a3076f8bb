"""Names in groups: joined ones share a leader, whatever the order, and nobody else does."""

import random

from pipeline.facts.disjoint_sets import DisjointSets


def test_groups_are_the_connected_parts_of_random_graphs() -> None:
    """Against colours spread along the edges until nothing changes."""
    for seed in range(50):
        rng = random.Random(seed)
        names = [f"t{i}" for i in range(12)]
        edges = [(rng.choice(names), rng.choice(names)) for _ in range(rng.randrange(12))]
        sets, colour = DisjointSets(names), {n: n for n in names}
        for first, second in edges:
            sets.join(first, second)
            old = colour[second]
            colour = {n: colour[first] if c == old else c for n, c in colour.items()}
        assert {frozenset(g) for g in sets.groups().values()} == {
            frozenset(n for n in names if colour[n] == c) for c in colour.values()
        }


def test_the_first_of_a_join_leads_and_strangers_are_none() -> None:
    sets = DisjointSets("abc")
    sets.join("a", "b")
    sets.join("c", "b")
    assert sets.find("b") == "c" and sets.groups() == {"c": ["a", "b", "c"]}
    assert "a" in sets and "d" not in sets
