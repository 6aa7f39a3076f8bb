"""Settings of the store: command line before environment before `[store]` of chipfit.toml, each value by itself."""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pipeline.facts.errors import ChipfitError, did_you_mean
from pipeline.facts.files import file_size, is_file
from pipeline.facts.units import SIZES, parse_integer

Mode = Literal["read-only", "read-write"]
MODES: tuple[Mode, ...] = ("read-only", "read-write")
SCHEMES = ("http", "https", "s3", "gs", "file", "memory")
OFF = "none"
"""In place of a URL: nothing is stored, not even in the user's own folder."""
_GIB = 1 << 30
DEFAULT_SIZE = 2 * _GIB
_LEAST_SIZE = 1 << 20
_UNITS = {**SIZES, "GB": 10**9, "GiB": _GIB}
_KEYS = ("url", "mode", "size", "folder")
_VARIABLES = {
    "url": "CHIPFIT_STORE",
    "mode": "CHIPFIT_STORE_MODE",
    "size": "CHIPFIT_STORE_SIZE",
    "folder": "CHIPFIT_STORE_FOLDER",
}
_MAX_BYTES = 1 << 20
_ESCAPES = "In a user or password write %2F for /, %3F for ?, %23 for # and %40 for @."
_NEEDS = {
    "http": ("aiohttp", "http"),
    "https": ("aiohttp", "http"),
    "s3": ("s3fs", "s3"),
    "gs": ("gcsfs", "gs"),
    "memory": ("fsspec", "http"),
}
"""The module that a kind of store needs, and the extra of chipfit that brings it."""


@dataclass(frozen=True)
class StoreSettings:
    """`url` of a shared store or None, how it is used, and `folder` and `size` in bytes of the user's own store."""

    folder: Path
    url: str | None = field(default=None, repr=False)  # may hold a password
    mode: Mode = "read-only"
    size: int = DEFAULT_SIZE
    enabled: bool = True

    @property
    def shown_url(self) -> str | None:
        """The URL without user and password."""
        return None if self.url is None else shown_url(self.url)


