"""chipfit's library: pure functions over frozen values; only `toolchain` and `simulator` start anything."""

import os

# Before NumPy is loaded: its matrix products are small here and products are built side by side, so threads that spin
# while they wait for each other cost more than they give.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
