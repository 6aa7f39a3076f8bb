"""Parameters of kernels are what the contract headers declare, member for member."""

import dataclasses
import re
from typing import get_args, get_type_hints

import numpy as np
import pytest
from conftest import ROOT, some
from param_classes import classes

from pipeline.graph.kernel_params.linear import DenseParams, RequantizeParams
from pipeline.graph.kernel_params.struct import Array, KernelParams, Struct

KERNELS = ROOT / "pipeline" / "generating" / "kernels"
LOCAL = {"pool_view"}  # a value that kernels compute, no parameter
MEMBER = re.compile(r"const \w+ \*(?P<table>\w+)|struct (?P<struct>\w+) (?P<inner>\w+)|int32_t (?P<numbers>.+)", re.S)


def declared() -> dict[str, list[tuple[str, str]]]:
    """Of every struct in a contract header: its members, each with `int`, `loops`, `table` or another struct's name."""
    text = "\n".join(p.read_text("utf-8") for p in sorted(KERNELS.glob("*.h")))
    found = re.findall(r"^struct (\w+) \{\n(.*?)^\};", text, re.S | re.M)
    return {name: [m for part in body.split(";")[:-1] for m in members(part.strip())] for name, body in found}


def members(declaration: str) -> list[tuple[str, str]]:
    match = MEMBER.fullmatch(declaration)
    assert match is not None, declaration
    if match["table"]:
        return [(match["table"], "table")]
    if match["struct"]:
        return [(match["inner"], match["struct"])]
    names = [n.strip() for n in match["numbers"].split(",")]
    return [(n.removesuffix("[WALK_RANK]"), "loops" if n.endswith("[WALK_RANK]") else "int") for n in names]


def kind_of(hint: object) -> str:
    (hint,) = [h for h in get_args(hint) if h is not type(None)] if type(None) in get_args(hint) else [hint]
    if isinstance(hint, type) and issubclass(hint, Struct):
        return hint.struct_name()
    return {int: "int", tuple[int, ...]: "loops", Array: "table"}[hint]


def test_every_struct_of_a_contract_header_has_its_dataclass_and_no_other() -> None:
    assert set(classes()) == set(declared()) - LOCAL


def test_what_a_call_takes_is_declared_in_the_header_of_its_name() -> None:
    for name, kind in some(classes().items()):
        text = (KERNELS / f"{name}.h").read_text("utf-8")
        assert f"struct {name} {{" in text
        assert issubclass(kind, KernelParams) == (f"const struct {name} *p" in text and "KERNEL(" in text), name


@pytest.mark.parametrize("name", sorted(set(declared()) - LOCAL))
def test_members_are_those_of_the_struct_in_its_order(name: str) -> None:
    kind = classes()[name]
    hints = get_type_hints(kind)
    assert [(f.name, kind_of(hints[f.name])) for f in dataclasses.fields(kind)] == declared()[name]


def test_members_of_a_struct_inside_have_dotted_names_and_what_is_none_is_not_said() -> None:
    table = np.ones(3, np.int32)
    requantize = RequantizeParams(shift=table, low=-128, high=127)
    params = DenseParams(weights=table, bias=table, requantize=requantize, rows=1, inputs=2, outputs=3)
    names = "weights bias requantize.shift requantize.low requantize.high rows inputs outputs".split()
    assert [n for n, _ in params.members()] == names
    assert dict(params.members())["requantize.low"] == -128
