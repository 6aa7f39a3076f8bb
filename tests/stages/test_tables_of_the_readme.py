"""Generated tables of the README: a row for each entry, in the place that is marked."""

import pytest

from pipeline.facts.config import known_chips
from pipeline.judging.rules import RULES
from stages import STAGES
from stages.app.tables import TABLES, fill_tables

MARKED = "".join(f"<!-- {name} -->\n\n| old |\n|---|\n\n" for name in TABLES)


def test_every_entry_is_a_row() -> None:
    counts = {"stages": len(STAGES), "chips": len(known_chips()), "rules": len(RULES)}
    for name in ("stages", "chips", "rules"):
        assert len(TABLES[name]().splitlines()) == 2 + counts[name]
    variants = TABLES["variants"]()
    assert "| `packed_split` | cortex-m0, cortex-m0plus |" in variants and "cortex-m4" not in variants


def test_old_tables_are_replaced_and_the_text_around_stays() -> None:
    filled = fill_tables(f"before\n{MARKED}after\n")
    assert filled.startswith("before\n") and filled.endswith("after\n") and "| old |" not in filled
    assert fill_tables(filled) == filled


def test_a_missing_mark_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="chips"):
        fill_tables(MARKED.replace("<!-- chips -->", ""))
