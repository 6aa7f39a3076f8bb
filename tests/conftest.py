"""Where tests find real models that are not committed, and how optional tools are skipped by name."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent


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
    made = list(values)
    assert made, "there is nothing to test"
    return made


def chipfit(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stages.app.cli", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A firmware repository with the shipped products, built once."""
    folder = tmp_path_factory.mktemp("firmware")
    for part in ("products", "models"):
        shutil.copytree(ROOT / "configs" / part, folder / "configs" / part)
    done = chipfit(folder, "build")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" fits") == 4
    return folder
