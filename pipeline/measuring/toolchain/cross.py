"""Cross toolchains: the command and the flags of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipeline.facts.cores import CORES
from pipeline.measuring.toolchain.process import find_program, run, zig, zig_version

WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")

_C = (
    "-std=c99", "-ffreestanding", "-fno-builtin", "-ffunction-sections", "-fdata-sections", "-g0",
    "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-fno-stack-protector", "-ffile-prefix-map=.=",
    *WARNINGS,
)  # fmt: skip

# Measured in cycles on Cortex-M0 and bytes of code (MLP 30-32-16-4 / HardTanh CNN 8x8):
#   -O2                                        19,423 / 490,767   596 / 2,856 B
#   -O2 -fno-unroll-loops                      17,121 / 459,072   364 / 1,780 B
#   -Os                                        15,527 / 436,697   360 / 1,756 B
#   -Os -mllvm -phi-node-folding-threshold=0   15,527 / 410,033   360 / 1,680 B
#   GCC 12 -O2                                 17,974 / 461,619   388 / 1,968 B
# Thumb-1 has eight easy registers: unrolling at -O2 (which zig cc also means by -O1 and -O3) spills in the inner
# loops, and a branch folded into arithmetic costs more than the branch. On Cortex-M3 and M4 if-conversion is off
# although it saves 1 % (CNN with multipliers on M4: 329,684 with it, 332,948 without): what stands in an IT block
# can only be priced by a range, and with it early returns.
_CLANG_CODE = ("-Os", "-fno-unroll-loops", "-mllvm", "-phi-node-folding-threshold=0", "-mllvm", "-ifcvt-limit=0")


@dataclass(frozen=True)
class Toolchain:
    """A cross compiler. `common` goes with every call, `code` with C only, `link` with linking only."""

    name: str
    common: tuple[str, ...]
    code: tuple[str, ...]
    link: tuple[str, ...]
    libraries: tuple[str, ...]

    def driver(self, core: str) -> list[str]:
        """The command that compiles for `core`; raises ChipfitError when the compiler is missing."""
        known = CORES[core]
        isa, cpu = known.isa, f"-mcpu={known.compilers[self.name]}"
        program = [*zig(), "-target", isa.zig_target] if self.name == "ziglang" else [find_program(isa.gcc)]
        return [*program, cpu, *isa.flags, *self.common]

    def version(self, core: str) -> str:
        """Name and version of the compiler for `core`, without paths, for manifests; asked once per process."""
        gcc = CORES[core].isa.gcc
        return zig_version() if self.name == "ziglang" else _gcc_version(gcc, find_program(gcc))


@cache
def _gcc_version(name: str, program: str) -> str:
    return f"{name} {run([program, '-dumpfullversion'], Path.cwd(), name).strip()}"


# GCC writes loops that clear or copy as calls of memset and memcpy, which a library without libc does not have.
_GCC_CODE = ("-O2", "-fno-tree-loop-distribute-patterns")

TOOLCHAINS: Mapping[str, Toolchain] = {
    "ziglang": Toolchain(
        "ziglang",
        ("-fno-sanitize=all",),
        (*_CLANG_CODE, *_C),
        (),
        ("-rtlib=compiler-rt",),
    ),
    "gcc": Toolchain("gcc", (), (*_GCC_CODE, *_C), (), ("-lgcc",)),
}
