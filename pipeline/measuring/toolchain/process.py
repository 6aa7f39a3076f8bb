"""Running a compiler: argument lists only, a time limit, and one sentence when it fails."""

import atexit
import contextlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from pathlib import Path

import platformdirs

from pipeline.facts.errors import ChipfitError
from pipeline.measuring.toolchain.scratch import make_scratch, remove_scratch

TIMEOUT_S = 120
_KILL_TIMEOUT_S = 5

_ERROR = re.compile(r"(?!collect2).*(\berror\b|undefined|multiple definition|no definition)", re.IGNORECASE)
_FOLDER_PREFIX = re.compile(r"(?<!\S)(?:[A-Za-z]:)?[/\\]\S*[/\\]")
# A user's own search paths would make the same sources give other bytes on another machine.
_IGNORED_VARIABLES = frozenset(
    {"CPATH", "C_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX", "CCC_OVERRIDE_OPTIONS"}
)


class ToolError(ChipfitError):
    """A tool that ran and failed: `printed` is all of its output."""

    def __init__(self, message: str, printed: str) -> None:
        super().__init__(message)
        self.printed = printed


def run(
    arguments: Sequence[str], cwd: Path, what: str, timeout: float = TIMEOUT_S, ignored: Collection[str] = ()
) -> str:
    """Run a tool in `cwd`, without the variables `ignored` of the environment, and return what it printed.

    Raises ToolError with its first error line, without the folders of this machine, or ChipfitError when the tool is
    not there or takes more than `timeout` seconds; then it and everything it started is killed.
    """
    _starting.add(threading.get_ident())
    try:
        process = subprocess.Popen(
            list(arguments),
            cwd=cwd,
            env={k: v for k, v in _environment().items() if k not in ignored},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=os.name == "posix",  # drivers start processes of their own: one group to kill
        )
    except FileNotFoundError as error:
        raise ChipfitError(f"toolchain: {arguments[0]} was not found", hint=install_hint(arguments[0])) from error
    else:
        _running.add(process)
    finally:
        _starting.discard(threading.get_ident())
        while _postponed:
            _postponed.pop()()
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        _kill_and_wait(process)
        raise ChipfitError(f"toolchain: {what} took more than {timeout:g} s") from error
    except BaseException:
        _kill_and_wait(process)
        raise
    finally:
        _running.discard(process)
    if process.returncode != 0:
        printed = _FOLDER_PREFIX.sub("", err + out)
        if process.returncode < 0:
            raise ToolError(f"toolchain: {what} ended in a crash ({_signal_name(-process.returncode)})", printed)
        lines = [x.strip() for x in printed.splitlines() if x.strip()]
        first = next((x for x in lines if _ERROR.match(x)), lines[0] if lines else f"exit code {process.returncode}")
        raise ToolError(f"toolchain: {what} failed: {first[:300].rstrip('.')}", printed)
    return out + err


_running: set[subprocess.Popen[str]] = set()
_starting: set[int] = set()
"""Threads whose tool may run already and is not yet in `_running`."""
_postponed: list[Callable[[], None]] = []


def postpone(act: Callable[[], None]) -> bool:
    """Whether `act` was put off until this thread has started its tool: for a signal handler that kills all tools.

    Another thread that is starting a tool is waited for, two seconds at most.
    """
    if threading.get_ident() in _starting:
        _postponed.append(act)
        return True
    deadline = time.monotonic() + 2
    while _starting and time.monotonic() < deadline:
        time.sleep(0.01)
    return False


def kill_all() -> None:
    """Kill every tool that this process has running, with all that it started."""
    for process in list(_running):
        _kill(process)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _kill(process: subprocess.Popen[str]) -> None:
    if os.name == "posix":
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _kill_and_wait(process: subprocess.Popen[str]) -> None:
    _kill(process)
    try:
        process.communicate(timeout=_KILL_TIMEOUT_S)
    except subprocess.TimeoutExpired:  # what left the group may hold the pipes for ever
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def zig() -> list[str]:
    """The compiler driver inside the pinned ziglang wheel, without the Python that `python -m ziglang` would start."""
    wheel = importlib.util.find_spec("ziglang")
    if wheel is None or wheel.origin is None:
        raise ChipfitError("toolchain: the ziglang package is not installed", hint="Run pip install ziglang.")
    return [str(Path(wheel.origin).with_name("zig.exe" if os.name == "nt" else "zig")), "cc"]


@cache
def zig_version() -> str:
    """The pinned wheel's version and that of the Clang inside, such as ziglang 0.17.1 (clang 22.1.8)."""
    printed = run([*zig(), "--version"], Path.cwd(), "ziglang cc --version")
    found = re.search(r"clang version (\d+(?:\.\d+)*)", printed)
    wheel = importlib.metadata.version("ziglang")
    return f"ziglang {wheel} (clang {found.group(1)})" if found else f"ziglang {wheel}"


def find_program(program: str) -> str:
    """The absolute path of a program on PATH; raises ChipfitError with how to install it."""
    found = shutil.which(program)
    if found is None:
        raise ChipfitError(f"toolchain: {program} was not found on PATH", hint=install_hint(program))
    return found


def install_hint(program: str) -> str:
    """A sentence that says how to install a missing compiler."""
    if program.startswith("arm-none-eabi"):
        return "Install it (Debian: apt install gcc-arm-none-eabi), or write toolchain: ziglang."
    return f"Install {program}."


@cache
def cache_folder() -> Path:
    """A folder for compiler caches that nobody else can write: the user's, or one that ends with this process.

    Code in it is run. A folder of another user, or behind another user's link, is not used.
    """
    folder = Path(platformdirs.user_cache_dir("chipfit"))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if claim(folder):
            with tempfile.TemporaryFile(dir=folder):
                return folder
    except OSError:
        pass
    temporary = make_scratch()
    atexit.register(remove_scratch, temporary)
    return temporary


def claim(path: Path) -> bool:
    """Whether a file or folder, and any link to it, is this user's; the right of others to write it is then removed."""
    if os.name != "posix":
        return True
    user = os.geteuid()
    if os.lstat(path).st_uid != user or path.stat().st_uid != user:
        return False
    if path.stat().st_mode & 0o022:
        path.chmod(path.stat().st_mode & 0o755)
    return True


def _environment() -> Mapping[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in _IGNORED_VARIABLES}
    caches = str(cache_folder() / "zig")
    return kept | {
        "ZIG_GLOBAL_CACHE_DIR": caches,
        "ZIG_LOCAL_CACHE_DIR": caches,
        "LC_ALL": "C",
        "SOURCE_DATE_EPOCH": "0",
    }
