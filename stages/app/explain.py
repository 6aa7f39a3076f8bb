"""`chipfit explain`: what the plan chose for every layer, what it costs, what the alternatives were."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.facts.errors import ChipfitError

USAGE = "chipfit explain [PRODUCT or PRODUCT.yaml ...] [--json]"


def explain(arguments: Sequence[str]) -> int:
    """Tell the plans of the products that were built in the current folder; `--json` prints the same as JSON."""
    from pipeline.judging.report.plan import plan_rows, plan_sentences

    named = [a for a in arguments if a != "--json"]
    unknown = next((a for a in named if a.startswith("-")), None)
    if unknown is not None:
        raise ChipfitError(f"explain does not know {unknown}", hint=USAGE)
    told = {}
    for product in [_product(a) for a in named] or _built():
        plan, simulate = _read(product, "codegen/plan.json"), _read(product, "simulate/simulate.json", needed=False)
        rows, verdict = plan_rows(plan, simulate), _read(product, "report/verdict.json", needed=False)
        told[product] = {"layers": rows, "said": plan_sentences(plan), "plan": plan["plan"], "verdict": verdict}
    if "--json" in arguments:
        print(json.dumps(told, indent=1))
        return 0
    from stages.app.terminal import print_plan

    for product, document in told.items():
        print_plan(product, document)
    return 0


def _product(argument: str) -> str:
    if not argument.endswith((".yaml", ".yml")):
        return argument
    from pipeline.facts.config import load_project

    return load_project(Path(argument)).config.product


def _built() -> list[str]:
    found = sorted(p.parent.parent.name for p in Path("build").glob("*/codegen/plan.json"))
    if not found:
        raise ChipfitError("no product was built here", place="build", hint="Run chipfit build first.")
    return found


def _read(product: str, name: str, *, needed: bool = True) -> Any:
    path = Path("build") / product / name
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        if not needed:
            return None
        raise ChipfitError(
            f"{product!r} was not built here", place=str(path), hint="Run chipfit build first."
        ) from error
