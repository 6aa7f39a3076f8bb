"""Many networks: what became of them, and of each kind of failure a small one."""

import sys
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from networks.case import Case
from networks.checks import DRAWS, outcome, values_of
from networks.outcome import Discarded, Outcome, Wrong
from networks.shrink import shrink

STYLES = tuple(DRAWS)
Further = Callable[[Outcome], None]


@dataclass
class Tally:
    """Counts of one style; `findings` maps a kind of failure to the seeds that show it."""

    counts: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    discarded: Counter[str] = field(default_factory=Counter)
    findings: dict[str, list[int]] = field(default_factory=dict)


def drawn(style: str, seed: int) -> Case:
    """The network of a seed: the same on every machine with the same NumPy."""
    return DRAWS[style](np.random.default_rng([sum(style.encode()), seed]))


def signature(error: BaseException) -> str:
    """What sorts failures: the kind of a wrong value, or where in the code an exception came from."""
    if isinstance(error, Wrong):
        return error.kind
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "site-packages" not in f.filename]
    last = frames[-1]
    return f"{type(error).__name__} in {Path(last.filename).name}: {last.name}"


def nothing(outcome: Outcome) -> None:
    """No further check."""


def attempt(case: Case, further: Further = nothing) -> Outcome | BaseException:
    """The outcome, or the failure itself; `further` goes on with a network that has become integers."""
    with np.errstate(all="ignore"):
        try:
            result = outcome(case)
            if result.graph is not None:
                further(result)
        except Exception as error:
            return error
    return result


def run(style: str, seed: int, tally: Tally, further: Further = nothing) -> None:
    """One network."""
    try:
        result = attempt(drawn(style, seed), further)
    except Discarded as error:
        result = Outcome("discarded", str(error))
    except Exception as error:
        result = error
    if further is not nothing:
        tally.counts[further.__name__] += 1
    tally.counts["drawn"] += 1
    if isinstance(result, Outcome):
        tally.counts[result.kind] += 1
        if result.kind == "refused":
            tally.refused[result.why] += 1
        elif result.kind == "discarded":
            tally.discarded[result.why] += 1
        return
    tally.counts["found"] += 1
    tally.findings.setdefault(signature(result), []).append(seed)


def shrunk(case: Case, further: Further = nothing) -> Case:
    """A small case that fails as this one does."""
    failed = attempt(case, further)
    assert isinstance(failed, BaseException)
    wanted = signature(failed)

    def fails(network: object, feeds: object) -> bool:
        result = attempt(replace(case, network=network, feeds=feeds), further)  # type: ignore[arg-type]
        return isinstance(result, BaseException) and signature(result) == wanted

    def values(network: object, feeds: object) -> object:
        try:
            return values_of(replace(case, network=network, feeds=feeds))  # type: ignore[arg-type]
        except Discarded:
            return {}

    network, feeds = shrink(case.network, case.feeds, values, fails)  # type: ignore[arg-type]
    return replace(case, network=network, feeds=feeds)


def described(case: Case) -> str:
    """A case in lines for a person."""
    network = case.network
    lines = [f"{case.style} opset {network.opset} {dict(case.settings)}"]
    lines += [f"  input {n} {list(network.shapes[n])}" for n in network.inputs]
    for n in network.layers:
        inputs = ", ".join(_operand(case, i) for i in n.inputs)
        outputs = ", ".join(f"{o} {list(network.shapes[o])}" for o in n.outputs)
        lines.append(f"  {n.op}({inputs}) {dict(n.attributes) or ''} -> {outputs}")
    return "\n".join([*lines, f"  outputs {list(network.outputs)}"])


def _operand(case: Case, name: str) -> str:
    value = case.network.constants.get(name)
    if value is None:
        return name or "-"
    few = np.array2string(value.reshape(-1)[:4], precision=5, separator=" ")
    return f"{name}={value.dtype}{list(value.shape)}{few}"


def report(tallies: dict[str, Tally], out: object = sys.stdout) -> str:
    """The table, refusals by reason, and findings with the seeds that replay them."""
    columns = ("drawn", "equal", "near", "refused", "discarded", "host", "chip", "found")
    lines = [f"{'style':12}" + "".join(f"{c:>11}" for c in columns)]
    for style, tally in tallies.items():
        lines.append(f"{style:12}" + "".join(f"{tally.counts[c]:>11}" for c in columns))
    for style, tally in tallies.items():
        for title, counter in (("refused", tally.refused), ("discarded", tally.discarded)):
            lines += [f"{style} {title} {count:6}  {why}" for why, count in counter.most_common(25)]
        for kind, seeds in tally.findings.items():
            lines.append(f"{style} FOUND {len(seeds):6}  {kind}: seeds {seeds[:8]}")
    return "\n".join(lines)
