"""Disjoint sets of names that can be joined: union-find."""

from collections.abc import Iterable


class DisjointSets:
    """Groups of names, at first one for each name. Source: union-find with path halving (Tarjan and van Leeuwen)."""

    def __init__(self, names: Iterable[str]) -> None:
        self._leader = {n: n for n in names}

    def __contains__(self, name: str) -> bool:
        return name in self._leader

    def find(self, name: str) -> str:
        """The leader of a name's group."""
        leader = self._leader
        while leader[name] != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    def join(self, first: str, second: str) -> None:
        """Unite the groups of both names; the leader of `first` leads the new one."""
        self._leader[self.find(second)] = self.find(first)

    def groups(self) -> dict[str, list[str]]:
        """The members of each group by their leader, in the order of the names."""
        found: dict[str, list[str]] = {}
        for name in self._leader:
            found.setdefault(self.find(name), []).append(name)
        return found
