"""Write a program down as C99: data, calls and the memory map through templates; kernels as verbatim files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import frexp, prod
from pathlib import Path
from typing import Any, get_args

import jinja2
import numpy as np

from pipeline.arithmetic.fixedpoint import INT32_MAX
from pipeline.facts.text import in_comment, is_code
from pipeline.generating.kernel_files import kernel_files, routine_files
from pipeline.graph.kernel_call import C_TYPES, KernelCall, Place, Routine
from pipeline.graph.tensor import Array, Port, Tensor
from pipeline.planning.placement import named
from pipeline.planning.plan import Program
from pipeline.planning.variants.armv6m.shared_routines import SHARED

_WIDTH = 110


@dataclass(frozen=True, eq=False)
class Vectors:
    """Embedded self-test vectors: one array (n, *stored shape) per input and per output port."""

    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]


def generate(program: Program, core: str, source: str, vectors: Vectors) -> dict[str, bytes]:
    """Every file of the library, by its path relative to the library's folder.

    `source` names the model file in comments. The same program gives the same bytes on every machine.
    """
    product, prefix = program.product, program.product.upper()
    tables, calls = _tables_and_calls(program)
    ports = _ports(program)
    each = [part for c in program.calls for part in c.each]
    families = sorted({c.family for c in each})
    kernels = kernel_files({c.kernel for c in each}, core)
    routines = [c.routine for c in program.calls if c.routine]
    kernels |= routine_files(routines, core)
    sources = sorted([f"{product}.c", f"{product}_weights.c", *(k for k in kernels if k.endswith(".c"))])
    sources += [f"{product}_layers.S"] if routines else []
    common: dict[str, Any] = {
        "product": product,
        "prefix": prefix,
        "source": in_comment(source),
        "ports": ports,
        "parameters": ", ".join(p["parameter"] for p in ports if p["place"] is None) or "void",
        "unread": [f"input{_suffix(program, 'input', i)}" for i in program.unread],
        "tables": tables,
        "calls": calls,
        "arena": program.arena.size,
        "lower_bound": program.arena.lower_bound,
        "layers": len(calls),
        "macs": program.graph.macs,
        "weights": sum(t["bytes"] for t in tables if t["where"] != "portable"),
        "headers": families,
        "sources": sources,
        "assembly": bool(routines),
        "needs_arena": program.needs_arena,
        "vectors": len(vectors.inputs[0]),
    }
    selftest = common | _selftest(program, vectors, ports)
    made = {
        f"include/{product}.h": ("header.h.j2", common),
        f"src/{product}.c": ("model.c.j2", common),
        f"src/{product}_weights.h": ("weights.h.j2", common),
        f"src/{product}_weights.c": ("weights.c.j2", common),
        "src/kernel_prefix.h": ("kernel_prefix.h.j2", common),
        "CMakeLists.txt": ("CMakeLists.txt.j2", common),
        f"test/{product}_selftest.c": ("selftest.c.j2", selftest),
    }
    if routines:
        made[f"src/{product}_layers.S"] = ("layers.S.j2", common | _assembly(calls))
    environment = _environment()
    files = {path: environment.get_template(t).render(v).encode() for path, (t, v) in made.items()}
    return files | {f"src/{name}": path.read_bytes() for name, path in kernels.items()}


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
        finalize=_code,
    )
    environment.filters["comment"] = in_comment
    return environment


def _code(value: Any) -> Any:
    """What a template writes: nothing that a name from a model file could have brought along unseen."""
    if isinstance(value, str) and not is_code(value):
        raise ValueError(f"not code, and not taken through in_comment: {value!r}")
    return value


def _tables_and_calls(program: Program) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    tables: list[dict[str, Any]] = []
    calls = []
    for index, call in enumerate(program.calls):
        parts = []
        for number, part in enumerate(call.each):
            label = f"{index}_{number}" if call.parts else str(index)
            own, shown = _part(program, part, label)
            tables += [t | {"where": "portable" if call.routine and not t["operand"] else ""} for t in own]
            parts.append(shown)
        names = {}
        for key, array in call.routine.tables.items() if call.routine else ():
            table = _table(f"routine_{index}_{key}", f"{call.node}: {key}", array)
            names[key] = table["name"]
            ram = call.routine is not None and call.routine.place == "all"
            tables.append(table | {"where": "assembly", "ram": ram})
        arguments = [*parts[0]["arguments"][: len(call.inputs)], *parts[-1]["arguments"][-len(call.outputs) :]]
        calls.append(
            {
                "title": _title(call, program),
                "routine": call.routine,
                **_called(call, f"LAYER({index})", ", ".join(arguments)),
                "names": names | {"layer": str(index)},
                "parts": parts,
            }
        )
    return tables, calls


def _part(program: Program, call: KernelCall, label: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One C kernel's call: its tables, and what the templates say of it."""
    tables: list[dict[str, Any]] = []
    fields: list[tuple[str, str]] = []
    for field, array in call.tables.items():
        short = field.rsplit(".", 1)[-1]
        table = _table(f"{label}_{field.replace('.', '_')}", f"{call.node}: {short}", array)
        tables.append(table)
        fields.append((field, table["name"]))
    for field, value in call.params.items():
        text = str(value) if isinstance(value, int) else "{" + ", ".join(str(v) for v in value) + "}"
        fields.append((field, text))
    arguments: list[str] = []
    for name in call.inputs:
        tensor = program.graph.tensors[name]
        if tensor.data is None:
            arguments.append(_place(program, name, "const "))
        else:
            table = _table(f"{label}_operand_{len(arguments)}", f"{call.node}: {name}", tensor.data)
            tables.append(table | {"operand": True})
            arguments.append(table["name"])
    arguments += [_place(program, n, "") for n in call.outputs]
    said = {"number": label, "family": call.family, "kernel": call.kernel, "fields": fields, "arguments": arguments}
    return tables, said


