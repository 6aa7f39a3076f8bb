"""`chipfit why STAGE:PRODUCT`: which input, setting, tool or code changed since its results were made."""

import json
import re
from argparse import BooleanOptionalAction
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from pipeline.facts.artifact import recorded_key
from pipeline.facts.errors import ChipfitError, did_you_mean
from pipeline.facts.records import to_plain
from pipeline.facts.text import visible
from stages import STAGES
from stages.app.options import Options
from stages.app.products import BUILD, products
from stages.base import Job, Stage, applicable
from stages.planned import Change, Planned, changes_between, plan_stages
from stages.store import Store, open_store
from stages.store.settings import read_settings

_SHOWN = 6
_FILES = 3
_DIGEST = re.compile(r"[0-9a-f]{64}")


def why(arguments: Sequence[str]) -> int:
    """Print what changed for a stage, and for the stages whose results it reads."""
    options = Options("why")
    options.add_argument("task", metavar="STAGE:PRODUCT", help="for example quantize:touch")
    options.add_argument(
        "--against", metavar="BUILD|KEY", help="compare with another build folder, or a key of plan --json"
    )
    options.add_argument("--json", action="store_true", help="the same for programs")
    options.add_argument("--locked", action=BooleanOptionalAction, help="as a build from the lock would be, or not")
    given = options.parse_args(arguments)
    name, _, product = given.task.rpartition(":")
    if not name or not product:
        hint = f"For example quantize:{product or 'touch'}."
        raise ChipfitError(f"{given.task!r} is no STAGE:PRODUCT", place="chipfit why", hint=hint)
    (project,) = products([product], given.locked)
    stages = [s for s in STAGES if applicable(s, project)]
    asked = next((s for s in stages if name == s.NAME), None)
    if asked is None:
        hint = did_you_mean(name, [s.NAME for s in stages])
        raise ChipfitError(f"no stage of {product} is called {name!r}", place="chipfit why", hint=hint)
    job, store = Job(project, BUILD), open_store(read_settings())
    planned = {p.stage: p for p in plan_stages(stages[: stages.index(asked) + 1], job, store)}
    wanted = _read_by(asked, stages)
    if given.against is None:
        rows = [(s, planned[s].changes) for s in wanted]
    else:
        rows = _against(given.against, asked, wanted, job, planned, store)
    if given.json:
        print(
            json.dumps([{"stage": s, "action": planned[s].action, "changes": to_plain(c)} for s, c in rows], indent=1)
        )
        return 0
    print("\n".join(_explained(product, s, c, planned[s], given.against) for s, c in rows))
    return 0


def _read_by(stage: Stage, stages: Sequence[Stage]) -> list[str]:
    """The stage, and before it all those whose results it reads, also through others, in order."""
    wanted, by_name = {stage.NAME}, {s.NAME: s for s in stages}
    for earlier in reversed(stages):
        if earlier.NAME in wanted:
            wanted |= by_name[earlier.NAME].READS.keys() & by_name.keys()
    return [s.NAME for s in stages if s.NAME in wanted]


def _against(
    other: str, asked: Stage, wanted: Sequence[str], job: Job, planned: dict[str, Planned], store: Store
) -> list[tuple[str, tuple[Change, ...] | None]]:
    """Changes since the results in another build folder, or since the store's result of a key."""
    product = job.project.config.product
    if Path(other).is_dir():
        old = {s: recorded_key(Path(other) / product / s) for s in wanted}
        if old[asked.NAME] is None:
            raise ChipfitError(f"has no results of {asked.NAME} of {product}", place=other)
    elif _DIGEST.fullmatch(other):
        entry = store.entry(other)
        if entry is None:
            raise ChipfitError(f"the store has no result of the key {other}", place="--against")
        if entry.stage != asked.NAME:
            raise ChipfitError(f"that is a result of {entry.stage}, not of {asked.NAME}", place="--against")
        old = {asked.NAME: dict(entry.key)}
    else:
        hint = "A key's 64 digits stand in what `chipfit plan --json` prints."
        raise ChipfitError(f"{other!r} is neither a build folder nor a key", place="--against", hint=hint)
    rows: list[tuple[str, tuple[Change, ...] | None]] = []
    for name in (s for s in wanted if s in old):
        key = planned[name].key
        new: Any = key.document if key else recorded_key(job.folder / name)
        known = old[name] is not None and new is not None
        rows.append((name, changes_between(old[name], new) if known else None))
    return rows


def _explained(
    product: str, stage: str, changes: tuple[Change, ...] | None, planned: Planned, against: str | None
) -> str:
    head = f"{stage}:{product}"
    if changes is None:
        return f"{head}: no result to compare with"
    since = f"against {against}" if against else "since its results were made"
    action = "" if against else f"{planned.action if planned.action != 'after' else f'after {planned.waits_for}'}: "
    if not changes:
        return visible(f"{head}: {action}nothing that it reads changed {since}")
    changes = telling(changes)
    lines = [visible(f"{head}: {action}{len(changes)} changed {since}")]
    for part, group in groupby(changes, lambda c: c.part):
        rows = [_pair(c) for c in group] if part != "before" else _earlier(changes)
        lines += [f"  {part:<9} {row}" for row in rows[:_SHOWN]]
        if len(rows) > _SHOWN:
            lines.append(f"  {part:<9} and {len(rows) - _SHOWN} more")
    return "\n".join(lines)


def _earlier(changes: Sequence[Change]) -> list[str]:
    """The stages whose results are others, each with its files."""
    names = [c.name.partition("/") for c in changes if c.part == "before"]
    rows = []
    for stage, group in groupby(names, lambda n: n[0]):
        files = [file for _, _, file in group]
        more = f" and {len(files) - _FILES} more" if len(files) > _FILES else ""
        rows.append(visible(f"{stage}: {', '.join(files[:_FILES])}{more}"))
    return rows


def telling(changes: Sequence[Change]) -> tuple[Change, ...]:
    """The changes without those from no value to no key or back, which say nothing; all where there is nothing else."""
    return tuple(c for c in changes if c.old is not None or c.new is not None) or tuple(changes)


def told(change: Change) -> str:
    """A change as part of a sentence."""
    return f"other results of {change.name.partition('/')[0]}" if change.part == "before" else _pair(change)


def _pair(change: Change) -> str:
    if change.old is None and change.new is None:
        return visible(f"{change.name}: without a value, or not there")
    return visible(f"{change.name}: {_value(change.old)} -> {_value(change.new)}")


def _value(value: object) -> str:
    """A value of a key for a person: digests by their first digits, what is not there as a dash."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value[:12] if _DIGEST.fullmatch(value) else re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1", value)
    return json.dumps(value)
