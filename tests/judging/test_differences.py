"""Two builds compared: nothing to say of equal ones, the same the other way round, and every difference found."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from two_builds import snapshot

from pipeline.facts.config.models import Regression
from pipeline.facts.totals import Totals
from pipeline.judging.differences import compare, with_regression
from pipeline.judging.differences.diff import Cause, Differences, FigureChange, LayerChange, ProductDiff, Snapshot
from pipeline.judging.figures import LayerFigures
from pipeline.measuring.footprint.size_file import SizedSymbol

NUMBERS = st.integers(0, 3)
NAMES = st.sampled_from(["a", "b", "a + b", "c", "|", "<b>"])
LAYERS = st.lists(st.builds(LayerFigures, NAMES, st.sampled_from(["packed", "loop"]), NUMBERS, NUMBERS), max_size=5)
SYMBOLS = st.lists(st.builds(SizedSymbol, NAMES, NUMBERS, st.just("code")), max_size=5)
MAPPINGS = st.dictionaries(NAMES, st.sampled_from(["1", "2"]), max_size=3)
PARTS = dict.fromkeys(("flash", "ram", "stack", "cycles", "latency_us", "accuracy"), NUMBERS) | {
    "layers": LAYERS.map(tuple) | st.none(),
    "symbols": SYMBOLS.map(tuple) | st.none(),
    "verdict": st.sampled_from(["fits", "does not fit", None]),
    "library": st.sampled_from(["d" * 64, "e" * 64, None]),
    **dict.fromkeys(("inputs", "settings", "tools", "code", "widths", "calibrated"), MAPPINGS),
}
SNAPSHOTS = st.fixed_dictionaries({}, optional=PARTS).map(lambda parts: snapshot(**parts))
SIDES = st.dictionaries(NAMES, SNAPSHOTS | st.just("does not build") | st.none(), max_size=3)


def mirrored(comparison: Differences) -> Differences:
    """The comparison the other way round; percent is of the other side's figure, and compared apart."""
    return Differences(comparison.new, comparison.old, tuple(map(mirrored_product, comparison.products)))


def mirrored_product(p: ProductDiff) -> ProductDiff:
    other: dict[Any, Any] = {"added": "removed", "removed": "added"}
    figures = tuple(FigureChange(f.name, f.new, f.old, negative(f.difference), None) for f in p.figures)
    layers = tuple(LayerChange(other.get(x.change, x.change), x.new, x.old, -x.cycles, -x.constants) for x in p.layers)
    symbols = tuple(replace(s, old=s.new, new=s.old, difference=-s.difference) for s in p.symbols)
    causes = tuple(Cause(c.kind, c.name, c.new, c.old) for c in p.causes)
    return replace(
        p,
        state=other.get(p.state, p.state),
        verdict=p.verdict[::-1],
        figures=figures,
        layers=layers,
        symbols=symbols,
        causes=tuple(sorted(causes, key=repr)),
        why="; ".join(p.why.split("; ")[::-1]),
    )


def negative(value: float | None) -> float | None:
    return None if value is None else -value


def without_percent(comparison: Differences) -> Differences:
    return replace(
        comparison,
        products=tuple(
            replace(
                p,
                figures=tuple(replace(f, percent=None) for f in p.figures),
                causes=tuple(sorted(p.causes, key=repr)),
            )
            for p in comparison.products
        ),
    )


@given(SIDES)
@settings(max_examples=50, deadline=None)
def test_a_build_compared_with_itself_is_no_change(side: dict[str, Snapshot | str | None]) -> None:
    found = compare("a", side, "b", side)
    assert not found.differs
    for product in found.products:
        assert product.state == ("not compared" if isinstance(side[product.product], str) else "no change")
        assert (product.layers, product.symbols, product.causes) == ((), (), ())


@given(SIDES, SIDES)
@settings(max_examples=100, deadline=None)
def test_the_other_way_round_it_is_the_mirror_image(
    one: dict[str, Snapshot | str | None], other: dict[str, Snapshot | str | None]
) -> None:
    there, back = compare("a", one, "b", other), compare("b", other, "a", one)
    assert mirrored(there) == without_percent(back)


def test_figures_have_their_difference_and_percent() -> None:
    (product,) = compare("a", {"p": snapshot()}, "b", {"p": snapshot(cycles=4100, stack=None, ram=8)}).products
    figures = {f.name: f for f in product.figures}
    assert list(figures) == list(Totals.__dataclass_fields__)
    assert figures["cycles"] == FigureChange("cycles", 3964, 4100, 136, 3.4309)
    assert figures["stack"] == FigureChange("stack", 396, None, None, None)
    assert figures["ram"] == FigureChange("ram", 0, 8, 8, None)
    assert figures["flash"] == FigureChange("flash", 6972, 6972, 0, 0)
    assert product.state == "changed"


def test_products_of_one_side_alone_and_those_that_do_not_build() -> None:
    old = {"gone": snapshot(), "both": snapshot(), "broken": "no model", "unasked": None}
    new = {"fresh": snapshot(), "both": snapshot(), "broken": snapshot()}
    found = compare("HEAD", old, "working tree", new)
    assert [(p.product, p.state) for p in found.products] == [
        ("both", "no change"),
        ("broken", "not compared"),
        ("fresh", "added"),
        ("gone", "removed"),
    ]
    assert found.products[1].why == "HEAD: no model"
    assert found.differs and not found.complete


def test_a_verdict_alone_is_a_change_and_what_a_lock_does_not_keep_is_none() -> None:
    (product,) = compare("a", {"p": snapshot()}, "b", {"p": snapshot(verdict="does not fit")}).products
    assert (product.state, product.verdict) == ("changed", ("fits", "does not fit"))
    lock = snapshot(verdict=None, layers=None, symbols=None, library=None)
    (product,) = compare("a", {"p": lock}, "b", {"p": snapshot()}).products
    assert (product.state, product.same_library) == ("no change", None)


def test_other_machine_code_of_the_same_figures_is_noticed() -> None:
    (product,) = compare("a", {"p": snapshot()}, "b", {"p": snapshot(library="e" * 64)}).products
    assert (product.state, product.same_library) == ("no change", False)


def test_what_a_build_may_lose_is_judged_by_the_limits_of_the_new_side() -> None:
    limits = Regression.model_validate({"cycles": "0 %"})
    old = {n: snapshot(limits=limits) for n in ("free", "worse", "lock", "gone")}
    old["other"] = snapshot(chip={"chip": "truetouch-m0", "core": "cortex-m0"})
    new = {
        "free": snapshot(cycles=9999, limits=Regression()),
        "worse": snapshot(cycles=4000, limits=limits),
        "lock": snapshot(cycles=9999),
        "other": snapshot(limits=limits, chip={"chip": "rp2040", "core": "cortex-m0+"}),
        "fresh": snapshot(limits=limits),
    }
    found = with_regression(compare("v1", old, "working tree", new), old, new)
    missed = {p.product: [f.sentence for f in p.missed] for p in found.products if p.missed}
    assert missed == {
        "worse": ["4,000 are 36 (0.9 %) more than the 3,964 of v1, allowed 0 %"],
        "other": ["v1 is that of the chip truetouch-m0, this is rp2040"],
    }
