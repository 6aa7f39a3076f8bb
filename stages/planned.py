"""What a build would do with each stage, and why, without doing it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.facts.artifact import digests, is_intact, recorded_key
from stages.base import Job, Stage
from stages.execution import Key, key_of
from stages.store import Store
from stages.store.exchange import unlike

Action = Literal["up to date", "restore", "restore from the shared store", "run", "after"]
"""`after`: an earlier stage has to run first, and only its results tell."""
_PARTS = ("code", "tools", "settings", "inputs", "before")


@dataclass(frozen=True)
class Change:
    """One named thing that a key holds and another one does not, or differently; None where it is not there."""

    part: str
    name: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Planned:
    """A stage of a product: its action, the stage that it waits for, the changes since its results were made.

    `changes` is None where there are no results to compare with; `key` is None while the results before are unknown.
    """

    stage: str
    action: Action
    waits_for: str | None
    changes: tuple[Change, ...] | None
    key: Key | None


def plan_stages(stages: Sequence[Stage], job: Job, store: Store | None) -> list[Planned]:
    """What `execute` would do with each of a product's stages, in order. Raises ChipfitError as their keys do."""
    known: dict[str, Mapping[str, str] | None] = {}
    found = []
    for stage in stages:
        unknown = next((s for s in stage.READS if s in known and known[s] is None), None)
        key = key_of(stage, job, {s: f for s, f in known.items() if f is not None})
        old = recorded_key(job.folder / stage.NAME)
        changes = None if old is None else changes_between(old, key.document)
        if unknown is not None:
            changes = None if changes is None else tuple(c for c in changes if c.part != "before")
            found.append(Planned(stage.NAME, "after", unknown, changes, None))
            known[stage.NAME] = None
            continue
        action, known[stage.NAME] = _action(stage, job, store, key)
        found.append(Planned(stage.NAME, action, None, changes, key))
    return found


def _action(stage: Stage, job: Job, store: Store | None, key: Key) -> tuple[Action, Mapping[str, str] | None]:
    """What would be done for a key, and the digests of the files that there then are, where they are known."""
    target = job.folder / stage.NAME
    if is_intact(target, key.document):
        return "up to date", digests(target)
    source = store.has(key.digest) if store else None
    entry = store.entry(key.digest) if store and source else None
    if entry is None or unlike(entry, stage.NAME, stage.TARGETS) is not None:
        return "run", None
    files = {n: o.sha256 for n, o in entry.outputs.items()}
    return ("restore" if source == "local" else "restore from the shared store"), files


def changes_between(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """What differs between two keys' documents, by part and name; an old one may be of another form."""
    found = []
    for part in _PARTS:
        before, after = _part(old, part), _part(new, part)
        found += [
            Change(part, n, before.get(n), after.get(n))
            for n in sorted(before.keys() | after.keys())
            if before.get(n) != after.get(n) or (n in before) != (n in after)
        ]
    return tuple(found)


def _part(key: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    found = key.get(part)
    return found if isinstance(found, Mapping) else {}
