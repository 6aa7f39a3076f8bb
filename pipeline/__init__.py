"""chipfit's library: pure functions over frozen values; only `toolchain` and `simulator` start anything."""

import os

# Before NumPy is loaded: its matrix products are small here and products are built side by side, so threads that spin
# while they wait for each other cost more than they give.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Before ONNX Runtime is loaded: some of its packages leave a device's id in the user's cache and send events.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
