"""Cycles, flash and memory on Cortex-M0 and M0+ beside everybody else's: `python benchmarks/cortex_m0.py`.

--update rewrites golden/cortex_m0.json, --check fails when a value grew by more than 1 %, --layers adds every layer's
ratio to the lower bound, --markdown prints the tables of docs/benchmarks.md, --peers builds the peers that are
installed. Product names restrict what runs. Everything is emulated; figures that others measured on silicon are marked.
"""

import argparse
import sys

import peer_figures
from measure import (
    CHIPS,
    GOLDEN,
    PRODUCTS,
    Measured,
    Product,
    golden,
    is_present,
    measure,
    record,
    regressions,
    worst_layer,
)
from peer_figures import Peer, best

from pipeline.facts.artifact import to_json

Results = dict[str, dict[str, Measured]]
Table = list[tuple[str, ...]]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for flag in ("check", "update", "layers", "markdown", "peers"):
        parser.add_argument(f"--{flag}", action="store_true")
    parser.add_argument("product", nargs="*", choices=[[], *(p.name for p in PRODUCTS)])
    asked = parser.parse_args()
    chosen = [p for p in PRODUCTS if not asked.product or p.name in asked.product]
    results = _measured([p for p in chosen if is_present(p)])
    for product in chosen:
        if not is_present(product):
            print(f"skipped {product.name}: {product.model.name} is not here (set CHIPFIT_MODELS)", file=sys.stderr)
    show(results, asked.markdown)
    if asked.layers:
        _print(_layers(results["m0"]), asked.markdown)
    if asked.peers:
        import peers

        _print(peers.table(), asked.markdown)
    if asked.update:
        update(results)
    return check(results) if asked.check else 0


def _measured(products: list[Product]) -> Results:
    results: Results = {chip: {} for chip in CHIPS}
    for product in products:
        for chip in product.chips:
            print(f"measuring {product.name} on {chip}", file=sys.stderr, flush=True)
            results[chip][product.name] = measure(product, chip)
    return results


def show(results: Results, markdown: bool = False) -> None:
    """Both tables."""
    print("Cortex-M0, no wait states, multiplier of 1 cycle; all emulated, peers too:\n")
    _print(_m0(results["m0"]), markdown)
    print("\nCortex-M0+; ours emulated, the peer's on silicon at 2 wait states:\n")
    _print(_m0_plus(results["m0plus"]), markdown)


def _title(name: str) -> str:
    return next(p.title for p in PRODUCTS if p.name == name)


def _peer(peer: Peer | None, cycles: int) -> tuple[str, str, str]:
    if peer is None:
        return "-", "-", "-"
    return peer.name, f"{peer.cycles:,}", f"{peer.cycles / cycles:.2f}x"


def _m0(measured: dict[str, Measured]) -> Table:
    table: Table = [
        (
            "product", "network", "MACs", "cycles", "per MAC (bound 1)", "instructions", "code", "constants", "RAM",
            "stack", "worst layer / bound", "best peer", "its cycles", "our speed against it",
        )
    ]  # fmt: skip
    for name, m in measured.items():
        worst = worst_layer(m.layers)
        table.append(
            (
                name, _title(name), f"{m.macs:,}", f"{m.cycles:,}", f"{m.bound_ratio:.2f}", f"{m.instructions:,}",
                f"{m.code:,} B", f"{m.constants:,} B", f"{m.ram:,} B", f"{m.stack:,} B",
                f"{worst.cycles / worst.macs:.2f} ({worst.kernel})",
                *_peer(best(peer_figures.M0, name), m.cycles),
            )
        )  # fmt: skip
    return table


def _m0_plus(measured: dict[str, Measured]) -> Table:
    table: Table = [
        ("product", "RAM", "cycles, no wait states", "upper bound, STM32G0B1 (2 wait states)", "published",
         "its cycles", "our speed against it, at the least")
    ]  # fmt: skip
    for name, m in measured.items():
        peer = _peer(best(peer_figures.M0_PLUS, name), m.cycles_waiting)
        table.append((name, f"{m.ram:,} B", f"{m.cycles:,}", f"{m.cycles_waiting:,}", *peer))
    return table


def _layers(measured: dict[str, Measured]) -> Table:
    """Table of all layers; one without multiply-accumulates has no lower bound and no ratio."""
    table: Table = [("product", "layer", "kernel", "MACs", "cycles", "per MAC (bound 1)")]
    for name, m in measured.items():
        for x in m.layers:
            ratio = f"{x.cycles / x.macs:.2f}" if x.macs else "-"
            table.append((name, x.name, x.kernel, f"{x.macs:,}", f"{x.cycles:,}", ratio))
    return table


def _print(table: Table, markdown: bool) -> None:
    """The first row names the columns; those of numbers stand to the right."""
    right = [all(row[c][:1].isdigit() or row[c] == "-" for row in table[1:]) for c in range(len(table[0]))]
    if markdown:
        rule = tuple("---:" if r else "---" for r in right)
        for row in (table[0], rule, *table[1:]):
            print(f"| {' | '.join(row)} |")
        return
    widths = [max(len(row[c]) for row in table) for c in range(len(table[0]))]
    for row in table:
        cells = (
            cell.rjust(width) if r else cell.ljust(width) for cell, width, r in zip(row, widths, right, strict=True)
        )
        print("  ".join(cells).rstrip())


def update(results: Results) -> None:
    """Rewrite the golden values of what was measured; the others' stay."""
    kept = golden() if GOLDEN.is_file() else {}
    for chip, measured in results.items():
        kept.setdefault(chip, {}).update({name: record(m) for name, m in measured.items()})
    order = [p.name for p in PRODUCTS]
    ordered = {c: {n: kept[c][n] for n in sorted(kept[c], key=order.index)} for c in results}
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_bytes(to_json(ordered))


def check(results: Results) -> int:
    """1 after one line for each value that grew; an unknown product has nothing to be compared with."""
    before = golden()
    lines = []
    for chip, measured in results.items():
        for name, m in measured.items():
            if name not in before.get(chip, {}):
                lines.append(f"{name} on {chip}: not in {GOLDEN.name}; run with --update")
            else:
                lines += regressions(chip, name, m, before[chip][name])
    print("\n".join(lines), file=sys.stderr, end="\n" if lines else "")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
