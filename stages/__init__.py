"""The stages, in order: the one table that the scheduler, the README and the tests read."""

from stages import codegen, export, import_model, quantize, report, simulate, size_check
from stages.base import Stage

STAGES: tuple[Stage, ...] = (export, import_model, quantize, codegen, size_check, simulate, report)
