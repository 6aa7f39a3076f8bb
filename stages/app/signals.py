"""Handlers of Ctrl-C and SIGTERM: chipfit ends at once, kills its compilers, removes its drafts and scratch folders."""

import atexit
import os
import signal
import sys
import threading
from types import FrameType

_CLEANING = (
    ("pipeline.facts.drafts", "remove_own"),
    ("pipeline.measuring.toolchain.process", "kill_all"),
    ("pipeline.measuring.toolchain.scratch", "remove_own"),
    ("stages.app.worktrees", "forget_own"),
)
_SHOW_CURSOR = "\x1b[?25h"


def install() -> None:
    """Make SIGINT end this process with exit code 130 and SIGTERM with 143, the codes that a shell reports.

    A file that is being written is then whole or absent, as after any kill. Forked processes do the same, silently.
    """
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _end)
        atexit.register(_ignore)


def _end(number: int, frame: FrameType | None) -> None:
    _ignore()
    tools = sys.modules.get("pipeline.measuring.toolchain.process")
    if tools is None or not hasattr(tools, "postpone") or not tools.postpone(lambda: _finish(number)):
        _finish(number)


def _ignore() -> None:
    """Ignore both signals; also at exit, when all is done and Python would die of them."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _finish(number: int) -> None:
    # What is not loaded has started nothing; loading it here could meet its own half-done import.
    processes = sys.modules.get("multiprocessing.process")
    children = processes.active_children() if processes is not None else []
    for child in children:
        child.terminate()
    for child in children:
        child.join(1)
        child.kill()
    for module, function in _CLEANING:
        loaded = sys.modules.get(module)
        if hasattr(loaded, function):
            getattr(loaded, function)()
    if processes is None or processes.parent_process() is None:
        cursor = _SHOW_CURSOR if os.isatty(2) else ""
        os.write(2, f"{cursor}interrupted; what was finished is kept\n".encode())
    os._exit(128 + number)
