"""The stages, in order: the one table that the scheduler, the README and the tests read."""

from stages import signals  # isort: skip  (first: the others take a quarter of a second, in which Ctrl-C may come)
from stages import codegen, export, import_model, quantize, report, simulate, size_check
from stages.base import Stage

__all__ = ["STAGES", "Stage", "signals"]

STAGES: tuple[Stage, ...] = (export, import_model, quantize, codegen, size_check, simulate, report)
