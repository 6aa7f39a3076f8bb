"""The cross toolchains behind one shape: compile a library for a core, link it alone into an image."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ChipfitError
from pipeline.toolchain.process import find, run, zig, zig_version

WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")

# The kernels' loops are written as they shall run. Thumb-1 has eight easy registers: Clang's unrolling and
# if-conversion at -O2 spill nearly all of them (a dense loop: 80 bytes of stack, 15 loads and stores per turn).
_COMMON = (
    "-std=c99", "-ffreestanding", "-fno-builtin", "-ffunction-sections", "-fdata-sections", "-g0",
    "-fno-unroll-loops", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-fno-stack-protector",
    "-ffile-prefix-map=.=", "-mthumb", "-mfloat-abi=soft", *WARNINGS,
)  # fmt: skip


@dataclass(frozen=True)
class Memory:
    """One region of the chip: where it begins and how many bytes it has."""

    origin: int
    size: int


@dataclass(frozen=True)
class Toolchain:
    """A cross compiler: how to call it, its flags, its names for the cores."""

    name: str
    flags: tuple[str, ...]
    link: tuple[str, ...]
    cores: Mapping[str, tuple[str, ...]]

    def driver(self) -> list[str]:
        return zig() if self.name == "ziglang" else [find("arm-none-eabi-gcc")]

    def version(self) -> str:
        """Name and version, without paths: it goes into manifests."""
        if self.name == "ziglang":
            return zig_version()
        printed = run([*self.driver(), "-dumpfullversion"], Path.cwd(), "arm-none-eabi-gcc -dumpfullversion")
        return f"arm-none-eabi-gcc {printed.strip()}"


_ZIG_TARGET = ("-target", "thumb-freestanding-eabi")
TOOLCHAINS: Mapping[str, Toolchain] = {
    "ziglang": Toolchain(
        "ziglang",
        ("-O2", "-fno-sanitize=all", "-fno-vectorize", "-fno-slp-vectorize", *_COMMON),
        ("-nostdlib", "-static", "-Wl,--build-id=none"),
        {
            "cortex-m0": (*_ZIG_TARGET, "-mcpu=cortex_m0"),
            "cortex-m0plus": (*_ZIG_TARGET, "-mcpu=cortex_m0plus"),
            "cortex-m3": (*_ZIG_TARGET, "-mcpu=cortex_m3"),
            "cortex-m4": (*_ZIG_TARGET, "-mcpu=cortex_m4"),
        },
    ),
    "gcc": Toolchain(
        "gcc",
        ("-O2", *_COMMON),
        ("-nostdlib", "-static", "-Wl,--build-id=none", "-Wl,--no-warn-rwx-segments"),
        {c: (f"-mcpu={c}",) for c in ("cortex-m0", "cortex-m0plus", "cortex-m3", "cortex-m4")},
    ),
}


def compile_library(toolchain: Toolchain, core: str, library: Path, out: Path) -> list[Path]:
    """Compile `library`/src/*.c and *.S against `library`/include into objects in `out`, two at a time."""
    sources = sorted(p for p in (library / "src").iterdir() if p.suffix in (".c", ".S"))
    driver, target = toolchain.driver(), toolchain.cores[core]

    def one(source: Path) -> Path:
        made = out / f"{source.stem}.o"
        relative = str(source.relative_to(library))
        arguments = [
            *driver,
            *target,
            *toolchain.flags,
            "-Iinclude",
            "-Isrc",
            "-c",
            relative,
            "-o",
            str(made.resolve()),
        ]
        run(arguments, library, f"compiling {relative}")
        return made

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, sources))


def link_image(
    toolchain: Toolchain,
    core: str,
    objects: Sequence[Path],
    entry: str,
    flash: Memory,
    ram: Memory,
    out: Path,
) -> Path:
    """Link the library alone, with `entry` as the only root, where it would stand in the chip's memory.

    The regions are as large as the address space allows: whether it fits is a budget's question, and the answer
    needs a size. Raises ChipfitError naming a symbol that nothing defines.
    """
    folder = out.parent
    script = folder / "image.ld"
    script.write_text(_script(entry, flash.origin, ram.origin), "utf-8")
    arguments = [
        *toolchain.driver(), *toolchain.cores[core], "-mthumb", *toolchain.link,
        "-Wl,--gc-sections", f"-Wl,-T,{script.name}", f"-Wl,-e,{entry}",
        *(o.name for o in objects), *(["-lgcc"] if toolchain.name == "gcc" else ["-rtlib=compiler-rt"]),
        "-o", out.name,
    ]  # fmt: skip
    try:
        run(arguments, folder, f"linking {out.name}")
    except ChipfitError as error:
        if "undefined" in error.message:
            raise ChipfitError(f"{error.message}: the library needs something that is not in it") from error
        raise
    return out


def _script(entry: str, flash: int, ram: int) -> str:
    """A linker script: code and constants from `flash`, initialized and zeroed data in `ram`."""
    return f"""ENTRY({entry})
SECTIONS
{{
  . = {flash + 0x400:#x};
  .text : {{ KEEP(*(.text.{entry})) *(.text .text.*) }}
  .rodata : ALIGN(4) {{ *(.rodata .rodata.*) }}
  data_load = ALIGN(4);
  . = {ram:#x};
  .data : AT(data_load) {{ *(.data .data.*) }}
  .bss (NOLOAD) : ALIGN(4) {{ *(.bss .bss.* COMMON) }}
  /DISCARD/ : {{ *(.ARM.exidx .ARM.exidx.*) *(.comment) *(.ARM.attributes) *(.note*) }}
}}
"""