def read_settings(
    *,
    url: str | None = None,
    mode: str | None = None,
    off: bool = False,
    start: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> StoreSettings:
    """Settings from options of the command line (`--store`, `--store-mode`, `--no-store`) and from what stands behind.

    `start` is the folder where the search for a settings file begins, the current one by default.
    Raises ChipfitError for a value that means nothing, naming where it stands.
    """
    values: dict[str, tuple[str, object, Path]] = {}
    here = Path.cwd() if start is None else start
    file, table = _settings_table(here)
    for key, value in table.items():
        values[key] = f"{file}: store.{key}", value, file.parent
    for key, variable in _VARIABLES.items():
        if environment.get(variable):
            values[key] = variable, environment[variable], here
    for key, option, given in (("url", "--store", url), ("mode", "--store-mode", mode)):
        if given is not None:
            values[key] = option, given, here
    checks: Mapping[str, Callable[[str, object, Path], Any]]
    checks = {"url": _url, "mode": _mode, "size": _size, "folder": _folder}
    checked = {key: checks[key](*value) for key, value in values.items()}
    if checked.get("url") == OFF:
        off, checked["url"] = True, None
    if "folder" not in checked:
        from platformdirs import user_cache_path

        checked["folder"] = user_cache_path("chipfit", appauthor=False) / "store"
    return StoreSettings(**checked, enabled=not off)


def require(url: str) -> None:
    """Raise ChipfitError if what the URL's scheme needs is not installed."""
    needed = _NEEDS.get(url.partition(":")[0])
    if needed is not None and any(find_spec(m) is None for m in ("fsspec", needed[0])):
        hint = f"pip install 'chipfit[{needed[1]}]'."
        raise ChipfitError(f"{needed[0]} is not installed", place=shown_url(url), hint=hint)


def shown_url(url: str) -> str:
    """A URL for a person to read: without all that may be user and password, which is what stands before the last @."""
    before, at, rest = url.rpartition("@")
    scheme, mark, _ = before.partition("://")
    return f"{scheme}://{rest}" if at and mark and scheme in SCHEMES else rest


def file_path(url: str) -> Path:
    """The folder of a `file:` URL."""
    from urllib.request import url2pathname

    return Path(url2pathname(urlsplit(url).path))


def _settings_table(start: Path) -> tuple[Path, Mapping[str, object]]:
    """The nearest table of settings, and its file: here or in a folder above, up to the repository's root.

    Without a repository only here: in a folder above, such as /tmp, anybody might have laid a file.
    """
    folders = [start, *start.parents]
    root = next((n for n, f in enumerate(folders) if (f / ".git").exists()), 0)
    for folder in folders[: root + 1]:
        for name in ("chipfit.toml", "pyproject.toml"):
            path = folder / name
            if not is_file(path):
                continue
            document = _toml(path)
            if name == "pyproject.toml":
                tool = document.get("tool")
                document = tool.get("chipfit", {}) if isinstance(tool, dict) else {}
            elif unknown := sorted(document.keys() - {"store"}):
                raise ChipfitError(f"{unknown[0]}: is not a known table", place=str(path), hint="Known: [store].")
            table = document.get("store") if isinstance(document, dict) else None
            if table is None:
                continue
            if not isinstance(table, dict):
                raise ChipfitError(
                    "store: is no table", place=str(path), hint='Write [store], and below it url = "..."'
                )
            if unknown := sorted(table.keys() - set(_KEYS)):
                hint = did_you_mean(unknown[0], _KEYS)
                raise ChipfitError(f"store.{unknown[0]}: is not a known key", place=str(path), hint=hint)
            return path, table
    return start, {}


def _toml(path: Path) -> dict[str, Any]:
    if file_size(path) > _MAX_BYTES:
        raise ChipfitError(f"has {file_size(path)} bytes, the limit is {_MAX_BYTES}", place=str(path))
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ChipfitError(f"cannot be read: {error.strerror}", place=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise ChipfitError(f"is not valid TOML: {error}", place=str(path)) from error


def _url(where: str, value: object, beside: Path) -> str:
    if value == OFF:
        return OFF
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        raise ChipfitError("is no URL", place=where, hint="For example https://build.example.com/chipfit.")
    shown = shown_url(value)
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as error:  # whose text may hold a part of a password
        hint = f"For example https://build.example.com:8080/chipfit. {_ESCAPES}"
        raise ChipfitError("is no URL", place=where, hint=hint) from error
    if parts.scheme not in SCHEMES:
        hint = f"Write {' or '.join(f'{s}:' for s in SCHEMES)}, or {OFF} to store nothing."
        raise ChipfitError(f"{shown!r} does not begin with a known kind of store", place=where, hint=hint)
    if parts.query or parts.fragment:
        hint = "Tokens belong into the environment or, for http, before the host: https://user:token@host/. " + _ESCAPES
        own = "" if "@" in value else f"{re.split('[?#]', value)[0]!r} "
        raise ChipfitError(f"{own}goes on after ? or #", place=where, hint=hint)
    if "@" in parts.path:
        raise ChipfitError(f"{shown!r} has an @ in its path, or a / before its host", place=where, hint=_ESCAPES)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or not file_path(value).is_absolute():
            hint = "Three slashes: file:///srv/chipfit."
            raise ChipfitError(f"{shown!r} does not name a folder from the root on", place=where, hint=hint)
    elif not parts.netloc and parts.scheme != "memory":
        raise ChipfitError(f"{shown!r} names no host or bucket", place=where, hint=f"{parts.scheme}://name/folder.")
    return value.rstrip("/")


def _mode(where: str, value: object, beside: Path) -> Mode:
    if value not in MODES:
        hint = did_you_mean(str(value), MODES)
        raise ChipfitError(f"is {value!r}, expected {' or '.join(MODES)}", place=where, hint=hint)
    return value


def parse_size(where: str, value: object) -> int:
    """Bytes of a size such as "2 GiB"; raises ChipfitError that names `where` it stands."""
    try:
        return parse_integer(value, _UNITS, "2 GiB")
    except ValueError as error:
        raise ChipfitError(str(error), place=where) from error


def _size(where: str, value: object, beside: Path) -> int:
    size = parse_size(where, value)
    if size < _LEAST_SIZE:
        raise ChipfitError(f"is {value!r}, expected at least 1 MiB", place=where, hint=f"{OFF} as URL stores nothing.")
    return size


def _folder(where: str, value: object, beside: Path) -> Path:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ChipfitError("is no path of a folder", place=where)
    try:
        return beside / Path(value).expanduser()
    except RuntimeError as error:
        raise ChipfitError(f"{value!r} is the folder of no known user", place=where) from error
