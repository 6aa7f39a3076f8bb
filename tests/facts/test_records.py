"""Dataclasses as JSON and back, and what is no such JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest

from pipeline.facts.errors import ChipfitError
from pipeline.facts.records import Key, from_json, from_plain, json_bytes, to_plain


@dataclass(frozen=True)
class Inner:
    size: int
    pair: tuple[int, float]


@dataclass(frozen=True)
class Outer:
    memory: Annotated[Literal["flash", "ram"], Key("place")]
    parts: tuple[Inner, ...]
    home: tuple[int | str, ...]
    digests: Mapping[str, str]
    limit: float | None
    extra: int | None = None


WHOLE = Outer("ram", (Inner(3, (1, 0.5)), Inner(4, (2, 2.0))), ("arena", 8), {"a": "00"}, None, 7)
BARE = Outer("flash", (), (), {}, 2.5)
DOCUMENT: dict[str, Any] = {"place": "flash", "parts": [], "home": [], "digests": {}, "limit": 2.5}


def test_keys_are_the_fields_in_their_order_and_an_optional_none_is_left_out() -> None:
    assert to_plain(BARE) == DOCUMENT
    assert list(to_plain(WHOLE)) == ["place", "parts", "home", "digests", "limit", "extra"]
    assert to_plain(WHOLE)["parts"] == [{"size": 3, "pair": [1, 0.5]}, {"size": 4, "pair": [2, 2.0]}]


@pytest.mark.parametrize("record", [WHOLE, BARE])
def test_what_was_written_is_read(record: Outer) -> None:
    assert from_json(Outer, json_bytes(record), "outer.json") == record


@pytest.mark.parametrize(
    "changed",
    [
        {"place": "disk"},
        {"limit": "2.5"},
        {"limit": True},
        {"extra": 1.5},
        {"parts": [{"size": 3}]},
        {"parts": [{"size": 3, "pair": [1]}]},
        {"home": [None]},
        {"unknown": 1},
    ],
)
def test_what_was_not_written_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises((KeyError, ValueError, TypeError)):
        from_plain(Outer, DOCUMENT | changed)


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b'{"place": "flash"}'])
def test_a_damaged_file_is_one_sentence(data: bytes) -> None:
    with pytest.raises(ChipfitError, match=r"^stage/outer\.json is damaged\. Hint: Run the build again\.$"):
        from_json(Outer, data, "stage/outer.json")
