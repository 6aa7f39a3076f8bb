"""How a tensor of the model file is stored."""

from dataclasses import dataclass

from pipeline.graph.tensor import Array

Perm = tuple[int, ...]


@dataclass(frozen=True)
class Stored:
    """Axis a of the tensor is axis perm[a] of the stored tensor `name`, whose axes perm[rank:] have size 1.

    `order` instead: the tensor's element i, counted row by row, is element order[i] of the stored one.
    """

    name: str
    perm: Perm
    rank: int
    order: tuple[int, ...] | None = None

    def to_file(self, values: Array) -> Array:
        """Values as the model file has them: (n, *stored shape) -> (n, *shape in the model file)."""
        if self.order is not None:
            return values.reshape(len(values), -1)[:, list(self.order)].reshape(values.shape)
        in_file_order = values.transpose(0, *(1 + p for p in self.perm))
        return in_file_order.reshape(in_file_order.shape[: 1 + self.rank])

    @classmethod
    def as_is(cls, name: str, rank: int) -> "Stored":
        return cls(name, tuple(range(rank)), rank)

    @property
    def plain(self) -> bool:
        return self.perm == tuple(range(self.rank)) and self.order is None
