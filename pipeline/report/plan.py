"""What the plan chose and why: rows and sentences for people, from plan.json and simulate.json."""

from collections.abc import Mapping, Sequence
from math import log10
from typing import Any

from pipeline.units import show_size


def brief(name: str) -> str:
    """The first of the names that an importer joined, where a layer took others in."""
    first, joined, _ = name.partition(";")
    return f"{first};..." if joined else name


def plan_rows(plan: Mapping[str, Any], simulate: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """One row for each kernel call: the choice with its costs, and every alternative with what speaks against it.

    `cycles` are planned ones, `measured` those of the emulator at zero wait states; both None for a layer in C, whose
    cycles only the emulator knows. `ratio` is against the scheme's own floor.
    """
    measured = [x["zero_wait"] for x in simulate["layers"]] if simulate else [None] * len(plan["calls"])
    rows = []
    for call, variant, cycles in zip(plan["calls"], plan["plan"]["variants"], measured, strict=True):
        chosen = next(o for o in call["options"] if o["variant"] == variant)
        exact = variant != "c"
        known = chosen["cycles"] if exact else cycles
        rows.append(
            {
                "layer": call["layer"],
                "variant": variant if exact else call["kernel"],
                "macs": call["macs"],
                "cycles": chosen["cycles"] if exact else None,
                "measured": cycles,
                "flash": chosen["flash"],
                "stack": chosen["stack"] if exact else None,
                "ratio": known / call["roof"] if call["roof"] and known else None,
                "alternatives": _alternatives(call, chosen, cycles),
            }
        )
    return rows


def _alternatives(call: Mapping[str, Any], chosen: Mapping[str, Any], measured: int | None) -> list[dict[str, str]]:
    made = []
    ours = chosen["cycles"] if chosen["variant"] != "c" else measured or chosen["cycles"]
    for option in sorted(call["options"], key=lambda o: o["cycles"]):
        if option is chosen:
            continue
        about = "about " if option["variant"] == "c" else ""
        slower, larger = option["cycles"] - ours, option["flash"] - chosen["flash"]
        if slower >= 0 and larger >= 0:
            why = f"{about}{slower:,} cycles and {larger:,} B more"
        elif slower >= 0:
            why = f"{about}{slower:,} cycles more for {-larger:,} B less"
        else:
            why = f"{about}{-slower:,} cycles less for {larger:,} B more"
        made.append({"variant": option["variant"], "why": why})
    return made + [{"variant": r["variant"], "why": r["why"]} for r in call["refused"]]


def plan_sentences(plan: Mapping[str, Any]) -> list[str]:
    """What bounds the plan, and what the next KiB of flash would buy."""
    told, calls = plan["plan"], plan["calls"]
    if all(len(c["options"]) == 1 for c in calls):
        return ["Every layer has one kernel on this core: there was nothing to choose."]
    asked = {"latency": "the fewest cycles in the free flash", "flash": "the least flash within the latency"}
    made = [f"Optimized for {asked[told['optimize']]}: {show_size(told['flash'])} planned."]
    fastest = min(p["cycles"] for p in told["frontier"])
    saved = told["cycles"] - told["next_kib"]["cycles"]
    if told["cycles"] <= fastest:
        made.append("No plan is faster: more flash would buy nothing.")
    elif saved:
        made.append(f"The next KiB of flash would save {saved:,} cycles.")
    else:
        made.append("The next KiB of flash would save nothing by itself; a larger step would.")
    return made


def frontier_plot(plan: Mapping[str, Any], limit: int | None) -> dict[str, Any] | None:
    """Points of the plans that other amounts of flash would give, in percent of the plot; None with fewer than two."""
    told: Mapping[str, Any] = plan["plan"]
    points: Sequence[Mapping[str, Any]] = told["frontier"]
    if len(points) < 2:
        return None
    small, large = min(p["flash"] for p in points), max(p["flash"] for p in points)
    slow, fast = (log10(max(f(p["cycles"] for p in points), 1)) for f in (max, min))

    def place(flash: int, cycles: int) -> dict[str, float]:
        x = 100 * (flash - small) / max(large - small, 1)
        return {"x": round(x, 2), "y": round(100 * (slow - log10(max(cycles, 1))) / max(slow - fast, 1e-9), 2)}

    made = [
        place(p["flash"], p["cycles"])
        | {"flash": p["flash"], "cycles": p["cycles"], "variants": ", ".join(_counted(p["variants"]))}
        for p in points
    ]
    mark = place(told["flash"], told["cycles"]) | {"flash": told["flash"], "cycles": told["cycles"]}
    inside = limit is not None and small <= limit <= large
    return {
        "points": made,
        "line": " ".join(f"{p['x']},{p['y']}" for p in made),
        "chosen": mark,
        "limit": round(100 * (limit - small) / max(large - small, 1), 2) if inside and limit is not None else None,
        "axis": {"small": small, "large": large, "slow": round(10**slow), "fast": round(10**fast)},
    }


def _counted(variants: Sequence[str]) -> list[str]:
    return [f"{variants.count(v)} {v}" for v in dict.fromkeys(variants)]
