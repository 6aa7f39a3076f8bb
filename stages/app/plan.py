"""`chipfit plan`: what a build would run or restore, and why, without running it."""

import json
from argparse import BooleanOptionalAction
from collections.abc import Sequence

from pipeline.facts.records import to_plain
from pipeline.facts.text import in_sentence
from stages import STAGES
from stages.app.options import Options
from stages.app.products import BUILD, products
from stages.app.why import telling, told
from stages.base import Job, applicable
from stages.planned import Planned, plan_stages
from stages.store import open_store
from stages.store.settings import read_settings


def plan(arguments: Sequence[str]) -> int:
    """Print for each stage of each product what a build would do; `--json` prints the same as JSON."""
    options = Options("plan")
    options.add_argument(
        "products", nargs="*", metavar="PRODUCT", help="names or YAML files (default: those found here)"
    )
    options.add_argument("--json", action="store_true", help="the same for programs")
    options.add_argument("--locked", action=BooleanOptionalAction, help="as a build from the lock would be, or not")
    given = options.parse_args(arguments)
    store = open_store(read_settings())
    planned = {}
    for project in products(given.products, given.locked):
        job = Job(project, BUILD)
        planned[project.config.product] = plan_stages([s for s in STAGES if applicable(s, project)], job, store)
    if given.json:
        print(json.dumps({p: [_plain(s) for s in stages] for p, stages in planned.items()}, indent=1))
        return 0
    for product, stages in planned.items():
        for stage in stages:
            print(f"{product:<20} {stage.stage:<11} {_sentence(stage)}")
    counts = [s.action for stages in planned.values() for s in stages]
    parts = [f"{counts.count(a)} {w}" for a, w in _SAID.items() if a in counts]
    print(f"{len(counts)} stages: {', '.join(parts)}")
    return 0


_SAID = {
    "up to date": "up to date",
    "restore": "would be restored",
    "restore from the shared store": "would be restored from the shared store",
    "run": "would run",
    "after": "would run if what they read changes",
}


def _plain(planned: Planned) -> object:
    document = {"stage": planned.stage, "action": planned.action, "waits_for": planned.waits_for}
    return {**document, "key": planned.key.digest if planned.key else None, "changes": to_plain(planned.changes)}


def _sentence(planned: Planned) -> str:
    if planned.action == "up to date":
        return planned.action
    if planned.changes is None:
        reason = "there is no result yet"
    elif planned.changes:
        first, *more = telling(planned.changes)
        others = sum(c.part != "before" for c in more)
        reason = told(first) + (f", and {others} more" if others else "")
    else:
        reason = "its files were changed by hand" if planned.action != "after" else ""
    waits = f"after {planned.waits_for}" + (", if that gives other results" if planned.changes == () else "")
    action = waits if planned.action == "after" else planned.action
    return in_sentence(f"{action}: {reason}" if reason else action)
