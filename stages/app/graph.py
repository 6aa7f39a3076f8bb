"""`chipfit graph`: the stages of products and what each reads, as SVG; a result that products share is one box."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from pipeline.facts.errors import ChipfitError
from pipeline.facts.text import visible
from stages import STAGES
from stages.app.options import Options
from stages.app.products import BUILD, PICTURE, products
from stages.base import Job, applicable
from stages.planned import Action, plan_stages
from stages.store import open_store
from stages.store.settings import read_settings

_COLUMN, _ROW, _WIDTH, _HEIGHT, _LEFT, _TOP = 130, 40, 96, 26, 220, 64
_CLASSES: Mapping[Action, str] = {
    "up to date": "done",
    "restore": "kept",
    "restore from the shared store": "kept",
    "run": "run",
    "after": "after",
}
_STYLE = """
:root { color-scheme: light dark; }
text { font: 13px system-ui, sans-serif; fill: #1c2733; }
rect { stroke-width: 1.2; rx: 5px; }
path { fill: none; stroke: #8a97a5; stroke-width: 1.2; }
.sheet { fill: #ffffff; stroke: none; }
.done rect, rect.done { fill: #d9f2e0; stroke: #2e8b57; }
.kept rect, rect.kept { fill: #dceafb; stroke: #2f6fb7; }
.run rect, rect.run { fill: #fdebd0; stroke: #b9770e; }
.after rect, rect.after { fill: #f1f3f5; stroke: #8a97a5; stroke-dasharray: 4 3; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .sheet { fill: #0f151b; }
  .done rect, rect.done { fill: #12341f; }
  .kept rect, rect.kept { fill: #122c4a; }
  .run rect, rect.run { fill: #45300d; }
  .after rect, rect.after { fill: #20272e; }
}
"""


@dataclass(frozen=True)
class Box:
    """A result: its column (stage), the rows of the products that have it, and what a build would do with it."""

    stage: str
    column: int
    rows: tuple[int, ...]
    action: Action


def graph(arguments: Sequence[str]) -> int:
    """Write the picture, build/graph.svg unless `-o` says another file, or - for stdout."""
    options = Options("graph")
    options.add_argument(
        "products", nargs="*", metavar="PRODUCT", help="names or YAML files (default: those found here)"
    )
    options.add_argument(
        "-o", dest="file", metavar="FILE", default=str(BUILD / PICTURE), help="- for stdout (default: %(default)s)"
    )
    given = options.parse_args(arguments)
    store = open_store(read_settings())
    rows = []
    for project in products(given.products):
        stages = [s for s in STAGES if applicable(s, project)]
        planned = plan_stages(stages, Job(project, BUILD), store)
        rows.append((project.config.product, {p.stage: (p.key.digest if p.key else None, p.action) for p in planned}))
    picture = svg(rows)
    if given.file == "-":
        print(picture, end="")
        return 0
    try:
        Path(given.file).parent.mkdir(parents=True, exist_ok=True)
        Path(given.file).write_text(picture, "utf-8")
    except OSError as error:
        raise ChipfitError(f"cannot be written: {error.strerror}", place=given.file) from error
    print(f"wrote {visible(given.file)}")
    return 0


def svg(products: Sequence[tuple[str, Mapping[str, tuple[str | None, Action]]]]) -> str:
    """The picture of each product's stages, with the digest of their key (None: not known yet) and their action."""
    columns = [s.NAME for s in STAGES if any(s.NAME in stages for _, stages in products)]
    products = _side_by_side(products, columns)
    boxes = _boxes(products, columns)
    width, height = _LEFT + _COLUMN * len(columns), _TOP + _ROW * len(products) + 16
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="sheet" width="{width}" height="{height}"/>',
        *(_label(_LEFT + _COLUMN * i, 48, name) for i, name in enumerate(columns)),
        *(_label(12, _TOP + _ROW * i + 18, name) for i, (name, _) in enumerate(products)),
        *_legend(),
        *(line for box in boxes for line in _lines(box, boxes)),
        *map(_drawn, boxes),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _side_by_side(
    products: Sequence[tuple[str, Mapping[str, tuple[str | None, Action]]]], columns: Sequence[str]
) -> list[tuple[str, Mapping[str, tuple[str | None, Action]]]]:
    """The products in an order in which those with one result are neighbours: what most share decides first."""
    digests = {c: [stages[c][0] if c in stages else None for _, stages in products] for c in columns}
    most_shared = sorted(columns, key=lambda c: len(set(digests[c])))
    order = sorted(range(len(products)), key=lambda row: [digests[c].index(digests[c][row]) for c in most_shared])
    return [products[row] for row in order]


def _boxes(
    products: Sequence[tuple[str, Mapping[str, tuple[str | None, Action]]]], columns: Sequence[str]
) -> list[Box]:
    found: dict[tuple[str, str], list[int]] = {}
    actions: dict[tuple[str, str], Action] = {}
    for row, (_, stages) in enumerate(products):
        for stage, (digest, action) in stages.items():
            result = stage, digest or f"row {row}"
            found.setdefault(result, []).append(row)
            actions.setdefault(result, action)
    return [Box(s, columns.index(s), tuple(rows), actions[s, d]) for (s, d), rows in found.items()]


def _lines(box: Box, boxes: Sequence[Box]) -> list[str]:
    """Lines to the box from what its stage reads directly: what reaches it through another stage is left out."""
    reads = {s.NAME: set(s.READS) for s in STAGES}
    direct = reads[box.stage] - {t for s in reads[box.stage] for t in _reached(s, reads)}
    lines = []
    for row in box.rows:
        for source in (b for b in boxes if b.stage in direct and row in b.rows):
            x0, x1 = _left(source) + _WIDTH, _left(box)
            y0, y1, bend = _middle(source), _middle(box), (x1 - x0) / 2
            lines.append(f'<path d="M{x0} {y0:g} C{x0 + bend:g} {y0:g} {x1 - bend:g} {y1:g} {x1} {y1:g}"/>')
    return list(dict.fromkeys(lines))


def _reached(stage: str, reads: Mapping[str, set[str]]) -> set[str]:
    return {t for s in reads[stage] for t in ({s} | _reached(s, reads))}


def _left(box: Box) -> int:
    return _LEFT + _COLUMN * box.column


def _top(box: Box) -> int:
    return _TOP + _ROW * box.rows[0]


def _height(box: Box) -> int:
    return _HEIGHT + _ROW * (box.rows[-1] - box.rows[0])


def _middle(box: Box) -> float:
    return _top(box) + _height(box) / 2


def _drawn(box: Box) -> str:
    count = f" x{len(box.rows)}" if len(box.rows) > 1 else ""
    title = f"{box.stage}: {box.action}" + (f", one result for {len(box.rows)} products" if count else "")
    return (
        f'<g class="{_CLASSES[box.action]}"><title>{title}</title>'
        f'<rect x="{_left(box)}" y="{_top(box)}" width="{_WIDTH}" height="{_height(box)}"/>'
        f'<text x="{_left(box) + 8}" y="{_middle(box) + 4.5:g}">{box.stage}{count}</text></g>'
    )


def _label(x: int, y: int, text: str) -> str:
    return f'<text x="{x}" y="{y}">{escape(visible(text))}</text>'


def _legend() -> list[str]:
    shown = (("done", "up to date"), ("kept", "restored"), ("run", "run"), ("after", "decided by earlier results"))
    parts = []
    for i, (name, text) in enumerate(shown):
        x = 12 + 130 * i
        parts += [f'<rect class="{name}" x="{x}" y="10" width="16" height="14"/>', _label(x + 22, 22, text)]
    return parts
