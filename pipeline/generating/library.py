"""Write a program down as C99: data, calls and the memory map through templates; kernels as files of their own."""

from dataclasses import dataclass, fields
from pathlib import Path

from pipeline.arithmetic.versions import arithmetic_of
from pipeline.facts.cores import CORES, Isa
from pipeline.facts.text import in_comment
from pipeline.generating.assembly import assembly_of
from pipeline.generating.kernel_files import GENERATED, kernel_files, routine_files
from pipeline.generating.layers import Layer, layers_of
from pipeline.generating.names import inner, with_inner_includes
from pipeline.generating.ports import CPort, port_name, ports_of
from pipeline.generating.rendering import environment
from pipeline.generating.selftest import Vectors, selftest_of
from pipeline.generating.tables import Table
from pipeline.planning.plan import Program

_LICENCES = ("LICENSES/MIT.txt", "LICENSES/LicenseRef-model.txt", "REUSE.toml")
"""What `reuse lint` wants beside the sources: each licence's text, and those of files without comments."""


@dataclass(frozen=True)
class Origin:
    """The origin of a library: the model file's name, and sha256 in hex of model, integer network and plan.json.

    `version` is chipfit's own. The network is graph.json followed by weights.bin: it holds what calibration decides.
    """

    source: str
    version: str
    model_sha256: str
    network_sha256: str
    plan_sha256: str

    @property
    def comment(self) -> str:
        """Version, model and digests in one line, with the first 16 digits of each digest."""
        digests = {"model": self.model_sha256, "network": self.network_sha256, "plan": self.plan_sha256}
        shown = ", ".join(f"{name} {digest[:16]}" for name, digest in digests.items())
        return f"chipfit {self.version} from {in_comment(self.source)} (sha256: {shown})"


@dataclass(frozen=True)
class Library:
    """Variables of every template; `arena`, `lower_bound`, `constants` and `portable_constants` in bytes.

    `portable_constants`: the tables of the library in C alone.
    """

    product: str
    prefix: str
    origin: str
    version: str
    model_sha256: str
    network_sha256: str
    plan_sha256: str
    arithmetic: tuple[str, ...]
    """Names of docs/arithmetic.md."""
    ports: tuple[CPort, ...]
    parameters: str
    unread: tuple[str, ...]
    layers: tuple[Layer, ...]
    tables: tuple[Table, ...]
    constants: int
    portable_constants: int
    arena: int
    lower_bound: int
    needs_arena: bool
    in_ram: bool
    """Whether layers in assembly lie in RAM."""
    macs: int
    headers: tuple[str, ...]
    sources: tuple[str, ...]
    assembly: bool
    isa: Isa
    """The instruction set of the core that the library is generated for."""
    vectors: int


def generate(program: Program, core: str, origin: Origin, vectors: Vectors) -> dict[str, bytes]:
    """Every file of the library, by its path relative to the library's folder.

    The same program and origin give the same bytes on every machine.
    """
    kernels = kernel_files({c.kernel for call in program.calls for c in call.each}, core)
    library = _library(
        program, CORES[core].isa, origin, tuple(n for n in kernels if n.endswith(".c")), len(vectors.inputs[0])
    )
    product, test = library.product, selftest_of(library.product, library.ports, vectors)
    files = {
        f"include/{product}.h": _rendered("header.h.j2", library),
        f"src/{product}.c": _rendered("model.c.j2", library),
        f"src/{inner(product, 'weights.h')}": _rendered("weights.h.j2", library),
        f"src/{inner(product, 'weights.c')}": _rendered("weights.c.j2", library),
        f"src/{inner(product, GENERATED)}": _rendered("kernel_prefix.h.j2", library),
        "CMakeLists.txt": _rendered("CMakeLists.txt.j2", library),
        f"test/{inner(product, 'selftest.c')}": _rendered("selftest.c.j2", library, test),
        **{name: _rendered(f"{Path(name).name}.j2") for name in _LICENCES},
    }
    if library.assembly:
        files[f"src/{inner(product, 'layers.S')}"] = _rendered("layers.S.j2", library, assembly_of(library.layers))
        kernels |= routine_files([c.routine for c in program.calls if c.routine], core)
    verbatim = {n: with_inner_includes(path.read_bytes(), product) for n, path in kernels.items()}
    return files | {f"src/{inner(product, n)}": text for n, text in verbatim.items()}


def _library(program: Program, isa: Isa, origin: Origin, kernels: tuple[str, ...], vectors: int) -> Library:
    product, ports, layers = program.product, ports_of(program), layers_of(program)
    tables = tuple(t for layer in layers for t in layer.tables)
    assembly = any(layer.invocation for layer in layers)
    sources = [f"{product}.c", *(inner(product, n) for n in sorted(["weights.c", *kernels]))]
    return Library(
        product=product,
        prefix=product.upper(),
        origin=origin.comment,
        version=origin.version,
        model_sha256=origin.model_sha256,
        network_sha256=origin.network_sha256,
        plan_sha256=origin.plan_sha256,
        arithmetic=arithmetic_of(program.graph),
        ports=ports,
        parameters=", ".join(p.parameter for p in ports if p.arena_offset is None) or "void",
        unread=tuple(port_name(program, "input", i) for i in program.unread),
        layers=layers,
        tables=tables,
        constants=sum(t.bytes for t in tables if t.use != "portable")
        + sum(x.invocation.words * 4 for x in layers if x.invocation),
        portable_constants=sum(t.bytes for t in tables if t.use != "assembly"),
        arena=program.arena.size,
        lower_bound=program.arena.lower_bound,
        needs_arena=program.needs_arena,
        in_ram=any(x.invocation.routine.memory != "flash" for x in layers if x.invocation),
        macs=program.graph.macs,
        headers=tuple(sorted({c.family for layer in layers for c in layer.calls})),
        sources=(*sources, *([inner(product, "layers.S")] if assembly else [])),
        assembly=assembly,
        isa=isa,
        vectors=vectors,
    )


def _rendered(template: str, *records: object) -> bytes:
    """A template's text, in which the fields of `records` are variables."""
    variables = {f.name: getattr(r, f.name) for r in records for f in fields(r)}  # type: ignore[arg-type]
    return environment().get_template(template).render(variables).encode()
