"""Charts of the comparison page: flash against latency and against accuracy, with the front that no product beats."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.facts.text import shortened
from pipeline.facts.units import show_size, show_time
from pipeline.judging.comparison import ComparedProduct, beats
from pipeline.judging.report.chart_axis import Axis, is_wide, linear_axis, logarithmic_axis

WIDTH, HEIGHT = 430, 330
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 30, 46
_KIB = 1024
_NAMED = 14
"""Up to so many points are named where there is room; of more only the best ones."""
_CHARACTER, _LINE, _GAP = 6.2, 13, 8
_LONGEST = 26


@dataclass(frozen=True)
class Tick:
    """A line across the chart at `at`, in units of the drawing."""

    at: float
    text: str


@dataclass(frozen=True)
class Label:
    x: float
    y: float
    anchor: str
    text: str


@dataclass(frozen=True)
class Point:
    """One or several products of the same figures; `lines` say which, `best` as in index.json."""

    x: float
    y: float
    passed: bool
    best: bool
    lines: tuple[str, ...]
    label: Label | None


@dataclass(frozen=True)
class Chart:
    """A chart of products; `front` is the line of the best of both figures, as SVG has it."""

    name: str
    x_name: str
    y_name: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    points: tuple[Point, ...]
    front: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def latency_chart(products: Sequence[ComparedProduct]) -> Chart | None:
    """Flash to the right, latency upwards on a logarithmic scale; less is better of both."""
    if not products:
        return None
    values = [max(p.latency_us, 1e-3) for p in products]
    return _chart("Latency", "latency (logarithmic)", products, values, logarithmic_axis(values), _time, sign=1)


def accuracy_chart(products: Sequence[ComparedProduct]) -> Chart | None:
    """Flash to the right, accuracy of the integer network upwards; None where none was measured."""
    known = [(p, 100 * p.accuracy.integer) for p in products if p.accuracy.integer is not None]
    if not known:
        return None
    values = [y for _, y in known]
    axis = linear_axis(values, most=100)
    return _chart("Accuracy", "accuracy as integers", [p for p, _ in known], values, axis, _percent, sign=-1)


def _time(us: float) -> str:
    return show_time(us / 1e6)


def _percent(percent: float) -> str:
    return f"{percent:g} %"


def _chart(
    name: str,
    y_name: str,
    products: Sequence[ComparedProduct],
    values: Sequence[float],
    y_axis: Axis,
    show: Callable[[float], str],
    sign: int,
) -> Chart:
    """A chart of `values`, of which less is better where `sign` is 1, and more where it is -1."""
    kib = [max(p.flash.used, 1) / _KIB for p in products]
    x_axis = logarithmic_axis(kib) if is_wide(kib) else linear_axis(kib)
    x, y = _horizontal(x_axis), _vertical(y_axis)
    groups: dict[tuple[float, float], list[ComparedProduct]] = {}
    for product, flash, value in zip(products, kib, values, strict=True):
        groups.setdefault((x(flash), y(value)), []).append(product)
    fitting = [(f, sign * v) for p, f, v in zip(products, kib, values, strict=True) if p.passed]
    front = sorted({own for own in fitting if not any(beats(other, own) for other in fitting)})
    return Chart(
        name=name,
        x_name=f"flash, KiB{' (logarithmic)' if x_axis.logarithmic else ''}",
        y_name=y_name,
        x_ticks=tuple(Tick(x(t), f"{t:g}") for t in x_axis.ticks),
        y_ticks=tuple(Tick(y(t), show(t)) for t in y_axis.ticks),
        points=tuple(_points(groups)),
        front=_stairs([(x(f), y(sign * v)) for f, v in front]),
    )


def _horizontal(axis: Axis) -> Callable[[float], float]:
    return lambda value: round(LEFT + axis.share(value) * (WIDTH - LEFT - RIGHT), 1)


def _vertical(axis: Axis) -> Callable[[float], float]:
    return lambda value: round(HEIGHT - BOTTOM - axis.share(value) * (HEIGHT - TOP - BOTTOM), 1)


def _stairs(points: Sequence[tuple[float, float]]) -> str:
    """The line between what can and what cannot be had: from each point on as far as the next one's flash."""
    corners: list[tuple[float, float]] = []
    for x, y in points:
        corners += [(x, corners[-1][1]), (x, y)] if corners else [(x, y)]
    if corners:
        corners.append((WIDTH - RIGHT, corners[-1][1]))
    return " ".join(f"{x},{y}" for x, y in corners)


def _points(groups: Mapping[tuple[float, float], Sequence[ComparedProduct]]) -> Iterator[Point]:
    """Points and their labels; the best ones, which lie on top of the others, come last but are named first."""
    order = sorted(groups.items(), key=lambda g: (not any(p.best for p in g[1]), g[0]))
    taken = [_Box(x - 5, y - 5, x + 5, y + 5) for x, y in groups]
    points = []
    for (x, y), products in order:
        best = any(p.best for p in products)
        label = _label(x, y, products, taken) if best or len(groups) <= _NAMED else None
        lines = tuple(_line(p) for p in products)
        points.append(Point(x, y, all(p.passed for p in products), best, lines, label))
    return reversed(points)


def _line(product: ComparedProduct) -> str:
    accuracy = "" if product.accuracy.integer is None else f", {100 * product.accuracy.integer:.2f} %"
    figures = f"{show_size(product.flash.used)}, {show_time(product.latency_us / 1e6)}{accuracy}"
    return f"{product.product} on {product.chip}: {figures}; {product.verdict}"


@dataclass(frozen=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "_Box") -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom


def _label(x: float, y: float, products: Sequence[ComparedProduct], taken: list[_Box]) -> Label | None:
    """A name beside its point where it covers nothing, which then is `taken`; None where there is no room."""
    more = f" +{len(products) - 1}" if len(products) > 1 else ""
    text = shortened(products[0].product, _LONGEST) + more
    wide = len(text) * _CHARACTER
    beside, before, above, below = x + _GAP, x - _GAP - wide, y - _LINE * 0.7, y + _LINE * 0.7
    for anchor, left, middle in (
        *(("start", beside, m) for m in (above, below, y)),
        *(("end", before, m) for m in (above, below, y)),
        *(("middle", x - wide / 2, m) for m in (y - _LINE, y + _LINE)),
    ):
        box = _Box(left, middle - _LINE / 2, left + wide, middle + _LINE / 2)
        inside = box.left > LEFT and box.right < WIDTH and box.top > 0 and box.bottom < HEIGHT - BOTTOM
        own = _Box(x - 5, y - 5, x + 5, y + 5)
        if inside and not any(box.meets(other) for other in taken if other != own):
            taken.append(box)
            at = {"start": left, "end": left + wide, "middle": x}[anchor]
            return Label(round(at, 1), round(middle + 4, 1), anchor, text)
    return None
