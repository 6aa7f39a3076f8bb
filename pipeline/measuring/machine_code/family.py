"""Protocol of a family of instruction sets, as the simulator and the footprint use it, and the types it returns."""

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
    """Cycles of one pass through a basic block that falls through, cycles that a taken exit adds, and instructions.

    `conditional`: how many instructions behind the block an IT instruction in it still governs.
    """

    stay: Cost
    taken: Cost
    instructions: int
    conditional: int = 0


@dataclass(frozen=True)
class Frame:
    """Stack of a function: `deepest` bytes without callees; `calls`: most bytes in use at a call, by callee address."""

    deepest: int
    calls: dict[int, int]


class UnboundedError(Exception):
    """The stack cannot be bounded; the message is a sentence about the function."""


class Family(Protocol):
    """A package in measuring/ that has these functions."""

    CODE: MachineCode

    def price_block(
        self, code: bytes, address: int, core: Core, multiplier_cycles: int, conditional: int = 0
    ) -> BlockPrice:
        """The price of the block `code` at `address`, whose first `conditional` instructions may be skipped."""

    def may_be_unaligned(self, instruction: capstone.CsInsn) -> bool:
        """Whether this instruction may make an unaligned access, on a core that allows any."""

    def fault(self, engine: unicorn.Uc, core: Core, image: LoadedImage, what: str) -> ChipfitError:
        """The error for an engine that stopped at an instruction it could not finish; `what` is Unicorn's reason."""

    def decode(self, section: Section, begin: int, end: int) -> Mapping[int, capstone.CsInsn]:
        """The instructions of [begin, end) by address; undecodable bytes are left out."""

    def walk(self, function: Function, image: DecodedImage) -> Frame:
        """The function's stack over all paths; raises UnboundedError where the stack pointer or a jump is not known."""
