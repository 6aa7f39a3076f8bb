"""The stages, in order: the one table that the scheduler, the README and the tests read."""

TYPE_CHECKING = False  # for type checkers it is true; `typing` takes 10 ms, and Ctrl-C is not yet heeded
if TYPE_CHECKING:
    from stages.base import Stage

    STAGES: tuple[Stage, ...]

__all__ = ["STAGES"]


def __getattr__(name: str) -> object:
    # Loading them takes a quarter of a second: the command first says what Ctrl-C does.
    if name != "STAGES":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from stages import codegen, export, feasibility, import_model, quantize, report, simulate, size_check

    globals()[name] = (export, import_model, feasibility, quantize, codegen, size_check, simulate, report)
    return globals()[name]
