"""A cluster's worker: it runs one stage in a folder of its own and puts the result into the shared store."""

import importlib.metadata
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from pipeline.facts.errors import ChipfitError
from stages.cluster.parcel import Answer, Blob, each_error, parcel_of

T = TypeVar("T")
_ONE_AT_A_TIME = threading.Lock()
"""Stages are written for a process of their own: a worker of several threads runs them in turn."""
_PAUSES = (0.0, 0.2, 1.0, 3.0, 10.0, 30.0)
"""Seconds: a folder on a network shows what another machine wrote after a while."""


def patiently(find: Callable[[], T | None]) -> T | None:
    """What `find` gives, asked again for three quarters of a minute while it is None."""
    for pause in _PAUSES:
        time.sleep(pause)
        found = find()
        if found is not None:
            return found
    return None


def run(text: str) -> str:
    """The answer to a parcel, as texts. What is wrong is in it, and is not raised."""
    from distributed import get_worker

    worker = get_worker()
    answer = Answer(worker.address, importlib.metadata.version("chipfit"))
    with _ONE_AT_A_TIME:
        started = time.monotonic()
        try:
            answer = _run(answer, text, Path(worker.local_directory))
        except ChipfitError as error:
            answer = replace(answer, errors=each_error(error))
        except OSError as error:
            answer = replace(answer, errors=(_of_worker(answer, error.strerror or type(error).__name__),))
        except Exception:  # what Dask itself raises is another matter
            answer = replace(answer, crash=traceback.format_exc())
        return replace(answer, seconds=time.monotonic() - started).text()


def _run(answer: Answer, text: str, own: Path) -> Answer:
    from stages import STAGES
    from stages.execution import execute, key_of
    from stages.keys.code import is_unchanged
    from stages.store import open_store
    from stages.store.settings import read_settings

    if not is_unchanged():
        raise _of_worker(answer, "chipfit was changed after it began", "Restart the worker.")
    settings = read_settings()
    if settings.url is None or settings.mode != "read-write":
        hint = "Start it with CHIPFIT_STORE=URL and CHIPFIT_STORE_MODE=read-write."
        raise _of_worker(answer, "it has no shared store that it may write to", hint)
    # Of its own: a build on this machine that waits for this result has a lock on it in the user's folder.
    store = open_store(replace(settings, folder=own / "chipfit-store"))

    def fetch(blob: Blob) -> bytes:
        found = patiently(lambda: store.get_blob(blob.sha256, blob.size))
        if found is None:
            raise _of_worker(answer, f"the store {settings.shown_url} lacks a file that the build has put into its own")
        return found

    with TemporaryDirectory(prefix="chipfit-", dir=own) as root:
        try:
            parcel = parcel_of(text)
            stage = {s.NAME: s for s in STAGES}[parcel.stage]
            job = parcel.unpack(Path(root), fetch)
        except (KeyError, TypeError, ValueError) as error:
            why = f"its chipfit {answer.chipfit} does not understand what this one sends"
            raise _of_worker(answer, why, "Install the same version on both.") from error
        key = key_of(stage, job)
        if key.digest != parcel.key:
            return replace(answer, key=key.document)
        outcome = execute(stage, job, store)
        if not store.is_shared(key.digest):
            raise _of_worker(answer, f"it cannot write to the store {settings.shown_url}")
        return replace(answer, outcome=outcome)


def _of_worker(answer: Answer, why: str, hint: str = "") -> ChipfitError:
    return ChipfitError(why, place=f"worker {answer.worker}", hint=hint)
