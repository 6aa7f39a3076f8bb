"""A kernel call: one C function on one layer's constants and buffers, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pipeline.facts.cores import Executed
from pipeline.graph.kernel_params.struct import KernelParams
from pipeline.graph.tensor import Array

C_TYPES = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "uint16": "uint16_t",
    "int64": "int64_t",
}


RoutineMemory = Literal["flash", "code", "all"]
"""What of a routine startup copies to RAM, where nothing waits: nothing, its code, or its code and its tables."""


def suffix(dtype: str) -> str:
    """What a kernel's name ends in for activations of this type."""
    return {"int8": "", "int16": "_s16"}[dtype]


@dataclass(frozen=True)
class SharedRoutines:
    """Routines that layers in assembly call, paid once for all layers of the same memory.

    `functions` are what the macro `<name>_routines` of `<name>.inc` defines; `code`: bytes of all (a test compares).
    """

    name: str
    functions: tuple[str, ...]
    code: int


@dataclass(frozen=True, eq=False)
class Routine:
    """One layer in assembly, `routine(x, y)`: what replaces a kernel call where GNU assembly is understood.

    `lines` are invocations of the macros in `includes`, with {layer} for the layer's own name and {table} for the name
    of each of `tables`; `shared` are the routines that it calls. `executed` (the call itself not
    counted), `code` and `stack` in bytes: what the emulator confirms. `reads`: loads from its tables, about.
    """

    variant: str
    includes: tuple[str, ...]
    shared: tuple[SharedRoutines, ...]
    lines: tuple[str, ...]
    tables: Mapping[str, Array]
    executed: Executed
    code: int
    stack: int
    least_cycles: int
    """A lower bound of the scheme: its multiplications and additions alone."""
    reads: int
    memory: RoutineMemory = "flash"


@dataclass(frozen=True, eq=False)
class KernelCall:
    """`kernel(&params, inputs..., outputs...)`.

    `kernel` names the C function and its source file, `params` is what its struct says, the constants that go to flash
    included. `inputs` and `outputs` are activation tensors. `macs` is what the call multiplies.
    """

    kernel: str
    node: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: KernelParams
    macs: int = 0
    routine: Routine | None = None
    in_place: bool = False
    """Whether the output may be the first input's own memory."""
    parts: tuple["KernelCall", ...] = ()
    """The calls that `routine` computes in one; C computes them one by one."""

    @property
    def family(self) -> str:
        """The name of its parameter struct and contract header."""
        return self.params.struct_name()

    @property
    def requantizer(self) -> str:
        """The requantizer of a linear kernel, which its name ends in: shift, multiplier or once."""
        return self.kernel.rsplit("_", 1)[-1]

    @property
    def int16(self) -> bool:
        """Whether activations are int16, which the name of a kernel of both types says."""
        return self.kernel.endswith(suffix("int16"))

    @property
    def each(self) -> tuple["KernelCall", ...]:
        """Its parts, or itself."""
        return self.parts or (self,)
