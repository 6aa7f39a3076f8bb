"""Compilers: the pinned cross compiler of the ziglang wheel, or GCC from PATH; and a compiler for this machine."""

from pipeline.measuring.toolchain.build import CODE_OFFSET, Region, compile_library, link_image
from pipeline.measuring.toolchain.cross import TOOLCHAINS, Toolchain
from pipeline.measuring.toolchain.host import host_compilers, host_library

__all__ = [
    "CODE_OFFSET",
    "TOOLCHAINS",
    "Region",
    "Toolchain",
    "compile_library",
    "host_compilers",
    "host_library",
    "link_image",
]
