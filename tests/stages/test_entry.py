"""Records of the store: what chipfit wrote is read, and of everything else is said what is wrong."""

import json
from typing import Any

import pytest

from pipeline.facts.artifact import json_sha256, sha256, to_json
from stages.store.entry import (
    EMPTY,
    FORMAT,
    MAX_BLOB,
    MAX_FILES,
    MAX_RECORD,
    AnotherForm,
    Damaged,
    Entry,
    Output,
    entry_bytes,
    parse_entry,
)

KEY = {"code": {"a.py": "é"}, "settings": {"x": [1, 0.1, None, True]}}
DIGEST = json_sha256(KEY)
CONTENT = {"sha256": "a" * 64, "size": 3}
ENTRY = Entry("size-check", KEY, {"src/x.S": Output("a" * 64, 3), "size.json": Output(EMPTY, 0)})


def sealed(**changes: Any) -> bytes:
    """A record as chipfit writes it, but for `changes`: whoever may write to a store can also seal."""
    body = {"format": FORMAT, "stage": "quantize", "key": KEY, "outputs": {"x.json": CONTENT}, **changes}
    head = to_json(body).removesuffix(b"\n}\n")
    return to_json({**body, "seal": sha256(head)})


def test_a_record_is_read_as_it_was_written() -> None:
    assert parse_entry(entry_bytes(ENTRY), DIGEST) == ENTRY
    assert parse_entry(sealed(), DIGEST).outputs == {"x.json": Output("a" * 64, 3)}


PATHS = """../x /etc/passwd a/../b ./x a//b a/ /a .. . a/. C:/x C:x a\\b ..\\x .stamp.json src/.stamp.json .lock
nul NUL.txt src/con.h aux COM1 x. a:b ~ ~root $HOME *""".split()


@pytest.mark.parametrize("path", [*PATHS, "", " ", "a b", "a\0b", "a\nb", "\x1b[2J", "x\u202e", "é.json", "x" * 300])
def test_a_path_that_no_stage_writes_is_refused(path: str) -> None:
    with pytest.raises(Damaged, match="names a file that no stage writes"):
        parse_entry(sealed(outputs={"x.json": CONTENT, path: CONTENT}), DIGEST)
    with pytest.raises(Damaged, match="names a file that no stage writes"):
        entry_bytes(Entry("quantize", KEY, {path: Output("a" * 64, 3)}))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"{" * 100_000, "is not JSON"),
        (b'{"a":' * 100_000, "is not JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "is not JSON"),
        (b"9" * 5000, "is not JSON"),
        (b"null", "is no record"),
        (b"[]", "is no record"),
        (b'{"format": 1}', "is no record"),
        (b" " * (MAX_RECORD + 1), "has more than"),
        (sealed()[:-30], "is not JSON"),
        (sealed().replace(b"x.json", b"y.json"), "was changed"),
        (sealed().replace(b'"size": 3', b'"size": 4'), "was changed"),
        (sealed()[:-1], "was changed"),
        (sealed(format="chipfit-shop-2"), "has the form 'chipfit-shop-2'"),
        (sealed(format=f"{FORMAT}\n"), "has the form"),
        (sealed(more=1), "has other fields"),
        (sealed(key={}), "another key"),
        (sealed(key=[]), "another key"),
        (sealed(key={**KEY, "settings": {"x": [1, 0.1, None, 1]}}), "another key"),
        (sealed(stage="../x"), "names no stage"),
        (sealed(stage=7), "names no stage"),
        (sealed(outputs=[]), "lists no outputs"),
        (sealed(outputs={f"f{n}": CONTENT for n in range(MAX_FILES + 1)}), "lists no outputs, or more"),
        (sealed(outputs={"x": "a" * 64}), "does not say what x holds"),
        (sealed(outputs={"x": {"sha256": "a" * 64}}), "does not say"),
        (sealed(outputs={"x": {**CONTENT, "mode": 0o4755}}), "does not say"),
        (sealed(outputs={"x": {"sha256": "../" + "a" * 61, "size": 3}}), "does not say"),
        (sealed(outputs={"x": {"sha256": "A" * 64, "size": 3}}), "does not say"),
        (sealed(outputs={"x": {"sha256": "a" * 64 + "\n", "size": 3}}), "does not say"),
        (sealed(outputs={"x": {"sha256": "a" * 64, "size": -1}}), "gives x a size"),
        (sealed(outputs={"x": {"sha256": "a" * 64, "size": 0}}), "gives x a size"),
        (sealed(outputs={"x": {"sha256": EMPTY, "size": 3}}), "gives x a size"),
        (sealed(outputs={"x": {"sha256": "a" * 64, "size": 1e3}}), "gives x a size"),
        (sealed(outputs={"x": {"sha256": "a" * 64, "size": True}}), "gives x a size"),
        (sealed(outputs={"x": {"sha256": "a" * 64, "size": MAX_BLOB + 1}}), "gives x a size"),
        (sealed(outputs={f"x{n}": {"sha256": "a" * 64, "size": MAX_BLOB} for n in range(3)}), "bytes of outputs"),
        (sealed(outputs={"x": CONTENT, "X": CONTENT}), "names one file twice"),
        (sealed(outputs={"x": CONTENT, "X/y": CONTENT}), "names one file twice"),
    ],
    ids=str,
)
def test_what_is_no_record_of_this_key_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(Damaged, match=reason):
        parse_entry(data, DIGEST)


def test_a_record_that_is_too_large_is_not_written() -> None:
    with pytest.raises(Damaged, match="the limit is"):
        entry_bytes(Entry("quantize", {"x": "y" * MAX_RECORD}, {}))


def test_a_record_is_plain_json() -> None:
    document = json.loads(entry_bytes(ENTRY))
    assert list(document) == ["format", "stage", "key", "outputs", "seal"]
    assert document["outputs"] == {
        "size.json": {"sha256": EMPTY, "size": 0},
        "src/x.S": {"sha256": "a" * 64, "size": 3},
    }


def test_a_record_of_another_version_of_chipfit_is_not_damaged() -> None:
    for other in ("chipfit-store-1", "chipfit-store-3"):
        with pytest.raises(AnotherForm):
            parse_entry(sealed(format=other, stage={"of": "another form"}), "0" * 64)


def test_the_form_has_another_number_where_digests_or_seals_have_another_meaning() -> None:
    """What fails here reads no record of before: FORMAT must then be another one, too."""
    record = entry_bytes(Entry("quantize", {"stage": "quantize"}, {"x": Output("a" * 64, 3)}))
    written = (FORMAT, json_sha256({"stage": "quantize"})[:16], sha256(record)[:16])
    assert written == ("chipfit-store-2", "55dba695287ffe29", "d54b129fdffc9914")
