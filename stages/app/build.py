"""`chipfit build`: the products named, or those found here, by doit."""

import json
import os
import sys
from argparse import ArgumentTypeError, BooleanOptionalAction, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.facts.errors import ChipfitError
from pipeline.facts.files import absence_reason, is_file
from stages.app.options import Options

if TYPE_CHECKING:
    from stages.app.publish import Result

_IN_FLIGHT = 64
"""Stages that wait for a cluster at a time: threads that do next to nothing."""


def build(arguments: Sequence[str]) -> int:
    """Run doit over the named products, or over those found in the current folder; `--json` prints what came out."""
    options = Options("build")
    options.add_argument("--json", action="store_true", help="print one JSON document in place of the table")
    options.add_argument("--jobs", metavar="N", type=_jobs, help="stages at a time; auto or 0: one for each core")
    options.add_argument("--scheduler", metavar="TCP://HOST:PORT", help="run stages on the workers of Dask's scheduler")
    options.add_argument("--locked", action=BooleanOptionalAction, help="from PRODUCT.lock.yaml, without calibrating")
    options.add_argument("--only", metavar="PATTERN", action="append", default=[], help="products by name: touch_*")
    stores = options.add_mutually_exclusive_group()
    stores.add_argument("--store", metavar="URL", help="the shared store, in place of that of the settings")
    stores.add_argument("--no-store", action="store_true", help="restore nothing and keep nothing")
    options.add_argument("--store-mode", metavar="MODE", help="read-only or read-write, of the shared store")
    own, rest = options.parse_known_args(list(arguments))
    own.names = options.names
    return _with_json(rest, own) if own.json else _build(rest, own)


def _jobs(text: str) -> int:
    if text in ("auto", "0"):
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1024:
        raise ArgumentTypeError(f"{text!r} is no number of stages, expected for example 2, or auto")
    return int(text)


def _build(arguments: Sequence[str], own: Namespace, results: "list[Result] | None" = None) -> int:
    """The exit code of doit over the products in `arguments`; what came out of them is put into `results`.

    `own` are the options that are not doit's, and all their `names`.
    """
    from pipeline.facts.config.lock import SUFFIX
    from stages.app.doit_line import read_line, require_known, run_doit, without_products
    from stages.app.schedule import doit_tasks, load_products
    from stages.store.settings import read_settings

    settings = read_settings(url=own.store, mode=own.store_mode, off=own.no_store)

    locks = [a for a in arguments if a.endswith(SUFFIX)]  # *.yaml names them beside the products
    products = [a for a in arguments if a.endswith((".yaml", ".yml")) and a not in locks]
    rest = [a for a in arguments if a not in products and a not in locks]
    if locks and not products:
        raise ChipfitError("is a lock, and no product", place=locks[0], hint="Name the product's YAML, and --locked.")
    missing = [p for p in products if not is_file(Path(p))]
    if missing:
        raise ChipfitError(absence_reason(Path(missing[0])), place=missing[0], hint="chipfit init writes a starter.")
    line = read_line(rest, own.names)
    here = products_here(required=not products)
    names = [name for name, _ in load_products(*(products or here))] if line.words else []
    line, only = without_products(line, names)
    if line.verb == "run":
        line = replace(line, options=(*_parallel(own), *line.options))
    elif own.jobs is not None or own.scheduler is not None:
        raise ChipfitError(f"doit {line.verb} runs no stage", place="chipfit build", hint="Leave out how to run them.")
    cluster = None
    if own.scheduler is not None:
        from stages.cluster.client import Cluster, require_meeting_point

        require_meeting_point(settings)
        cluster = Cluster(own.scheduler)
    tasks = doit_tasks(
        *(products or here),
        others=here if products else (),
        only=[*own.only, *only],
        locked=own.locked,
        results=results,
        store=lambda: settings,
        cluster=cluster,
    )
    try:
        require_known(line, tasks, names)
        return run_doit(tasks, line)
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        if cluster is not None:
            cluster.close()


def _parallel(own: Namespace) -> list[str]:
    """doit's options for as many stages at a time as were asked for."""
    if own.scheduler is not None:
        return ["-n", str(own.jobs or _IN_FLIGHT), "-P", "thread"]
    return [] if own.jobs is None else ["-n", str(own.jobs)]


def _with_json(arguments: Sequence[str], own: Namespace) -> int:
    """The exit code; stdout has one JSON document, whatever happened, and everything else goes to stderr."""
    from stages.app.crash import say_crash
    from stages.app.publish import result_document

    results: list[Result] = []
    errors: list[str] = []
    with _stdout_on_stderr():
        try:
            code = _build(arguments, own, results)
        except ChipfitError as error:
            code, errors = 1, str(error).splitlines()
            print(error, file=sys.stderr)
        except SystemExit as ended:  # doit's tasks could not even be listed
            code, errors = int(ended.code or 0), str(ended.__cause__ or "").splitlines()
        except Exception as error:
            import traceback

            code, errors = 2, [say_crash(traceback.format_exception(error))]
    if code and not results and not errors:
        errors = [
            "doit does not understand its arguments." if code == 1 else "internal error: stderr has its traceback."
        ]
    print(json.dumps(result_document(code, results[0] if results else None, errors), indent=1))
    return code


@contextmanager
def _stdout_on_stderr() -> Iterator[None]:
    """Whatever is written to stdout meanwhile, by libraries and other processes too, goes to stderr."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def products_here(required: bool = True) -> list[str]:
    """The product YAMLs in configs/products, else in the current folder; raises ChipfitError for none, if required."""
    from stages.app.schedule import find_products

    for folder in (Path("configs/products"), Path()):
        found = find_products(folder) if folder.is_dir() else []
        if found:
            return [str(p) for p in found]
    if not required:
        return []
    raise ChipfitError("no product YAML here", place=".", hint="chipfit init writes a starter, or name one.")
