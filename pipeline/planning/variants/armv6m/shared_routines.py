"""Routines that layers in assembly share."""

from pipeline.graph.kernel_call import SharedRoutines
from pipeline.planning.variants.armv6m.macro_costs import code_size

_FUNCTIONS = ("widen", "fill", "im2col")
IM2COL = SharedRoutines("im2col", _FUNCTIONS, code_size([f"im2col_routines {', '.join(_FUNCTIONS)}"]))
