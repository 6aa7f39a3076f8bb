"""The process that loads a generated library: it alone runs that code, under limits, and imports nothing of chipfit.

Called with the library's path in a folder with the files `request.json` and `inputs`; it writes `outputs`. Both hold
plain bytes, vector by vector.
"""

import ctypes
import json
import sys
from pathlib import Path
from typing import Any

_MEMORY = 1 << 30
"""Bytes of address space beside those for the vectors."""


def limit_resources(memory: int, seconds: int, written: int) -> None:
    """Limit this process, where the system can: bytes of memory, seconds of processor, bytes of files, no core dump."""
    try:
        import resource
    except ImportError:
        return
    for kind, most in (("AS", memory), ("CPU", seconds), ("FSIZE", written), ("CORE", 0)):
        if hasattr(resource, f"RLIMIT_{kind}"):
            hard = resource.getrlimit(getattr(resource, f"RLIMIT_{kind}"))[1]
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            try:
                resource.setrlimit(getattr(resource, f"RLIMIT_{kind}"), (most, most))
            except (ValueError, OSError):  # macOS refuses some of them
                continue


def main(path: str, request: dict[str, Any]) -> None:
    """Run every vector, one after another, in one loaded library.

    `request`: `product`; `inputs` and `outputs`, each a list of [name, bytes of one vector, whether the library has
    the memory]; `count` of vectors; `seconds` of processor time.
    """
    outputs, count = request["outputs"], request["count"]
    written = sum(size for _, size, _ in outputs)
    vectors = written + sum(size for _, size, _ in request["inputs"])
    limit_resources(_MEMORY + 4 * vectors, request["seconds"], written * count)
    library = ctypes.CDLL(path)
    run = getattr(library, f"{request['product']}_run")
    run.restype = None
    memory: dict[str, Any] = {}
    for name, size, owned in (*request["inputs"], *outputs):
        if owned:
            getter = getattr(library, f"{request['product']}_{name}")
            getter.restype = ctypes.c_void_p
            memory[name] = (ctypes.c_char * size).from_address(getter())
        else:
            memory[name] = ctypes.create_string_buffer(size)
    arguments = [memory[name] for name, _, owned in (*request["inputs"], *outputs) if not owned]
    with Path("inputs").open("rb") as inputs, Path("outputs").open("wb") as results:
        for _ in range(count):
            for name, size, _ in request["inputs"]:
                ctypes.memmove(memory[name], inputs.read(size), size)
            run(*arguments)
            for name, size, _ in outputs:
                results.write(ctypes.string_at(memory[name], size))


if __name__ == "__main__":
    try:
        main(sys.argv[1], json.loads(Path("request.json").read_bytes()))
    except (OSError, AttributeError, MemoryError) as error:
        raise SystemExit(f"error: {error or 'out of memory'}") from None