def _called(call: KernelCall, layer: str, arguments: str) -> dict[str, str | None]:
    """The C that declares the call's routine, and what calls it."""
    types = ", ".join([*["const void *"] * len(call.inputs), *["void *"] * len(call.outputs)])
    if call.routine is None:
        return {"declaration": None, "variant": None, "invocation": None}
    far = call.routine.place != "flash"
    return {
        "declaration": f"void {layer}({types});",
        "variant": named(call.routine.variant, call.routine.place),
        "invocation": f"FAR_CALL(({types}), {layer}, ({arguments}))" if far else f"{layer}({arguments})",
    }


def _assembly(calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the assembly file says: the macros it includes, and for each place every layer's invocations of them."""
    routines: list[Routine] = [c["routine"] for c in calls if c["routine"]]
    includes = [*(i for r in routines for i in r.includes), *(f"{s}.inc" for r in routines for s in r.shared)]
    parts: list[dict[str, Any]] = []
    said: set[str] = set()
    for place in (p for p in get_args(Place) if any(r.place == p for r in routines)):
        here = [c for c in calls if c["routine"] and c["routine"].place == place]
        names = _shared_names(place)
        shared = [
            f"{s}_routines {', '.join(f'SHARED({names[f]})' for f in SHARED[s].functions)}"
            for s in sorted({s for c in here for s in c["routine"].shared})
        ]
        parts.append(
            {
                "code_in_ram": int(place != "flash"),
                "constants_in_ram": int(place == "all"),
                "shared": [line for line in shared if line not in said],
                "routines": [
                    {"title": c["title"], "lines": [t.format(**c["names"], **names) for t in c["routine"].lines]}
                    for c in here
                ],
            }
        )
        said |= set(shared)
    return {"includes": list(dict.fromkeys(includes)), "parts": parts}


def _shared_names(place: Place) -> dict[str, str]:
    """What the shared routines are called in flash and in RAM: a call does not reach from one to the other."""
    ending = "" if place == "flash" else "_ram"
    return {f: f"{f}{ending}" for s in SHARED.values() for f in s.functions}


def _title(call: KernelCall, program: Program) -> str:
    shapes = [
        "x".join(str(d) for d in program.graph.tensors[n.removesuffix("#copy")].shape)
        for n in (*call.inputs[:1], *call.outputs)
    ]
    macs = f", {call.macs} MACs" if call.macs else ""
    return f"{call.node}: {' -> '.join(shapes)}{macs}"


def _place(program: Program, name: str, const: str) -> str:
    kind, where, offset = program.homes[name]
    tensor = program.graph.tensors[name.removesuffix("#copy")]
    if kind == "arena":
        return f"ARENA({where})"
    # Kernels see the bytes of uint8 ports as int8.
    cast = f"({const}int8_t *)" if tensor.dtype == "uint8" else ""
    inside = f" + {offset // np.dtype(tensor.dtype).itemsize}" if offset else ""
    return f"{cast}{kind}{_suffix(program, kind, where)}{inside}"


def _suffix(program: Program, kind: str, index: int) -> str:
    many = len(program.graph.inputs if kind == "input" else program.graph.outputs) > 1
    return f"_{index}" if many else ""


def _table(name: str, title: str, array: Array) -> dict[str, Any]:
    return {
        "name": f"TABLE({name})",
        "title": f"{title}, {'x'.join(str(d) for d in array.shape)}",
        "where": "",
        "ram": False,
        "operand": False,
        "ctype": C_TYPES[array.dtype.name],
        "size": array.size,
        "bytes": array.nbytes,
        "rows": _rows(array),
    }


def _rows(array: Array) -> list[str]:
    """Numbers in lines of at most _WIDTH characters."""
    words = [str(v) if v != -(2**31) else "(-2147483647 - 1)" for v in array.reshape(-1).tolist()]
    widest = max(len(w) for w in words) + 2
    per_row = max(1, (_WIDTH - 4) // widest)
    return [", ".join(words[i : i + per_row]) for i in range(0, len(words), per_row)]


def _ports(program: Program) -> list[dict[str, Any]]:
    graph = program.graph
    made, places = [], iter(program.places)
    for direction, ports in (("input", graph.inputs), ("output", graph.outputs)):
        for index, port in enumerate(ports):
            tensor = graph.tensors[port.tensor]
            name = f"{direction}{_suffix(program, direction, index)}"
            made.append(_port(program.product, direction, name, port, tensor) | {"place": next(places)})
    return made


def _port(product: str, direction: str, name: str, port: Port, tensor: Tensor) -> dict[str, Any]:
    ctype = C_TYPES[tensor.dtype]
    const = "const " if direction == "input" else ""
    moved = [p for p in port.perm if port.onnx_shape[p] != 1]
    made: dict[str, Any] = {
        "direction": direction,
        "name": name,
        "onnx": port.onnx_name,
        "ctype": ctype,
        "shape": "x".join(str(d) for d in tensor.shape),
        "layout": "" if moved == sorted(moved) else f", channels last (the model file has {list(port.onnx_shape)})",
        "size": prod(tensor.shape),
        "macro": f"{product}_{name}".upper(),
        "parameter": f"{const}{ctype} {name}[{prod(tensor.shape)}]",
        "scale": None,
    }
    if tensor.quant is not None:
        multiplier, shift = exact_ratio(tensor.quant.scale[0])
        made |= {
            "scale": repr(tensor.quant.scale[0]),
            "zero_point": tensor.quant.zero_point,
            "multiplier": multiplier,
            "shift": shift if shift >= 0 else f"({shift})",
        }
    return made


def exact_ratio(scale: float) -> tuple[int, int]:
    """(multiplier, shift) with scale == multiplier / 2**shift exactly; scales have short mantissas by construction.

    The shift of a scale beyond 32 bits is negative.
    """
    mantissa, exponent = frexp(scale)
    shift = 53 - exponent
    multiplier = int(mantissa * 2**53)
    while multiplier % 2 == 0 and (shift > 0 or multiplier > INT32_MAX):
        multiplier, shift = multiplier // 2, shift - 1
    return multiplier, shift


def _selftest(program: Program, vectors: Vectors, ports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    count = len(vectors.inputs[0])
    arrays = [*vectors.inputs, *vectors.outputs]
    shown = [
        dict(port) | {"array": f"{port['name']}_vectors", "rows": [_row(a) for a in array]}
        for port, array in zip(ports, arrays, strict=True)
    ]
    outputs = [p for p in shown if p["direction"] == "output"]
    callers = [p for p in shown if p["place"] is None]
    arguments = [f"{p['array']}[v]" if p["direction"] == "input" else f"got_{p['array']}" for p in callers]
    return {
        "vectors": list(range(count)),
        "ports": shown,
        "outputs": outputs,
        "owned": [p for p in shown if p["place"] is not None and p["direction"] == "input"],
        "arguments": ", ".join(arguments),
    }


def _row(array: Array) -> str:
    return ", ".join(str(v) for v in np.asarray(array).reshape(-1).tolist())
