"""`chipfit verify`: whether a build still is what was written, offline; `--rebuild` makes it again and compares."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.facts.errors import ChipfitError, ManyErrors
from stages.app.options import Options

if TYPE_CHECKING:
    from pipeline.facts.config import Project


def verify(arguments: Sequence[str]) -> int:
    """Say each difference in one line; 1 where there is any."""
    from stages.app.verification import (
        beside_differences,
        built_products,
        differences,
        envelope_differences,
        named_products,
    )

    form = Options("verify")
    form.add_argument("build", nargs="?", default="build", help="a build folder, or that of one product in it")
    form.add_argument("product", nargs="*", help="names of products, or their YAML files (default: all)")
    form.add_argument("--rebuild", action="store_true", help="make everything again without any store, and compare")
    form.add_argument("--key", type=Path, metavar="FILE", help="a public key: check the signatures of chipfit sign")
    form.add_argument("--json", action="store_true", help="the same for programs")
    options = form.parse_args(arguments)
    build = Path(options.build)
    files = [a for a in options.product if a.endswith((".yaml", ".yml"))]
    projects = _projects(files) if files or options.rebuild else {}
    names = {*options.product} - {*files} | ({*projects} if files else set())
    folders = named_products(built_products(build), names)
    beside = beside_differences(build) if not names and folders != [build] else []
    found: dict[str, list[str]] = {}
    for folder in folders:
        found[folder.name] = [*differences(folder), *envelope_differences(folder)]
        if options.key is not None:
            from stages.app.signing import signature_differences

            found[folder.name] = list(dict.fromkeys([*found[folder.name], *signature_differences(folder, options.key)]))
        if options.rebuild and not found[folder.name]:
            from stages.app.rebuilding import rebuild_differences

            if folder.name not in projects:
                raise ChipfitError(
                    f"no YAML of {folder.name!r} is here", place=str(build), hint="Name it behind the build folder."
                )
            print(f"{folder.name}: building again", file=sys.stderr)
            found[folder.name] += rebuild_differences(folder, projects[folder.name])
    if options.json:
        told = {"products": {n: {"differences": d} for n, d in found.items()}, "beside": {"differences": beside}}
        print(json.dumps(told, indent=1))
        return 1 if any(found.values()) or beside else 0
    checked = [
        "every file is as it was written", "manifest, provenance and bill of materials agree with it",
        *(["the signatures are those of the key"] if options.key is not None else []),
        *(["a new build gives the same bytes"] if options.rebuild else []),
    ]  # fmt: skip
    for name in (n for n, d in found.items() if not d):
        print(f"{name}: {', '.join(checked)}")
    errors = [_error(build, line) for line in beside]
    errors += [_error(folder, line) for folder in folders for line in found[folder.name]]
    if errors:
        raise ManyErrors(errors)
    return 0


def _error(folder: Path, line: str) -> ChipfitError:
    name, _, clause = line.partition(": ")
    return ChipfitError(clause, place=str(folder / name))


def _projects(files: Sequence[str]) -> "dict[str, Project]":
    """The products of the YAML files that were named, else of those here, by name. Raises ChipfitError."""
    from stages.app.build import products_here
    from stages.app.schedule import load_products

    loaded = dict(load_products(*(files or products_here())))
    wrong = [p for p in loaded.values() if isinstance(p, ChipfitError)]
    if wrong:
        raise wrong[0]
    return {n: p for n, p in loaded.items() if not isinstance(p, ChipfitError)}
