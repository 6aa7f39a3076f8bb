"""Record of one stage result, `ac/<digest of its key>`: its form, its limits, and the checks before it is believed."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.facts.artifact import json_sha256, sha256, to_json

FORMAT = "chipfit-store-2"
"""The form of records. Another number for another meaning of any byte of them, digests and seals too."""
MAX_RECORD = 1 << 20
"""Bytes of one record."""
MAX_FILES = 4096
MAX_BLOB = 1 << 29
"""Bytes of one output file."""
MAX_TOTAL = 1 << 30
"""Bytes of all output files of one record."""
EMPTY = sha256(b"")
"""Digest of no bytes: they are in every store, without a file."""
_FORMATS = re.compile(r"chipfit-store-[0-9]{1,9}")
_SEAL, _END = b',\n "seal": "', b'"\n}\n'
_MAX_PATH = 240
_SHA256 = re.compile(r"[0-9a-f]{64}")
_STAGE = re.compile(r"[a-z][a-z0-9-]{0,40}")
# No part begins with a dot: neither `..`, nor the stamp and the lock that the build folder keeps beside results.
_PART = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.+-]*[A-Za-z0-9_+-])?")
# Names that Windows gives to devices, whatever their suffix and folder.
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


class Damaged(Exception):
    """Something of a store that is not what chipfit wrote there. The text is the rest of a sentence: "is ..."."""


class AnotherForm(Exception):
    """A record of another version of chipfit, with which this one shares the store: it is a miss, and left alone."""


@dataclass(frozen=True)
class Output:
    """Content of one output file: its sha256 in hexadecimal digits, and its size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Entry:
    """A stage's result: its key taken apart by name, in plain JSON, and the content of each file by relative path."""

    stage: str
    key: Mapping[str, Any]
    outputs: Mapping[str, Output]

    @property
    def digest(self) -> str:
        return json_sha256(self.key)


def is_sha256(text: object) -> bool:
    """Whether `text` is a sha256 as the store writes it: 64 lower-case hexadecimal digits."""
    return isinstance(text, str) and _SHA256.fullmatch(text) is not None


def entry_bytes(entry: Entry) -> bytes:
    """The record as stored; raises Damaged for what `parse_entry` would refuse."""
    outputs = {n: {"sha256": o.sha256, "size": o.size} for n, o in sorted(entry.outputs.items())}
    _check_outputs(outputs)
    body = {"format": FORMAT, "stage": entry.stage, "key": dict(entry.key), "outputs": outputs}
    head = to_json(body).removesuffix(b"\n}\n")
    data = head + _SEAL + sha256(head).encode() + _END
    if len(data) > MAX_RECORD:
        raise Damaged(f"has a record of {len(data)} bytes, the limit is {MAX_RECORD}")
    return data


def parse_entry(data: bytes, digest: str) -> Entry:
    """The record in `data`, found under the name `digest`. Raises Damaged unless chipfit wrote it for that key.

    Raises AnotherForm for a record of another version of chipfit.

    The seal, sha256 of all bytes before it, notices changed bits; it is no signature: whoever may write to a store may
    write a record.
    """
    if len(data) > MAX_RECORD:
        raise Damaged(f"has more than {MAX_RECORD} bytes")
    try:
        document = json.loads(data)
        if not isinstance(document, dict) or not isinstance(document.get("format"), str):
            raise Damaged("is no record of a stage result")
        if document["format"] != FORMAT:
            if _FORMATS.fullmatch(document["format"]):
                raise AnotherForm(document["format"])
            raise Damaged(f"has the form {document['format'][:40]!r}, expected {FORMAT!r}")
        head, _, seal = data.rpartition(_SEAL)
        if seal != sha256(head).encode() + _END:
            raise Damaged("was changed after it was written")
        if list(document) != ["format", "stage", "key", "outputs", "seal"]:
            raise Damaged("has other fields than a record")
        key, stage = document["key"], document["stage"]
        if not isinstance(key, dict) or json_sha256(key) != digest:
            raise Damaged("is the record of another key")
    except (ValueError, RecursionError) as error:
        raise Damaged("is not JSON") from error
    if not isinstance(stage, str) or not _STAGE.fullmatch(stage):
        raise Damaged("names no stage")
    return Entry(stage, key, _check_outputs(document["outputs"]))


def _check_outputs(outputs: object) -> dict[str, Output]:
    if not isinstance(outputs, dict) or len(outputs) > MAX_FILES:
        raise Damaged(f"lists no outputs, or more than {MAX_FILES}")
    checked: dict[str, Output] = {}
    for path, content in outputs.items():
        if not _is_safe(path):
            raise Damaged(f"names a file that no stage writes: {str(path)[:_MAX_PATH]!r}")
        if not isinstance(content, dict) or content.keys() != {"sha256", "size"} or not is_sha256(content["sha256"]):
            raise Damaged(f"does not say what {path} holds")
        size = content["size"]
        if type(size) is not int or not 0 <= size <= MAX_BLOB or (size == 0) != (content["sha256"] == EMPTY):
            raise Damaged(f"gives {path} a size that is none, or more than {MAX_BLOB} bytes")
        checked[path] = Output(content["sha256"], size)
    if sum(o.size for o in checked.values()) > MAX_TOTAL:
        raise Damaged(f"has more than {MAX_TOTAL} bytes of outputs")
    # On a file system that ignores case, two names could be one file; and no file is a folder too.
    folded = [p.casefold() for p in checked]
    folders = {"/".join(p.split("/")[:n]) for p in folded for n in range(1, p.count("/") + 1)}
    if len(set(folded)) < len(folded) or folders & set(folded):
        raise Damaged("names one file twice")
    return checked


def _is_safe(path: object) -> bool:
    """Whether `path` is a relative path of plain names, which means the same file on every system."""
    if not isinstance(path, str) or not 0 < len(path) <= _MAX_PATH:
        return False
    return all(_PART.fullmatch(p) and not _DEVICE.fullmatch(p) for p in path.split("/"))
