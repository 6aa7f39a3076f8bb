"""The page of all products: complete, closed, and safe against whatever a product, chip or model is called."""

import xml.dom.minidom
from dataclasses import replace
from html.parser import HTMLParser

from conftest import some
from test_comparison import FITS, product

from pipeline.judging.comparison import Comparison, Unfinished, comparison_file
from pipeline.judging.report.comparison_page import breakable, render_comparison
from pipeline.judging.verdict import Finding, StackUsed

EVIL = "<script>alert('x')</script>\u202e&\"'"
MISSED = Finding("budget.latency", False, 2, 1, "needs", budget=True)


class Elements(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [a for t, a in self.tags if t == tag]


def page(*verdicts: object, **other: object) -> str:
    return render_comparison(comparison_file(Comparison(verdicts, **other)))  # type: ignore[arg-type]


def test_each_product_is_a_row_with_its_figures_and_a_link_to_its_report() -> None:
    over = replace(product("slow", 2048, 2000, 0.9, fits=False), latency_limit_us=1000.0, findings=(MISSED,))
    html = page(over, product("quick", 1024, 82.6, None), verdict := replace(FITS, stack=StackUsed(None, 256)))
    elements = Elements(html)
    assert [a["href"] for a in elements.all("a")] == [
        f"{n}/report/index.html" for n in ("slow", "quick", verdict.product)
    ]
    shown = " ".join("".join(elements.text).split())
    figures = "2.0 KiB,82.6 us,2 ms of 1 ms,90.00 %,does not fit latency,int5 / int8 mse,net.onnx,? of 256 B"
    assert [f for f in figures.split(",") if f not in shown] == []
    assert len(elements.all("tr")) == 4 and shown.startswith("3 products: 2 fit")


def test_it_loads_nothing() -> None:
    elements = Elements(page(FITS))
    assert all(some("src" not in a and not str(a.get("href", "")).startswith(("http", "//")) for _, a in elements.tags))
    assert not {"link", "img", "iframe", "object", "base"} & {t for t, _ in elements.tags}


def test_names_are_only_text() -> None:
    verdict = replace(FITS, product=EVIL, chip=EVIL, model=EVIL, weights=EVIL, policy=EVIL)
    html = page(verdict, unfinished=(Unfinished(EVIL, (EVIL,)),), left_out=(EVIL,))
    assert len(Elements(html).all("script")) == 1 and "\u202e" not in html
    assert "alert(&#39;x&#39;)" in html


def test_what_failed_and_what_was_left_out_is_said() -> None:
    html = page(unfinished=(Unfinished("broken"),), left_out=("gone",))
    assert "<code>broken</code>" in html and "<code>gone</code>" in html and "<table" not in html
    assert "0 products" in html and "1 product:" in page(FITS)


def test_charts_are_well_formed() -> None:
    html = page(FITS, product("a&b", 1024, 10, 0.5), product("c", 99, 5, 0.1, fits=False))
    svgs = [part.partition("</svg>")[0] for part in html.split("<svg ")[1:]]
    for svg in some(svgs):
        xml.dom.minidom.parseString(f"<svg {svg}</svg>")
    assert len(svgs) == 6 and "<title>a&amp;b on" in html


def test_a_name_breaks_behind_its_parts() -> None:
    assert breakable("a_b.onnx") == "a_<wbr>b.<wbr>onnx" and breakable("<_") == "&lt;_"
