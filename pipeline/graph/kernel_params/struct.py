"""Parameter structs of C in Python: fields in the order of the members, a nested struct is a nested dataclass."""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any, ClassVar, TypedDict

import numpy.typing as npt

Array = npt.NDArray[Any]
Member = int | tuple[int, ...] | Array
"""An int32_t, an array of WALK_RANK of them, or a pointer to constants in flash."""


class Struct:
    """A dataclass `AveragePoolParams` of the members of `struct average_pool`; None is a member that stays 0."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    @classmethod
    def struct_name(cls) -> str:
        """Name of the struct in C."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__.removesuffix("Params")).lower()

    def members(self) -> Iterator[tuple[str, Member]]:
        """Members that are not None in the order of the struct, those of a struct in it as `pool.out_height`."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Struct):
                yield from ((f"{field.name}.{name}", member) for name, member in value.members())
            elif value is not None:
                yield field.name, value


class KernelParams(Struct):
    """The struct that a family of kernels takes; its contract header is `<struct_name>.h`."""


class ShiftAndClamp(TypedDict):
    """Arguments for the last step of a sum: clamp((sum + offset) >> shift, low, high)."""

    offset: int
    shift: int
    low: int
    high: int
