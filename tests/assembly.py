"""Hand-written Thumb code assembled, linked and run as a generated library's entry would be."""

from pathlib import Path

import compiled

from pipeline.measuring.simulator import FlashTiming, Run, Target, simulate
from pipeline.measuring.toolchain import TOOLCHAINS, Region

FLASH, RAM = (0x08000000, 1 << 16), (0x20000000, 1 << 14)

_HEAD = """
.syntax unified
.thumb
.macro function name
.section .text.\\name, "ax", %progbits
.balign 4
.global \\name
.type \\name, %function
.thumb_func
\\name:
.endm
"""


def link(source: str, folder: Path, core: str = "cortex-m0", toolchain: str = "ziglang", suffix: str = ".S") -> Path:
    """An image of one source (assembly after a macro `function NAME`, or C) with the entry f_run."""
    (folder / "src").mkdir(parents=True, exist_ok=True)
    (folder / "include").mkdir(exist_ok=True)
    text = _HEAD + source if suffix == ".S" else source
    (folder / "src" / f"f{suffix}").write_text(text, "utf-8")
    return compiled.image(TOOLCHAINS[toolchain], core, folder, folder, "f_run", Region(*FLASH), Region(*RAM), "f.elf")


def run(
    source: str,
    folder: Path,
    core: str = "cortex-m0",
    *,
    multiplier: int = 1,
    timing: FlashTiming = FlashTiming(),  # noqa: B008
    layers: int = 8,
    suffix: str = ".S",
    toolchain: str = "ziglang",
) -> Run:
    """Run f_run(const int8_t input[16], int8_t output[16]) once on 16 bytes 0, 1, 2, ..."""
    target = Target(core, FLASH, RAM, multiplier, timing)
    elf = link(source, folder, core, toolchain, suffix)
    return simulate(elf, target, "f_run", layers, [[bytes(range(16))]], [16])[0]
