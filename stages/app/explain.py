"""`chipfit explain`: the plan's choice for every layer, its costs, and the alternatives."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pipeline.facts.errors import ChipfitError
from pipeline.facts.records import from_json, to_plain
from stages.app.options import Options

if TYPE_CHECKING:
    from pipeline.judging.report.plan import Explained

T = TypeVar("T")


def explain(arguments: Sequence[str]) -> int:
    """Print the plans of the products that were built in the current folder; `--json` prints the same as JSON."""
    options = Options("explain")
    options.add_argument("products", nargs="*", metavar="PRODUCT", help="names or YAML files (default: all built here)")
    options.add_argument("--json", action="store_true", help="the same for programs")
    given = options.parse_args(arguments)
    names = [name for product in given.products for name in _product_names(product)]
    plans = {product: _explained(product) for product in names or _built_products()}
    if given.json:
        print(json.dumps(to_plain(plans), indent=1))
        return 0
    from stages.app.terminal import print_plan

    for product, explained in plans.items():
        print_plan(product, explained)
    return 0


def _explained(product: str) -> "Explained":
    from pipeline.judging.report.plan import Explained, plan_rows, plan_sentences
    from pipeline.judging.verdict import Verdict
    from pipeline.measuring.simulate_file import SimulateFile
    from pipeline.planning.plan_file import PlanFile

    plan = _read(product, "codegen/plan.json", PlanFile)
    if plan is None:
        place = str(Path("build") / product / "codegen/plan.json")
        raise ChipfitError(f"{product!r} was not built here", place=place, hint="Run chipfit build first.")
    rows = plan_rows(plan, _read(product, "simulate/simulate.json", SimulateFile))
    verdict = _read(product, "report/verdict.json", Verdict)
    return Explained(tuple(rows), tuple(plan_sentences(plan)), plan.plan, verdict)


def _product_names(argument: str) -> list[str]:
    """The product of that name, or those of a YAML."""
    if not argument.endswith((".yaml", ".yml")):
        return [argument]
    from pipeline.facts.config import load_variants

    return [name for name, _ in load_variants(Path(argument))]


def _built_products() -> list[str]:
    found = sorted(p.parent.parent.name for p in Path("build").glob("*/codegen/plan.json"))
    if not found:
        raise ChipfitError("no product was built here", place="build", hint="Run chipfit build first.")
    return found


def _read(product: str, name: str, kind: type[T]) -> T | None:
    """A stage's JSON file as the dataclass `kind`; None where it is missing or has another form."""
    try:
        return from_json(kind, (Path("build") / product / name).read_bytes(), name)
    except (OSError, ChipfitError):
        return None
