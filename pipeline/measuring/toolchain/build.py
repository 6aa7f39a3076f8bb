"""Compile a library for a core, and link it alone into an image that can be measured and run."""

import os
import re
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline.facts.errors import ChipfitError
from pipeline.measuring.toolchain.cross import Toolchain
from pipeline.measuring.toolchain.process import ToolError, run

CODE_OFFSET = 0x200
"""Offset of code in flash: behind room for a vector table, and so that no function has address 0."""

_MIN_REGION = 1 << 28  # 256 MiB: more than any model that a 32-bit microcontroller could be asked to hold
_UNDEFINED = re.compile(r"undefined (?:reference to|symbol:?) [`'\"]?([\w.$]+)")


@dataclass(frozen=True)
class Region:
    """A memory of the chip: the address of its first byte, and its size in bytes."""

    origin: int
    size: int


def compile_library(
    toolchain: Toolchain, core: str, library: Path, out: Path, listed: Collection[str] | None = None
) -> list[Path]:
    """Compile `library`/src/*.c and *.S against `library`/include into objects in `out`, two at a time.

    `listed`: the paths, relative to `library`, that are part of it; other files are not compiled.

    The compiler runs inside `library` on relative names, so the objects are the same bytes in any folder. Raises
    ChipfitError with the compiler's first error line, of the first source in alphabetical order that has one; then
    no object is left behind.
    """
    sources = sources_of(library, (".c", ".S"), listed)
    objects = [out / f"{p.name}.o" for p in sources]
    driver = toolchain.driver(core)

    def compile_source(source: Path, compiled: Path) -> None:
        relative = source.relative_to(library).as_posix()
        flags = toolchain.code if source.suffix == ".c" else ("-g0",)
        arguments = [*driver, *flags, "-Iinclude", "-Isrc", "-c", relative, "-o", str(compiled.resolve())]
        run(arguments, library, f"compiling {relative}")

    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(compile_source, sources, objects))
    except BaseException:
        for compiled in objects:
            compiled.unlink(missing_ok=True)
        raise
    return objects


def sources_of(library: Path, suffixes: Collection[str], listed: Collection[str] | None) -> list[Path]:
    """The library's sources in alphabetical order; only the `listed` ones, unless that is None."""
    found = sorted(p for p in (library / "src").iterdir() if p.suffix in suffixes)
    return [p for p in found if listed is None or p.relative_to(library).as_posix() in listed]


def link_image(
    toolchain: Toolchain, core: str, objects: Sequence[Path], entry: str, flash: Region, ram: Region, out: Path
) -> Path:
    """Link the library alone, with `entry` as the only root, at its addresses in the chip's memory.

    A library larger than the chip still links: its size is what is asked. One that would run from flash into RAM
    is linked with RAM elsewhere, which changes no size. Of the compiler's support library only what is called comes
    in. Raises ChipfitError naming what nothing defines.
    """
    try:
        return _link(toolchain, core, objects, entry, flash, ram, out)
    except ToolError as error:
        missing = sorted(set(_UNDEFINED.findall(error.printed)))
        if missing:
            raise ChipfitError(
                f"toolchain: linking {out.name} failed: nothing defines {', '.join(missing)}",
                hint="A generated library may call nothing but itself and the compiler's support routines.",
            ) from error
        if "overlap" not in error.printed:
            raise
    elsewhere = (flash.origin + 2 * _MIN_REGION) % (1 << 32)
    return _link(toolchain, core, objects, entry, flash, Region(elsewhere, ram.size), out)


def _link(
    toolchain: Toolchain, core: str, objects: Sequence[Path], entry: str, flash: Region, ram: Region, out: Path
) -> Path:
    script = out.with_suffix(".ld")
    arguments = [
        *toolchain.driver(core), "-nostdlib", "-static", "-Wl,--build-id=none", "-Wl,--gc-sections",
        "-Wl,-z,max-page-size=4",
        f"-Wl,-e,{entry}", f"-Wl,-T,{script.name}",
        *(os.path.relpath(o, out.parent) for o in objects), *toolchain.libraries, "-o", out.name,
    ]  # fmt: skip
    try:
        script.write_text(_linker_script(entry, flash, ram), "utf-8")
        run(arguments, out.parent, f"linking {out.name}")
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    finally:
        script.unlink(missing_ok=True)
    return out


def _linker_script(entry: str, flash: Region, ram: Region) -> str:
    import jinja2

    template = Path(__file__).with_name("image.ld.j2").read_text("utf-8")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)
    return environment.from_string(template).render(
        entry=entry,
        flash_origin=f"{flash.origin + CODE_OFFSET:#x}",
        flash_length=f"{max(flash.size, _MIN_REGION):#x}",
        ram_origin=f"{ram.origin:#x}",
        ram_length=f"{max(ram.size, _MIN_REGION):#x}",
    )
