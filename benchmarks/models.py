"""Where the benchmarks find the third-party models: CHIPFIT_MODELS, or ../shared/models beside the checkout."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("CHIPFIT_MODELS", ROOT.parent / "shared" / "models"))


def require() -> Path:
    """The folder, or an end with one sentence."""
    if not SHARED.is_dir():
        sys.exit(f"the third-party models are not in {SHARED}; set CHIPFIT_MODELS")
    return SHARED
