"""What a stage's result depends on beside its settings and its inputs: code and tools, taken apart by name."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from stages.keys.closure import outside_names
from stages.keys.code import closure, code_below, code_of, is_unchanged
from stages.keys.compilers import gcc
from stages.keys.tools import tools_of

if TYPE_CHECKING:
    from pipeline.facts.config import Project

_PRODUCT_COMPILER = frozenset({"stages.size_check"})
"""Stages whose machine code is the product's compiler's alone: what they compile for this machine is for later ones."""


def dependencies(stage: str, project: "Project") -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Code and tools of a stage, by the name of its module (such as stages.codegen), for one product.

    Code: relative file -> sha256. Tools: distribution or program -> version and digest, "missing" where it is not
    there. Raises ChipfitError where chipfit's own files cannot be read.
    """
    config = project.config
    return code_of(stage), _tools(stage, config.toolchain, project.chip.core)


@cache
def _tools(stage: str, toolchain: str, core: str) -> Mapping[str, str]:
    names = set(outside_names(closure(stage)))
    compiled: dict[str, str] = {}
    if stage in _PRODUCT_COMPILER and toolchain != "ziglang":
        names.discard("ziglang")
        compiled = dict(gcc(core))
    return MappingProxyType({**tools_of(names), **compiled})


__all__ = ["closure", "code_below", "code_of", "dependencies", "is_unchanged", "tools_of"]
