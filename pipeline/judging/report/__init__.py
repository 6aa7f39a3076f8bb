"""The report: one self-contained HTML page for people, one Markdown table for a pull request."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from pipeline.facts.text import in_markdown, shortened, visible
from pipeline.facts.units import show_size, show_time
from pipeline.judging.report.plan import brief, frontier_plot, plan_rows, plan_sentences

_TEMPLATES = Path(__file__).parent


def render_html(page: Mapping[str, Any]) -> str:
    """The page as a string; everything it needs is in it, and it never loads anything."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_seen,
    )  # fmt: skip
    filters: dict[str, Callable[..., str]] = {
        "size": show_size,
        "percent": percent,
        "us": lambda us: show_time(us / 1e6),
        "n": thousands,
        "brief": brief,
    }
    environment.filters |= filters
    style = (_TEMPLATES / "style.css").read_text("utf-8")
    shared: dict[str, Any] = {
        "style": style,
        "bars": budget_bars(page["verdict"]),
        "flash_map": flash_map(page["size"]),
        "ram_map": ram_map(page["plan"]),
        "layers": layer_rows(page["simulate"], page["size"]),
        "plan_rows": plan_rows(page["plan"], page["simulate"]),
        "waiting": bool(page["plan"]["plan"]["waits"]),
        "plan_sentences": plan_sentences(page["plan"]),
        "plot": frontier_plot(page["plan"], page["size"]["flash"]["limit"]),
    }
    return environment.get_template("index.html.j2").render(**page, **shared)


def _seen(value: Any) -> Any:
    """Every text of the page; that it is no HTML is autoescape's part."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def render_markdown(verdict: Mapping[str, Any], simulate: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    """A table of findings, what the plan is, and a table of layers."""
    mark = {True: "pass", False: "**FAIL**"}
    product, chip = in_markdown(verdict["product"]), in_markdown(verdict["chip"])
    lines = [f"### {product} on {chip}: {verdict['verdict']}", ""]
    lines += ["| rule | result | |", "|---|---|---|"]
    lines += [
        f"| {in_markdown(f['key'])} | {mark[f['passed']]} | {in_markdown(f['said'])} |" for f in verdict["findings"]
    ]
    lines += ["", in_markdown(" ".join(plan_sentences(plan)))]
    lines += ["", "| layer | kernel | MACs | cycles |", "|---|---|---:|---:|"]
    lines += [
        f"| {in_markdown(shortened(x['name']))} | {in_markdown(x['kernel'])} | {x['macs']} | {x['cycles']} |"
        for x in simulate["layers"]
    ]
    return "\n".join(lines) + "\n"


def percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def thousands(number: int) -> str:
    return f"{number:,}"


def budget_bars(verdict: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Used against free, as widths in percent of the larger of both."""
    rows = [
        ("Flash", verdict["flash"]["used"], verdict["flash"]["limit"], show_size),
        ("RAM", verdict["ram"]["used"], verdict["ram"]["limit"], show_size),
        ("Stack", verdict["stack"]["used"], verdict["stack"]["limit"], show_size),
        ("Latency", verdict["latency_us"], verdict["latency_limit_us"], lambda us: show_time(us / 1e6)),
    ]
    made = []
    for name, used, limit, show in rows:
        if used is None or limit is None:
            continue
        whole = max(used, limit)
        made.append(
            {
                "name": name,
                "used": show(used),
                "limit": show(limit),
                "share": f"{100 * used / limit:.0f} %",
                "width": round(100 * used / whole, 2),
                "mark": round(100 * limit / whole, 2),
                "over": used > limit,
            }
        )
    return made


def flash_map(size: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The largest pieces of flash, with widths in percent; the rest in one."""
    pieces: Sequence[Mapping[str, Any]] = [s for s in size["symbols"] if s["kind"] != "ram"]
    total = max(sum(p["size"] for p in pieces), 1)
    shown = [dict(p) | {"width": round(100 * p["size"] / total, 2)} for p in pieces[:12]]
    rest = sum(p["size"] for p in pieces[12:])
    if rest:
        shown.append(
            {
                "name": f"{len(pieces) - 12} more",
                "size": rest,
                "kind": "rest",
                "width": round(100 * rest / total, 2),
            }
        )
    return shown


def ram_map(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The arena's buffers, if used, as boxes in percent: time (kernel calls) to the right, addresses downwards."""
    if not plan["arena"]["needed"]:
        return []
    calls, size = max(len(plan["calls"]), 1), max(plan["arena"]["size"], 1)
    return [
        {
            "name": b["name"],
            "size": b["size"],
            "left": round(100 * b["calls"][0] / calls, 2),
            "width": round(100 * (b["calls"][1] - b["calls"][0] + 1) / calls, 2),
            "top": round(100 * b["offset"] / size, 2),
            "height": round(100 * b["size"] / size, 2),
        }
        for b in plan["arena"]["buffers"]
    ]


def layer_rows(simulate: Mapping[str, Any], size: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Layers with their share of the cycles and their constants."""
    most = max([x["cycles"] for x in simulate["layers"]], default=1)
    total = max(simulate["cycles"]["max"], 1)
    return [
        dict(x)
        | {
            "width": round(100 * x["cycles"] / most, 2),
            "share": f"{100 * x['cycles'] / total:.1f} %",
            "per_mac": f"{x['cycles'] / x['macs']:.2f}" if x["macs"] else "-",
            "constants": y["constants"],
        }
        for x, y in zip(simulate["layers"], size["layers"], strict=True)
    ]
