"""chipfit's library: pure functions over frozen values; only `toolchain` and `simulator` start anything."""
