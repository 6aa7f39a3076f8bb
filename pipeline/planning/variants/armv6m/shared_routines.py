"""Routines that layers in assembly share."""

from pipeline.graph.kernel_call import SharedRoutines

IM2COL = SharedRoutines("im2col", ("widen", "fill", "im2col"), 384)
