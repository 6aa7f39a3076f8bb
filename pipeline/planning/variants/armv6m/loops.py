"""Straight code and counted loops: what a routine writes and what it executes, read from the same description."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.facts.cores import Executed
from pipeline.planning.variants.armv6m.macro_costs import closing, straight


@dataclass(frozen=True)
class Run:
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


Step = str | Run | Loop
"""A line is straight code."""


def lines_of(steps: Iterable[Step]) -> list[str]:
    """The invocations of all steps."""
    made: list[str] = []
    for step in steps:
        if isinstance(step, str):
            made.append(step)
        elif isinstance(step, Run):
            made += step.lines
        else:
            made += [step.begin, f"{step.label}:", *lines_of(step.body), step.end]
    return made


def executed_by(steps: Iterable[Step]) -> Executed:
    """Of all steps, once."""
    total = Executed()
    for step in steps:
        if isinstance(step, str):
            total += straight(step)
        elif isinstance(step, Run):
            total += step.executed
        else:
            total += straight(step.begin) + executed_by(step.body) * step.times + closing(step.times, step.end)
    return total
