"""The library compiled for this machine and run here, by the pinned compiler or by GCC or Clang from PATH."""

import json
import shutil
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.facts.errors import ChipfitError
from pipeline.measuring.toolchain.build import sources_of
from pipeline.measuring.toolchain.cross import WARNINGS
from pipeline.measuring.toolchain.process import find_program, run, zig
from pipeline.measuring.toolchain.scratch import scratch

if TYPE_CHECKING:  # a result that is restored needs nothing of this package but its scratch folders
    from pipeline.graph.tensor import Array

_CHILD = Path(__file__).with_name("host_child.py")
_SECONDS = 60
"""Seconds of processor time for all vectors, and one more for each; four times that by the clock."""


def host_compilers() -> list[str]:
    """Names of the host compilers found: ziglang always, gcc and clang when on PATH."""
    return ["ziglang", *(c for c in ("gcc", "clang") if shutil.which(c))]


def host_library(
    library: Path,
    out: Path,
    compiler: str = "ziglang",
    flags: Sequence[str] = ("-O2",),
    listed: Collection[str] | None = None,
) -> Path:
    """Build `library`/src/*.c into the shared library `out`, with every warning an error.

    `listed`: the paths, relative to `library`, that are part of it. `flags` come last, so that -O0, -O3 or
    -fsanitize=undefined win. Raises ChipfitError when the compiler is missing or refuses; then nothing is left behind.
    """
    driver = [*zig(), "-fno-sanitize=all"] if compiler == "ziglang" else [find_program(compiler)]
    sources = [str(p.relative_to(library)) for p in sources_of(library, (".c",), listed)]
    arguments = [
        *driver, "-std=c99", *WARNINGS, "-shared", "-g0", *([] if sys.platform == "win32" else ["-fPIC"]), *flags,
        "-Iinclude", "-Isrc", *sources, "-o", str(out.resolve()),
    ]  # fmt: skip
    try:
        run(arguments, library, f"compiling the library for this machine with {compiler}")
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    return out


class HostLibrary:
    """A library for this machine, run in a process of its own, so that its crash is not chipfit's."""

    def __init__(self, path: Path, product: str, port_offsets: Sequence[int | None] = ()) -> None:
        """`port_offsets`: for every input and output, its offset in the arena, or None for the caller's memory."""
        self._path, self._product, self._port_offsets = path, product, port_offsets

    def __call__(self, inputs: "Sequence[Array]", outputs: "Sequence[Array]") -> "list[Array]":
        """Outputs of one inference for each vector: the first axis of `inputs`, and of the result, counts vectors.

        `outputs` give shapes and types. Raises ChipfitError when the library crashes, does not come to an end, or
        takes more than 1 GiB.
        """
        import numpy as np

        count = len(inputs[0])
        names = [*_port_names("input", len(inputs)), *_port_names("output", len(outputs))]
        owned = [p is not None for p in self._port_offsets] or [False] * len(names)
        sizes = [a.nbytes // max(len(a), 1) for a in (*inputs, *outputs)]
        ports = list(zip(names, sizes, owned, strict=True))
        seconds = _SECONDS + count
        request = {"product": self._product, "count": count, "seconds": seconds}
        request |= {"inputs": ports[: len(inputs)], "outputs": ports[len(inputs) :]}
        with scratch() as folder:
            (folder / "request.json").write_text(json.dumps(request), "utf-8")
            (folder / "inputs").write_bytes(_interleave(inputs))
            command = [sys.executable, "-I", "-S", str(_CHILD), str(self._path.resolve())]
            run(command, folder, f"running {self._product} on this machine", 4 * seconds)
            output_sizes = sizes[len(inputs) :]
            results = _read_outputs(folder / "outputs", self._product, count * sum(output_sizes)).reshape(count, -1)
        parts = np.split(results, np.cumsum(output_sizes)[:-1], axis=1)
        return [
            np.ascontiguousarray(p).view(o.dtype).reshape(count, *o.shape[1:])
            for p, o in zip(parts, outputs, strict=True)
        ]


def _read_outputs(path: Path, product: str, length: int) -> "Array":
    """The `length` bytes of all outputs; raises ChipfitError where a library ended its process before it wrote them."""
    import numpy as np

    data = path.read_bytes() if path.is_file() else b""
    if len(data) != length:
        raise ChipfitError(f"toolchain: running {product} on this machine gave {len(data)} of {length} output bytes")
    return np.frombuffer(data, np.uint8)


def _interleave(inputs: "Sequence[Array]") -> bytes:
    """The bytes of every input of the first vector, then of the second, and so on."""
    import numpy as np

    rows = [np.ascontiguousarray(a).reshape(len(a), -1).view(np.uint8) for a in inputs]
    return np.concatenate(rows, axis=1).tobytes()


def _port_names(direction: str, count: int) -> list[str]:
    return [direction] if count == 1 else [f"{direction}_{i}" for i in range(count)]
