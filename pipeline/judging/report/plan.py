"""What the plan chose and why: rows and sentences for people, from plan.json and simulate.json."""

from collections.abc import Mapping, Sequence
from math import log10
from typing import Any

from pipeline.facts.units import show_size
from pipeline.planning.placement import named


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
    told = plan["plan"]
    for call, variant, place, cycles in zip(plan["calls"], told["variants"], told["places"], measured, strict=True):
        chosen = next(o for o in call["options"] if (o["variant"], o["place"]) == (variant, place))
        exact = variant != "c"
        known = chosen["cycles"] if exact else cycles
        rows.append(
            {
                "layer": call["layer"],
                "variant": named(variant, place) if exact else call["kernel"],
                "macs": call["macs"],
                "cycles": chosen["cycles"] if exact else None,
                "waits": chosen["waits"],
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
    for option in _others(call["options"], chosen):
        about = "about " if option["variant"] == "c" or option["waits"] != chosen["waits"] else ""
        differences = (
            (option["cycles"] + option["waits"] - ours - chosen["waits"], "cycles"),
            (option["flash"] - chosen["flash"], "B"),
            (option["ram"] - chosen["ram"], "B of RAM"),
        )
        why = [f"{abs(d):,} {unit} {'more' if d > 0 else 'less'}" for d, unit in differences if d]
        said = about + ", ".join(why) if why else "the same"
        made.append({"variant": named(option["variant"], option["place"]), "why": said})
    return made + [{"variant": r["variant"], "why": r["why"]} for r in call["refused"]]


def _others(options: Sequence[Mapping[str, Any]], chosen: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The chosen variant in other places, and every other one in its best; the fastest first."""
    seen: set[str] = set()
    made = []
    for option in sorted(options, key=lambda o: (o["cycles"] + o["waits"], o["ram"])):
        own = option["variant"] == chosen["variant"]
        if option is not chosen and (own or option["variant"] not in seen):
            made.append(option)
        seen.add(option["variant"])
    return made


def plan_sentences(plan: Mapping[str, Any]) -> list[str]:
    """What bounds the plan, and what the next KiB of flash would buy."""
    told, calls, left_out = plan["plan"], plan["calls"], plan["left_out"]
    less = f"{left_out['channels']:,} channels, {left_out['macs']:,} multiply-accumulates, change no output: left out."
    return _chosen(told, calls) + ([less] if left_out["channels"] else [])


def _chosen(told: Mapping[str, Any], calls: Sequence[Mapping[str, Any]]) -> list[str]:
    if all(len(c["options"]) == 1 for c in calls):
        return ["Every layer has one kernel on this core: there was nothing to choose."]
    asked = {"latency": "the fewest cycles in the free flash", "flash": "the least flash within the latency"}
    made = [f"Optimized for {asked[told['optimize']]}: {show_size(told['flash'])} planned."]
    if told["ram"]:
        made.append(f"Startup copies {show_size(told['ram'])} of it to RAM, where nothing waits for flash.")
    total = told["cycles"] + told["waits"]
    fastest = min(p["cycles"] + p["waits"] for p in told["frontier"])
    saved = total - told["next_kib"]["cycles"]
    if total <= fastest:
        made.append("No plan is faster: more flash would buy nothing.")
    elif saved:
        made.append(f"The next KiB of flash would save {saved:,} cycles.")
    else:
        made.append("The next KiB of flash would save nothing by itself; a larger step would.")
    if told["from_ram"]:
        ram, less = show_size(told["from_ram"]["ram"]), total - told["from_ram"]["cycles"]
        made.append(f"With {ram} of it in RAM (memory: {{code: ram}}) about {less:,} of {total:,} cycles would go.")
    return made


def frontier_plot(plan: Mapping[str, Any], limit: int | None) -> dict[str, Any] | None:
    """Points of the plans that other amounts of flash would give, in percent of the plot; None with fewer than two."""
    told: Mapping[str, Any] = plan["plan"]
    points: Sequence[Mapping[str, Any]] = told["frontier"]
    if len(points) < 2:
        return None
    small, large = min(p["flash"] for p in points), max(p["flash"] for p in points)
    totals = [p["cycles"] + p["waits"] for p in points]
    slow, fast = log10(max(*totals, 1)), log10(max(min(totals), 1))

    def place(flash: int, cycles: int) -> dict[str, float]:
        x = 100 * (flash - small) / max(large - small, 1)
        return {"x": round(x, 2), "y": round(100 * (slow - log10(max(cycles, 1))) / max(slow - fast, 1e-9), 2)}

    made = [
        place(p["flash"], total)
        | {"flash": p["flash"], "cycles": total, "variants": ", ".join(_counted(p["variants"]))}
        for p, total in zip(points, totals, strict=True)
    ]
    chosen = told["cycles"] + told["waits"]
    mark = place(told["flash"], chosen) | {"flash": told["flash"], "cycles": chosen}
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
