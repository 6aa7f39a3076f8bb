"""Plans for less and less flash, each built and emulated: `python benchmarks/budgets.py [PRODUCT [KIB ...]]`.

Planned flash and cycles stand beside what was measured, in flash and in cycles at zero wait states. A plan may take
less flash than planned, never more: what fits as planned has to fit.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from measure import PRODUCTS, Product, build, records
from models import require

BUDGETS = (100, 64, 56, 48, 44, 40, 36)


@dataclass(frozen=True)
class Step:
    """One budget, in bytes of flash and cycles."""

    planned_flash: int
    flash: int
    planned_cycles: int
    cycles: int
    in_c: int
    """Measured cycles of the layers in C: the plan knows these about, the others exactly."""
    variants: Sequence[str]


def step(product: Product, kib: int) -> Step:
    """The product with so much free flash. Wait states are none, so that cycles are the code's alone."""
    with build(replace(product, more=f"{product.more}budget: {{flash: {kib} KiB}}\n"), "m0") as job:
        size, run, planned = records(job)
    plan, variants = planned.plan, planned.plan.variants
    return Step(
        plan.flash,
        size.flash.used,
        plan.cycles,
        run.cycles.zero_wait,
        sum(x.zero_wait for x, v in zip(run.layers, variants, strict=True) if v == "c"),
        variants,
    )


def row(kib: int, m: Step) -> str:
    flash = 100 * (m.planned_flash / m.flash - 1)
    cycles = 100 * (m.planned_cycles / m.cycles - 1)
    chosen = ", ".join(f"{n} {v}" for v, n in Counter(m.variants).items())
    return (
        f"| {kib} KiB | {m.planned_flash:,} B | {m.flash:,} B | {flash:+.1f} % | {m.planned_cycles:,} "
        f"| {m.cycles:,} | {cycles:+.1f} % | {m.in_c:,} | {chosen} |"
    )


def main(arguments: Sequence[str]) -> int:
    """Exit code 1 when a plan took more flash than planned."""
    require()
    name = arguments[0] if arguments else "kws"
    product = next((p for p in PRODUCTS if p.name == name), None)
    if product is None or not Path(product.model).is_file():
        sys.exit(f"{name}: no such product here; there are {', '.join(p.name for p in PRODUCTS)}")
    print("| budget | flash planned | measured | off by | cycles planned | measured | off by | in C | variants |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|---|")
    within_plan = True
    for kib in [int(a) for a in arguments[1:]] or BUDGETS:
        measured = step(product, kib)
        within_plan &= measured.flash <= measured.planned_flash
        print(row(kib, measured), flush=True)
    return 0 if within_plan else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
