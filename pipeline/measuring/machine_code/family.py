"""What a family of instruction sets gives to the simulator and to the footprint: the Protocol, and its answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import capstone
import unicorn

from pipeline.facts.cores import Core, Cost, MachineCode
from pipeline.facts.errors import ChipfitError
from pipeline.measuring.machine_code.decoded import DecodedImage, Function, Section
from pipeline.measuring.machine_code.loaded import LoadedImage


@dataclass(frozen=True)
class BlockPrice:
    """Cycles of one pass with no taken exit, what a taken exit adds, and instructions.

    `conditional` is how many instructions are still to come after the last one that one of the block may skip.
    """

    stay: Cost
    taken: Cost
    instructions: int
    conditional: int = 0


@dataclass(frozen=True)
class Frame:
    """`deepest` bytes of its own; `calls`: callee address -> most bytes in use when it is called or jumped to."""

    deepest: int
    calls: dict[int, int]


class UnboundedError(Exception):
    """Why the stack cannot be bounded, as a sentence about the function."""


class Family(Protocol):
    """A folder of measuring/ whose package has these."""

    CODE: MachineCode

    def price_block(
        self, code: bytes, address: int, core: Core, multiplier_cycles: int, conditional: int = 0
    ) -> BlockPrice:
        """The cycles of the bytes of one block at `address`, `conditional` left open by the block before."""

    def may_be_unaligned(self, instruction: capstone.CsInsn) -> bool:
        """Whether a core that knows unaligned access allows it to this instruction."""

    def fault(self, engine: unicorn.Uc, core: Core, image: LoadedImage, what: str) -> ChipfitError:
        """The error for an engine that stopped at an instruction it could not finish; `what` is Unicorn's reason."""

    def decode(self, section: Section, begin: int, end: int) -> Mapping[int, capstone.CsInsn]:
        """The instructions of [begin, end) by address; what is none is left out."""

    def walk(self, function: Function, image: DecodedImage) -> Frame:
        """Its stack, on every path. Raises UnboundedError when the stack pointer or a jump cannot be followed."""
