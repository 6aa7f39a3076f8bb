"""`chipfit build`: the products named, or those found here, by doit."""

import json
import os
import sys
from argparse import ArgumentTypeError, BooleanOptionalAction, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.facts.errors import ChipfitError
from pipeline.facts.files import absence_reason, is_file
from stages.app.options import Options

if TYPE_CHECKING:
    from stages.app.publish import Result
    from stages.store.settings import StoreSettings

_IN_FLIGHT = 64
"""Stages that wait for a cluster at a time: threads that do next to nothing."""


def build(arguments: Sequence[str]) -> int:
    """Run doit over the named products, or over those found in the current folder; `--json` prints what came out."""
    options = Options("build")
    options.add_argument("--json", action="store_true", help="print one JSON document in place of the table")
    options.add_argument("--jobs", metavar="N", type=_jobs, help="as many stages at a time; auto: one for each core")
    options.add_argument("--scheduler", metavar="TCP://HOST:PORT", help="run stages on the workers of Dask's scheduler")
    options.add_argument("--locked", action=BooleanOptionalAction, help="from PRODUCT.lock.yaml, without calibrating")
    options.add_argument("--only", metavar="PATTERN", action="append", default=[], help="products by name: touch_*")
    stores = options.add_mutually_exclusive_group()
    stores.add_argument("--store", metavar="URL", help="the shared store, in place of that of the settings")
    stores.add_argument("--no-store", action="store_true", help="restore nothing and keep nothing")
    options.add_argument("--store-mode", metavar="MODE", help="read-only or read-write, of the shared store")
    own, rest = options.parse_known_args(list(arguments))
    parallel = [] if own.jobs is None else ["-n", str(own.jobs)]
    if own.scheduler is not None:
        parallel = ["-n", str(own.jobs or _IN_FLIGHT), "-P", "thread"]
    rest[1 if rest[:1] == ["run"] else 0 : 0] = parallel
    return _with_json(rest, own) if own.json else _build(rest, own)


def _jobs(text: str) -> int:
    if text in ("auto", "0"):
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1024:
        raise ArgumentTypeError(f"{text!r} is no number of stages, expected for example 2, or auto")
    return int(text)


def _build(arguments: Sequence[str], own: Namespace, results: "list[Result] | None" = None) -> int:
    """The exit code of doit over the products in `arguments`; what came out of them is put into `results`.

    `own` are the options that are not doit's.
    """
    from doit.cmd_base import ModuleTaskLoader

    from pipeline.facts.config.lock import SUFFIX
    from stages.app.schedule import doit_tasks

    locks = [a for a in arguments if a.endswith(SUFFIX)]  # *.yaml names them beside the products
    products = [a for a in arguments if a.endswith((".yaml", ".yml")) and a not in locks]
    rest = [a for a in arguments if a not in products and a not in locks]
    if locks and not products:
        raise ChipfitError("is a lock, and no product", place=locks[0], hint="Name the product's YAML, and --locked.")
    missing = [p for p in products if not is_file(Path(p))]
    if missing:
        raise ChipfitError(absence_reason(Path(missing[0])), place=missing[0], hint="chipfit init writes a starter.")
    here = products_here(required=not products)
    settings = partial(_settings, own)
    cluster = None
    if own.scheduler is not None:
        from stages.cluster.client import Cluster, require_meeting_point

        require_meeting_point(settings())
        cluster = Cluster(own.scheduler)
    tasks = doit_tasks(
        *(products or here),
        others=here if products else (),
        only=own.only,
        locked=own.locked,
        results=results,
        store=settings,
        cluster=cluster,
    )
    try:
        code = _doit(ModuleTaskLoader(tasks), rest)
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        if cluster is not None:
            cluster.close()
    return 1 if code == 3 else code  # doit's 3 is a command line that it does not understand


def _settings(own: Namespace) -> "StoreSettings":
    from stages.store.settings import read_settings

    return read_settings(url=own.store, mode=own.store_mode, off=own.no_store)


def _doit(loader: Any, arguments: Sequence[str]) -> int:
    """The exit code of doit, of which a fault in a command of its own or of ours is 2; raises SystemExit."""
    from doit.cmdparse import CmdParseError
    from doit.doit_cmd import DoitMain
    from doit.exceptions import InvalidCommand, InvalidDodoFile, InvalidTask

    from stages.app.crash import ending_crashes

    class Guarded(DoitMain):  # type: ignore[misc]
        def get_cmds(self) -> Any:
            commands = super().get_cmds()
            commands.update({name: guarded(kind) for name, kind in commands.items() if isinstance(kind, type)})
            return commands

    def guarded(kind: Any) -> Any:
        def parse_execute(self: Any, given: Sequence[str]) -> Any:
            wrong: Exception | None = None
            with ending_crashes(f"doit {self.get_name()}"):
                try:
                    return kind.parse_execute(self, given)
                except (CmdParseError, InvalidCommand, InvalidDodoFile, InvalidTask) as error:
                    wrong = error
            raise wrong

        return type(kind.__name__, (kind,), {"parse_execute": parse_execute})

    return int(Guarded(loader).run(arguments) or 0)


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
