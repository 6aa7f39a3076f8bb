"""A build's side of a cluster: a stage is sent to Dask's scheduler, its result comes out of the shared store."""

import logging
import threading
from collections.abc import Mapping
from hashlib import sha256
from importlib import import_module
from operator import methodcaller
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipeline.facts.errors import ChipfitError, ManyErrors
from stages.base import Job, Stage
from stages.cluster.parcel import Answer, answer_of, pack
from stages.cluster.worker import patiently
from stages.execution import Key, Outcome
from stages.planned import Change, changes_between

if TYPE_CHECKING:
    from stages.store import Store, StoreSettings

_REACH = 10
"""Seconds to reach a scheduler, and again when the connection was lost."""
_LOOK = 5.0
"""Seconds after which a waiting stage looks whether there is any worker."""
_WITHOUT_WORKERS = 12
"""Looks in a row that find none until nobody waits any more: a minute."""
_KEPT = "What is finished is kept; the next build goes on from there."
_SAME = "Install the same versions on both, and restart the worker."


class Cluster:
    """Runs stages on the workers of a Dask scheduler. `seconds` says how long a worker took, by `stage:product`."""

    def __init__(self, address: str) -> None:
        self._address = checked_address(address)
        self.seconds: dict[str, float] = {}
        self._sent: set[str] = set()
        self._lock = threading.Lock()
        self._made: Any = None
        self._gone: tuple[str, str] | None = None

    def __call__(
        self, stage: Stage, job: Job, key: Key, store: "Store | None"
    ) -> tuple[Mapping[str, bytes], Outcome] | None:
        packed = pack(stage, job, key)
        if packed is None or store is None:
            return None
        parcel, places = packed
        for blob, path in places.items():
            if blob.sha256 not in self._sent:
                store.share_blob(blob.sha256, blob.size, path.read_bytes)
                self._sent.add(blob.sha256)
        name = f"{stage.NAME}:{job.project.config.product}"
        answer = self._ask(name, parcel.text())
        if answer.crash:
            raise RuntimeError(f"at worker {answer.worker}:\n{answer.crash}")
        if answer.key is not None:
            raise _differs(answer, answer.key, key)
        if answer.errors:
            raise answer.errors[0] if len(answer.errors) == 1 else ManyErrors(answer.errors)
        found = patiently(lambda: store.restore(key.digest, stage.NAME, stage.TARGETS))
        if found is None:
            hint = "Is it the store of the worker?"
            raise ChipfitError(f"the shared store lacks what worker {answer.worker} has put into its own", hint=hint)
        self.seconds[name] = answer.seconds
        return found.files, "cluster" if answer.outcome == "ran" else "shared"

    def close(self) -> None:
        """Leave the cluster: what nobody waits for is not begun."""
        if self._made is not None:
            self._made.close(timeout=2)

    def _ask(self, name: str, text: str) -> Answer:
        from concurrent.futures import CancelledError

        client = self._client()
        from distributed import KilledWorker

        # The same parcel of another build, on another machine, is the same task. It names functions of Python alone: a
        # worker that cannot load chipfit says so, where one that cannot even read its task would end.
        key = f"chipfit-{name.replace(':', '-')}-{sha256(text.encode()).hexdigest()}"
        task = methodcaller("run", text), (import_module, "stages.cluster.worker")
        future = client.get({key: task}, key, sync=False)
        try:
            return answer_of(self._wait(client, future))
        except KilledWorker as error:
            times = error.allowed_failures + 1
            raise ChipfitError(
                f"{name} ended {times} worker{'s' if times > 1 else ''} that ran it, the last one at "
                f"{error.last_worker.address}",
                place=self._address,
                hint="Has it enough memory? Its log may say more.",
            ) from error
        except CancelledError as error:
            self._gone = "the scheduler has gone during the build", _KEPT
            raise self._lost() from error
        except ChipfitError:
            raise
        except Exception as error:  # of Dask, or of another version's answer
            why = " ".join(str(error).split()) or type(error).__name__
            raise ChipfitError(
                f"the cluster cannot run {name}: {why.removesuffix('.')}",
                place=self._address,
                hint="Its workers need the same chipfit as this machine, and the scheduler the same distributed.",
            ) from error
        finally:
            future.release()

    def _wait(self, client: Any, future: Any) -> str:
        looks = 0
        while True:
            try:
                return str(future.result(timeout=_LOOK))
            except TimeoutError:
                looks = 0 if self._has_workers(client) else looks + 1
            if looks == _WITHOUT_WORKERS:
                hint = f"Start one: dask worker {self._address} --nthreads 1."
                raise ChipfitError("there has been no worker for a minute", place=self._address, hint=hint)

    def _has_workers(self, client: Any) -> bool:
        try:
            return bool(client.nthreads())
        except Exception:  # it has gone: then the future says so
            return True

    def _client(self) -> Any:
        with self._lock:
            if self._made is None and not self._gone:
                self._made = self._connect()
        if self._gone:
            raise self._lost()
        return self._made

    def _connect(self) -> Any:
        import warnings

        try:
            import distributed
            from distributed.versions import VersionMismatchWarning
        except ImportError:
            self._gone = "distributed is not installed", "pip install 'chipfit[cluster]'."
            return None
        for name in [n for n in logging.root.manager.loggerDict if n.partition(".")[0] in ("distributed", "tornado")]:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        warnings.simplefilter("ignore", VersionMismatchWarning)  # a difference that matters is in the keys
        try:
            # Workers are on networks of their own, perhaps: what they answer comes by way of the scheduler.
            client: Any = distributed.Client
            return client(self._address, timeout=_REACH, set_as_default=False, direct_to_workers=False)
        except (OSError, TimeoutError, ValueError, TypeError, RuntimeError) as error:
            why = str(error).partition("\n")[0].removesuffix(".")
            self._gone = f"the scheduler cannot be reached: {why or type(error).__name__}", "Is it running?"
            return None

    def _lost(self) -> ChipfitError:
        assert self._gone is not None
        why, hint = self._gone
        return ChipfitError(why, place=self._address, hint=hint)


