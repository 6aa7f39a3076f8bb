"""No product may become slower or larger unnoticed: benchmarks/golden holds what each took, `--update` rewrites it."""

import pytest
from measure import PRODUCTS, Measured, Product, golden, is_present, measure, regressions

HINT = "if that is meant: python benchmarks/cortex_m0.py --update"
CHEAP = [pytest.param(p, id=p.name) for p in PRODUCTS if p.cheap]
REST = [pytest.param(p, c, id=f"{p.name}-{c}") for p in PRODUCTS for c in p.chips if not p.cheap]


@pytest.mark.parametrize("product", CHEAP)
def test_small_products_have_not_grown(product: Product) -> None:
    _check(product, "m0")


@pytest.mark.exhaustive
@pytest.mark.parametrize(("product", "chip"), REST)
def test_large_products_have_not_grown(product: Product, chip: str) -> None:
    if not is_present(product):
        pytest.skip(f"{product.model.name} is not here (set CHIPFIT_MODELS)")
    _check(product, chip)


def _check(product: Product, chip: str) -> None:
    lines = list(regressions(chip, product.name, measure(product, chip), golden()[chip][product.name]))
    assert not lines, "\n".join([*lines, HINT])


def test_growth_is_said_in_one_line_each_and_a_percent_is_allowed() -> None:
    before = {"macs": 10, "cycles": 1000, "cycles_waiting": 9, "instructions": 1, "flash": 300, "ram": 0, "stack": 100}
    before |= {"code": 100, "constants": 200}
    now = Measured(10, 1010, 99, 99, 110, 200, 4, 100)
    assert list(regressions("m0", "net", now, before)) == [
        "net on m0: flash grew from 300 to 310 (+3.3 %)",
        "net on m0: ram grew from 0 to 4",
    ]
