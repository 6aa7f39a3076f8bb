"""Libraries of one C file, compiled and linked as a product's is."""

from pathlib import Path

from conftest import need

from pipeline.measuring.footprint import Footprint, measure
from pipeline.measuring.toolchain import (
    TOOLCHAINS,
    Region,
    compile_library,
    link_image,
)

BOTH = ("ziglang", "gcc")


FLASH, RAM = Region(0, 1 << 18), Region(0x20000000, 1 << 15)


HEADER = "#include <stdint.h>\nvoid f_run(const int8_t *x, int8_t *y);\n"


DOT = '#include "f.h"\n' + (
    "static const int8_t f_weights[64] = {1, -2, 3};\nstatic int8_t f_arena[32];\n"
    "void f_run(const int8_t *x, int8_t *y)\n{\n    int32_t sum = 0;\n"
    "    for (int32_t i = 0; i < 16; ++i) {\n        sum += f_weights[i] * x[i];\n        f_arena[i] = x[i];\n    }\n"
    "    y[0] = (int8_t)(sum >> 8);\n    y[1] = f_arena[y[0] & 7];\n}\n"
)


def write(folder: Path, **sources: str) -> Path:
    for name in ("src", "include"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "include" / "f.h").write_text(HEADER, "utf-8")
    for name, text in sources.items():
        (folder / "src" / name.replace("_dot_", ".")).write_text(text, "utf-8")
    return folder


def image(library: Path, toolchain: str = "ziglang", core: str = "cortex-m0", ram: Region = RAM) -> Path:
    if toolchain == "gcc":
        need("arm-none-eabi-gcc")
    out = library / "out"
    out.mkdir(exist_ok=True)
    objects = compile_library(TOOLCHAINS[toolchain], core, library, out)
    return link_image(TOOLCHAINS[toolchain], core, objects, "f_run", FLASH, ram, out / "f.elf")


def size(library: Path, toolchain: str = "ziglang", core: str = "cortex-m0", ram: Region = RAM) -> Footprint:
    return measure(image(library, toolchain, core, ram), "f_run", "f_")
