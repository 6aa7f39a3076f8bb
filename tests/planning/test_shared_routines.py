"""The shared routines that the plan pays for are those that the macro file defines."""

from pipeline.planning.variants.armv6m.assembler import macros
from pipeline.planning.variants.armv6m.macro_costs import code_size
from pipeline.planning.variants.armv6m.shared_routines import IM2COL


def test_every_function_has_its_code_in_the_macro_of_all() -> None:
    assert len(macros()[f"{IM2COL.name}_routines"].parameters) == len(IM2COL.functions)
    invocation = f"{IM2COL.name}_routines {', '.join(IM2COL.functions)}"
    assert IM2COL.code == code_size([invocation]) and 100 < IM2COL.code < 1000
