"""Compilers: the pinned cross compiler of the ziglang wheel, or GCC from PATH; and a compiler for this machine."""

from pipeline.toolchain.cross import TOOLCHAINS, Memory, Toolchain, compile_library, link_image
from pipeline.toolchain.host import host_compilers, host_library

__all__ = [
    "TOOLCHAINS",
    "Memory",
    "Toolchain",
    "compile_library",
    "host_compilers",
    "host_library",
    "link_image",
]
