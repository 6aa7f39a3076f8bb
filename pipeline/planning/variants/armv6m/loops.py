"""Straight code and counted loops: one description gives a routine's lines and the instructions it executes."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.facts.cores import Executed
from pipeline.planning.variants.armv6m.macro_costs import executed_loop_end, executed_once


@dataclass(frozen=True)
class CostedLines:
    """Lines that execute more than their own instructions, once: called routines, loops inside a macro."""

    lines: tuple[str, ...]
    executed: Executed


@dataclass(frozen=True)
class Loop:
    """The body `times` times, counted down in the word `counter` of the frame, back to the local label `label`."""

    counter: str
    label: int
    times: int
    body: tuple["Step", ...]

    @property
    def begin(self) -> str:
        return f"set_word {self.counter}, {self.times}"

    @property
    def end(self) -> str:
        return f"repeat {self.counter}, {self.label}b"


Step = str | CostedLines | Loop
"""A line is straight code."""


def lines_of(steps: Iterable[Step]) -> list[str]:
    """The invocations of all steps."""
    lines: list[str] = []
    for step in steps:
        if isinstance(step, str):
            lines.append(step)
        elif isinstance(step, CostedLines):
            lines += step.lines
        else:
            lines += [step.begin, f"{step.label}:", *lines_of(step.body), step.end]
    return lines


def executed_by(steps: Iterable[Step]) -> Executed:
    """Instructions of all steps, once."""
    total = Executed()
    for step in steps:
        if isinstance(step, str):
            total += executed_once(step)
        elif isinstance(step, CostedLines):
            total += step.executed
        else:
            total += (
                executed_once(step.begin)
                + executed_by(step.body) * step.times
                + executed_loop_end(step.times, step.end)
            )
    return total
