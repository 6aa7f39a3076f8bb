"""Running a compiler: argument lists only, a time limit, and one sentence when it fails."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import platformdirs

from pipeline.errors import ChipfitError

TIMEOUT_S = 300


def run(arguments: Sequence[str], cwd: Path, what: str) -> str:
    """Run a tool in `cwd` and return what it printed; raises ChipfitError with its first error line."""
    try:
        done = subprocess.run(
            list(arguments),
            cwd=cwd,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise ChipfitError(f"toolchain: {arguments[0]} was not found", hint=install_hint(arguments[0])) from error
    except subprocess.TimeoutExpired as error:
        raise ChipfitError(f"toolchain: {what} took more than {TIMEOUT_S} s") from error
    if done.returncode != 0:
        lines = [x for x in (done.stderr + done.stdout).splitlines() if x.strip()]
        first = next((x for x in lines if "error" in x), lines[0] if lines else f"exit code {done.returncode}")
        raise ChipfitError(f"toolchain: {what} failed: {first.strip()[:300]}")
    return done.stdout + done.stderr


def zig() -> list[str]:
    """The compiler driver inside the pinned ziglang wheel."""
    return [sys.executable, "-m", "ziglang", "cc"]


def zig_version() -> str:
    return f"ziglang {importlib.metadata.version('ziglang')}"


@cache
def find(program: str) -> str:
    """The absolute path of a program on PATH; raises ChipfitError with how to install it."""
    found = shutil.which(program)
    if found is None:
        raise ChipfitError(f"toolchain: {program} was not found on PATH", hint=install_hint(program))
    return found


def install_hint(program: str) -> str:
    """What to install for a missing compiler."""
    if program.startswith("arm-none-eabi"):
        return "Install it (Debian: apt install gcc-arm-none-eabi), or write toolchain: ziglang."
    return f"Install {program}."


@cache
def cache_folder() -> Path:
    """A writable folder for compiler caches: the user's cache folder, or a temporary one."""
    folder = Path(platformdirs.user_cache_dir("chipfit"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return Path(tempfile.mkdtemp(prefix="chipfit-"))


def _environment() -> Mapping[str, str]:
    caches = {
        "ZIG_GLOBAL_CACHE_DIR": str(cache_folder() / "zig"),
        "ZIG_LOCAL_CACHE_DIR": str(cache_folder() / "zig-local"),
    }
    return {**os.environ, **caches, "LC_ALL": "C", "SOURCE_DATE_EPOCH": "0"}
