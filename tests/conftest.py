"""Where tests find real models that are not committed, and how optional tools are skipped by name."""

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import doit.doit_cmd  # noqa: F401 - keeps sys.stdout as it is at this import: a test's own would be closed
import pytest
from filelock import FileLock

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent

# What a test builds comes from no earlier build, unless the test has a store of its own, and no setting of the machine
# decides how: that CI builds from locks is a test of its own.
for name in [n for n in os.environ if n in ("CI", "CHIPFIT_LOCKED") or n.startswith("CHIPFIT_STORE_")]:
    del os.environ[name]
os.environ["CHIPFIT_STORE"] = "none"
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # tests import ONNX Runtime before chipfit does so


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """All tests, or a folder of them, run on all cores (`-n 0`: in this process); single files do without workers."""
    option = config.option
    if not config.pluginmanager.hasplugin("xdist") or option.collectonly or option.usepdb:
        return
    folders = not config.args or any(Path(a).is_dir() for a in config.args)
    if option.numprocesses is None and folders and "PYTEST_XDIST_WORKER" not in os.environ:
        option.numprocesses, option.maxprocesses = "auto", option.maxprocesses or 8
    if option.numprocesses and option.dist == "no":
        option.dist = "worksteal"


_STATES: dict[int, Any] = {}
"""Of random generators, as their modules left them."""


@pytest.fixture(autouse=True)
def same_random_numbers(request: pytest.FixtureRequest) -> None:
    """A test draws the same from its module's RNG, whichever tests ran before it on its worker."""
    generator = getattr(request.module, "RNG", None)
    if generator is not None:
        generator.bit_generator.state = _STATES.setdefault(id(generator), generator.bit_generator.state)


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """The folder of third-party models: CHIPFIT_MODELS, or ../shared/models beside the checkout."""
    folder = Path(os.environ.get("CHIPFIT_MODELS", ROOT.parent / "shared" / "models"))
    if not folder.is_dir():
        pytest.skip("the third-party models are not here (set CHIPFIT_MODELS)")
    return folder


def need(program: str) -> None:
    """Skip the test when an optional program is missing."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def some(values: Iterable[T]) -> list[T]:
    """All of them, and at least one: what a test says of each it must say of something."""
    listed = list(values)
    assert listed, "there is nothing to test"
    return listed


def chipfit(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stages.app.cli", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def chipfit_here(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`chipfit` without the second that a process takes to import: for what concerns neither signals nor limits."""
    from stages.app.cli import main

    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(arguments)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def products(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A firmware repository with the shipped products, built once for all workers: nobody changes it."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder, drafted = shared / "firmware", shared / "firmware.draft"
    with FileLock(shared / "firmware.lock"):
        if not folder.is_dir():
            shutil.rmtree(drafted, ignore_errors=True)
            for part in ("products", "models"):
                shutil.copytree(ROOT / "configs" / part, drafted / "configs" / part)
            done = chipfit(drafted, "build")
            assert done.returncode == 0, done.stdout + done.stderr
            assert done.stdout.count(" fits") == 4
            drafted.rename(folder)
    return folder


@pytest.fixture(scope="module")
def workshop(products: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `products` that a module's tests may change."""
    return Path(shutil.copytree(products, tmp_path_factory.mktemp("workshop") / "firmware", symlinks=True))
