"""Where tests find real models that are not committed, and how optional tools are skipped by name."""

import os
import shutil
from pathlib import Path

import pytest

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
