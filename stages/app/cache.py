"""`chipfit cache`: what the store of results holds, whether it is intact, where it is; and to make it smaller."""

import json
from collections.abc import Sequence

from pipeline.facts.errors import ChipfitError
from pipeline.facts.records import to_plain
from pipeline.facts.text import in_sentence
from pipeline.facts.units import show_size
from stages.app.options import Options
from stages.store.bounded import BoundedFolder
from stages.store.settings import StoreSettings, parse_size, read_settings


def cache(arguments: Sequence[str]) -> int:
    """Look after the user's own store; exit code 1 after `verify` has removed something. A shared one is its server's.

    Raises ChipfitError.
    """
    options = Options("cache")
    options.add_argument("action", choices=("stats", "prune", "verify", "where"), help="what to do with the store")
    options.add_argument("--size", metavar="N", help="prune to this size, for example 1 GiB")
    options.add_argument("--json", action="store_true", help="the same for programs")
    given = options.parse_args(list(arguments))
    if given.size is not None and given.action != "prune":
        options.error("--size belongs to prune")
    if given.json and given.action not in ("stats", "verify"):
        options.error("--json belongs to stats and verify")
    settings = read_settings()
    folder = BoundedFolder(settings.folder, settings.size)
    try:
        if given.action == "where":
            print(settings.folder)
            return 0
        if given.action == "prune":
            return _prune(folder, settings.size if given.size is None else parse_size("--size", given.size))
        return _verify(folder, given.json) if given.action == "verify" else _stats(folder, settings, given.json)
    except OSError as error:
        raise ChipfitError(f"cannot be used: {error.strerror or error}", place=str(folder)) from error


def _stats(folder: BoundedFolder, settings: StoreSettings, as_json: bool) -> int:
    from stages.store.upkeep import stats

    found = stats(folder)
    shared = {"url": settings.shown_url, "mode": settings.mode} if settings.url else None
    if as_json:
        print(json.dumps({**to_plain(found), "enabled": settings.enabled, "shared": shared}, indent=1))
        return 0
    off = "" if settings.enabled else ", switched off"
    print(in_sentence(f"{found.folder}: {show_size(found.bytes)} of {show_size(found.limit)}{off}"))
    print(in_sentence(f"shared: {settings.shown_url} ({settings.mode})" if settings.url else "shared: none"))
    incomplete = f", {found.incomplete} of them incomplete" if found.incomplete else ""
    unused = f", {found.unused} of them without a result" if found.unused else ""
    print(f"{found.results} results{incomplete}{_of_others(found.others)}; {found.files} files{unused}")
    for stage in found.stages:
        print(f" {stage.stage:<12} {stage.results:>7} results {show_size(stage.bytes):>12}")
    return 0


def _verify(folder: BoundedFolder, as_json: bool) -> int:
    from stages.store.upkeep import verify

    found = verify(folder)
    if as_json:
        print(json.dumps(to_plain(found), indent=1))
    else:
        for line in found.damaged:
            print(in_sentence(f"{line}: removed"))
        print(
            in_sentence(
                f"{found.folder}: {found.results} results{_of_others(found.others)} and {found.files} files read, "
                f"{len(found.damaged)} of them damaged"
            )
        )
    return 1 if found.damaged else 0


def _of_others(count: int) -> str:
    return f" (and {count} of other versions of chipfit)" if count else ""


def _prune(folder: BoundedFolder, limit: int) -> int:
    before, after = folder.shrink(limit) if folder.root.is_dir() else (0, 0)
    print(in_sentence(f"{folder}: {show_size(before)} before, {show_size(after)} now"))
    return 0
