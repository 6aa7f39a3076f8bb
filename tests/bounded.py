"""Running something in a process of its own under limits, as hostile files need: its message and its seconds."""

import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SECONDS = 10
MEMORY = 1 << 30


@dataclass(frozen=True)
class Answer:
    """`message` is the ChipfitError's sentence, "" when there was none, a traceback when it was anything else."""

    message: str
    seconds: float


def bounded(work: Callable[[], object], seconds: int = SECONDS, memory: int = MEMORY) -> Answer:
    """The error and the time of `work` with `memory` bytes more than this process has; it is ended after `seconds`."""
    from pipeline.facts.errors import ChipfitError

    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0]) if sys.platform == "linux" else 0
    read, write = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(read)
        message = ""
        try:
            signal.alarm(seconds * 3)  # other work may have the machine; what counts is processor time
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            if pages:
                most = pages * resource.getpagesize() + memory
                resource.setrlimit(resource.RLIMIT_AS, (most, most))
            work()
        except ChipfitError as error:
            message = str(error)
        except BaseException:
            message = traceback.format_exc()
        os.write(write, message.encode("utf-8", "replace")[:60_000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        message = pipe.read().decode("utf-8")
    status = os.waitpid(child, 0)[1]
    took = time.monotonic() - began
    if status:
        message = f"Traceback: ended by signal {os.WTERMSIG(status)} after {took:.1f} s"
    return Answer(message, took)