def checked_address(text: str) -> str:
    """The address of a scheduler. Raises ChipfitError."""
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("tcp", "tls") and parts.hostname and parts.port
    except ValueError:
        known = None
    if not known or parts.path or parts.query or parts.fragment or parts.username or not text.isprintable():
        hint = "For example --scheduler tcp://build.example.com:8786."
        raise ChipfitError(f"{text!r} is no address of a scheduler", place="--scheduler", hint=hint)
    return text


def require_meeting_point(settings: "StoreSettings") -> None:
    """Raise ChipfitError unless there is a shared store, in which a build and a cluster can meet."""
    if settings.url is None or not settings.enabled:
        raise ChipfitError(
            "there is no shared store, in which this machine and the workers would meet",
            place="--scheduler",
            hint="Set CHIPFIT_STORE and CHIPFIT_STORE_MODE=read-write, here and for the workers.",
        )


def _differs(answer: Answer, theirs: Mapping[str, Any], ours: Key) -> ChipfitError:
    """The first thing in which the keys of a worker and of this machine differ: tools first, then chipfit's code."""
    order = ("tools", "code", "settings", "inputs", "before")
    changes = sorted(changes_between(theirs, ours.document), key=lambda c: order.index(c.part))
    if not changes:
        return ChipfitError("it makes another key from the same things", place=f"worker {answer.worker}", hint=_SAME)
    return ChipfitError(_difference(changes[0], answer.chipfit), place=f"worker {answer.worker}", hint=_SAME)


def _difference(change: Change, chipfit: str) -> str:
    from importlib.metadata import version

    if change.part == "code":
        return f"its chipfit {chipfit} has another {change.name} than chipfit {version('chipfit')} here"
    old, new = ("none" if v is None else str(v) for v in (change.old, change.new))
    if change.part == "tools" and old.partition(" sha256:")[0] != new.partition(" sha256:")[0]:
        old, new = (v.partition(" sha256:")[0] for v in (old, new))
    return f"its {change.name} is {old}, here it is {new}"
