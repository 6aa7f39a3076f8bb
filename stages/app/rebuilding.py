"""A product built again in a temporary folder, without any store, and compared with an earlier build of it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.facts.artifact import digests, recorded_key
from pipeline.facts.config import Project
from pipeline.facts.text import shortened, visible
from pipeline.measuring.toolchain.scratch import remove_left_over, scratch
from stages import STAGES
from stages.app.drift import with_lock
from stages.base import Job, Stage, applicable
from stages.execution import execute, key_of

_KINDS = ("settings", "tools", "code")


def rebuild_differences(folder: Path, project: Project) -> list[str]:
    """Where a new build of `project` first differs from the one in `folder`, as `path: clause`; empty where nowhere.

    What the build read is compared before anything is run: of other inputs, another result is no difference. What was
    built from a lock is built from it again; raises ManyErrors where something is not as it was locked.
    """
    was_locked = any(name.startswith("lock.") for name in _part(recorded_key(folder / "quantize"), "settings"))
    project = with_lock(project, was_locked)
    stages = [s for s in STAGES if applicable(s, project)]
    remove_left_over()
    with scratch() as temporary:
        job = Job(project, temporary)
        changed = [line for s in stages for line in _input_differences(s, job, folder)]
        if changed:
            return changed
        for stage in stages:
            execute(stage, job)
            different = list(_result_differences(stage, job, folder))
            if different:
                return different
    return []


def _input_differences(stage: Stage, job: Job, folder: Path) -> Iterator[str]:
    recorded: Mapping[str, str] = _part(recorded_key(folder / stage.NAME), "inputs")
    now = key_of(stage, job).inputs
    for name in sorted({*recorded, *now}):
        if recorded.get(name) != now.get(name):
            yield f"{stage.NAME}: the input {visible(name)} is not the file that the build read"


def _result_differences(stage: Stage, job: Job, folder: Path) -> Iterator[str]:
    before, now = digests(folder / stage.NAME), digests(job.folder / stage.NAME)
    names = [n for n in sorted({*before, *now}) if before.get(n) != now.get(n)]
    if not names:
        return
    recorded, new = (recorded_key(f / stage.NAME) for f in (folder, job.folder))
    causes = [c for kind in _KINDS for c in _causes(kind, _part(recorded, kind), _part(new, kind))]
    because = f"; since then changed: {', '.join(causes)}" if causes else "; nothing that it is known to depend on did"
    for name in names:
        clause = "differs" if name in before and name in now else "is there no longer" if name in before else "is new"
        first = f"{stage.NAME} is the first stage that differs{because}"
        yield f"{stage.NAME}/{visible(name)}: {clause} in a new build; {first}"


def _causes(kind: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    names = [n for n in sorted({*before, *now}) if before.get(n) != now.get(n)]
    if kind == "code":
        return [f"{len(names)} files of chipfit"] if names else []
    return [visible(shortened(n, 60)) for n in names[:5]] + ([f"{len(names) - 5} more"] if len(names) > 5 else [])


def _part(key: Any, name: str) -> Mapping[str, Any]:
    found = key.get(name) if isinstance(key, Mapping) else None
    return found if isinstance(found, Mapping) else {}
