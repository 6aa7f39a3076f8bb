"""Running something in a process of its own under limits, as hostile files need: what it said, how long it took."""

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
    """`said` is the ChipfitError's sentence, "" when there was none, a traceback when it was anything else."""

    said: str
    seconds: float


def bounded(work: Callable[[], object], seconds: int = SECONDS, memory: int = MEMORY) -> Answer:
    """What `work` answers with `memory` bytes more than this process has; it is ended after `seconds`."""
    from pipeline.facts.errors import ChipfitError

    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0]) if sys.platform == "linux" else 0
    read, write = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(read)
        said = ""
        try:
            signal.alarm(seconds * 3)  # other work may have the machine; what counts is processor time
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            if pages:
                most = pages * resource.getpagesize() + memory
                resource.setrlimit(resource.RLIMIT_AS, (most, most))
            work()
        except ChipfitError as error:
            said = str(error)
        except BaseException:
            said = traceback.format_exc()
        os.write(write, said.encode("utf-8", "replace")[:60_000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read().decode("utf-8")
    status = os.waitpid(child, 0)[1]
    took = time.monotonic() - began
    return Answer(said if status == 0 else f"Traceback: ended by signal {os.WTERMSIG(status)} after {took:.1f} s", took)
