"""Processes of `doit -n N`: one that is killed ends the build in one sentence, where doit alone would wait for ever."""

import queue
import signal
import sys
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from typing import Any

import doit.cmd_run
from doit.runner import MRunner

_SECONDS = 0.5
"""How often the processes are looked at while none of them has a result."""


class WorkerKilled(SystemExit):
    """Exit code 1, after a sentence on stderr."""

    def __init__(self, sentence: str) -> None:
        print(sentence, file=sys.stderr)
        super().__init__(1)


class WatchedRunner(MRunner):  # type: ignore[misc]
    """doit's runner in processes, which asks for results only as long as every process lives or has ended well."""

    def _run_start_processes(self, job_q: Any, result_q: Any) -> list[BaseProcess]:
        workers: list[BaseProcess] = super()._run_start_processes(job_q, result_q)
        wait = result_q.get

        def get() -> Any:
            while True:
                try:
                    return wait(timeout=_SECONDS)
                except queue.Empty:
                    if sentence := killed(workers):
                        return {"exit": WorkerKilled, "exception": sentence}

        result_q.get = get
        return workers


def killed(workers: Sequence[BaseProcess]) -> str:
    """A sentence about the first process that a signal ended; "" while there is none."""
    number = next((-w.exitcode for w in workers if w.exitcode is not None and w.exitcode < 0), None)
    if number is None:
        return ""
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    return (
        f"a process of this build was killed ({name}), perhaps for want of memory. "
        "Hint: What was finished is kept; build again with fewer processes (-n)."
    )


def watch_workers() -> None:
    """Have doit's processes watched from now on."""
    doit.cmd_run.MRunner = WatchedRunner
