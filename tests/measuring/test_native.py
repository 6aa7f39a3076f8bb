"""The compiled counter is used only as this user compiled it."""

import os
import re
from pathlib import Path

import pytest

from pipeline.facts.flash_wait_states import LINES_AHEAD
from pipeline.measuring import native


def recorded(folder: Path) -> Path:
    target = folder / "counter.so"
    target.write_bytes(b"code")
    target.chmod(0o700)
    native._record_path(target).write_text(native._record(target, "key"), "ascii")
    return target


def test_what_was_recorded_is_trusted_for_its_own_key(tmp_path: Path) -> None:
    target = recorded(tmp_path)
    assert native._is_trusted(target, "key") and not native._is_trusted(target, "other key")


@pytest.mark.skipif(os.name != "posix", reason="links and rights are POSIX's")
@pytest.mark.parametrize("change", ["bytes", "record", "writable", "link", "missing"])
def test_what_was_changed_is_not_trusted(change: str, tmp_path: Path) -> None:
    target = recorded(tmp_path)
    if change == "bytes":
        target.write_bytes(b"c0de")
    elif change == "record":
        native._record_path(target).write_text("key 0\n", "ascii")
    elif change == "writable":
        target.chmod(0o722)
    elif change == "link":
        target.rename(tmp_path / "elsewhere.so")
        target.symlink_to("elsewhere.so")
    else:
        target.unlink()
    assert not native._is_trusted(target, "key")


def test_the_struct_has_the_members_of_the_c_file_in_their_order() -> None:
    source = native._SOURCE.read_text("utf-8")
    body = re.search(r"struct counter \{(.*?)\n\}", source, re.DOTALL)
    assert body is not None
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", body[1], flags=re.DOTALL)
    declared = [re.sub(r"\[.*", "", n).strip(" *") for line in text.split(";") for n in _names(line)]
    assert declared == [name for name, *_ in native.Counter._fields_]


def test_constants_of_the_c_file_are_those_of_python() -> None:
    constants = re.search(r"enum \{ SPANS = (\d+), RECENT = (\d+), AHEAD = (\d+) \}", native._SOURCE.read_text("utf-8"))
    assert constants is not None
    assert [int(n) for n in constants.groups()] == [native.SPANS, native.RECENT, LINES_AHEAD]


def _names(declaration: str) -> list[str]:
    """Names in one declaration of C, such as `uint64_t a[2], b` or `int (*f)(void)`."""
    pointer = re.search(r"\(\*(\w+)\)", declaration)
    if pointer:
        return [pointer[1]]
    words = declaration.strip()
    return [part.split()[-1] for part in words.split(",")] if words else []
