"""Every layer as C: its kernel calls with their parameter structs, the routine in assembly that replaces them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.generating.ports import port_name
from pipeline.generating.tables import Table, table
from pipeline.graph.kernel_call import KernelCall, Routine
from pipeline.planning.placement import variant_label
from pipeline.planning.plan import Program


@dataclass(frozen=True)
class Call:
    """One C kernel's call: `struct family` with `fields` (name and initializer), and what follows the struct's address.

    `number` is that of the layer, and behind an underscore its number among the layer's calls where there are several.
    """

    number: str
    family: str
    kernel: str
    fields: tuple[tuple[str, str], ...]
    arguments: tuple[str, ...]
    tables: tuple[Table, ...]
    operands: tuple[Table, ...]
    """Constants that stand where activations do: the routine reads them too."""


@dataclass(frozen=True)
class Invocation:
    """A layer's routine in assembly: how C declares and calls it; `names` for the braces in the routine's lines."""

    routine: Routine
    entry: str
    declaration: str
    variant: str
    statement: str
    names: Mapping[str, str]
    tables: tuple[Table, ...]

    @property
    def words(self) -> int:
        """Words of constants in the routine's own lines: `constants name, value, value ...`."""
        return sum(line.count(",") for line in self.routine.lines if line.startswith("constants "))


@dataclass(frozen=True)
class Layer:
    """The part of a network that one routine, or without one a single C kernel, computes."""

    title: str
    calls: tuple[Call, ...]
    invocation: Invocation | None

    @property
    def tables(self) -> tuple[Table, ...]:
        """The constants of both forms of the library."""
        own = tuple(t for c in self.calls for t in (*c.tables, *c.operands))
        return (*own, *(self.invocation.tables if self.invocation else ()))


def layers_of(program: Program) -> tuple[Layer, ...]:
    """Every layer of a program in the order of execution."""
    return tuple(_layer(program, call, index) for index, call in enumerate(program.calls))


def _layer(program: Program, call: KernelCall, index: int) -> Layer:
    calls = tuple(
        _call(program, part, f"{index}_{number}" if call.parts else str(index), call.routine)
        for number, part in enumerate(call.each)
    )
    first, last = calls[0].arguments[: len(call.inputs)], calls[-1].arguments[-len(call.outputs) :]
    arguments = ", ".join([*first, *last])
    invocation = _invocation(call, call.routine, index, arguments) if call.routine else None
    return Layer(_title(call, program), calls, invocation)


def _call(program: Program, call: KernelCall, number: str, routine: Routine | None) -> Call:
    tables: list[Table] = []
    operands: list[Table] = []
    fields: list[tuple[str, str]] = []
    for field, value in call.params.members():
        if isinstance(value, int):
            fields.append((field, str(value)))
        elif isinstance(value, tuple):
            fields.append((field, "{" + ", ".join(str(v) for v in value) + "}"))
        else:
            title = f"{call.node}: {field.rsplit('.', 1)[-1]}"
            constants = table(f"{number}_{field.replace('.', '_')}", title, value, "portable" if routine else "always")
            tables.append(constants)
            fields.append((field, constants.name))
    arguments: list[str] = []
    for name in call.inputs:
        data = program.graph.tensors[name].data
        if data is None:
            arguments.append(_memory(program, name, "const "))
        else:
            operands.append(table(f"{number}_operand_{len(arguments)}", f"{call.node}: {name}", data, "always"))
            arguments.append(operands[-1].name)
    arguments += [_memory(program, n, "") for n in call.outputs]
    return Call(number, call.family, call.kernel, tuple(fields), tuple(arguments), tuple(tables), tuple(operands))


def _invocation(call: KernelCall, routine: Routine, index: int, arguments: str) -> Invocation:
    inputs, outputs = _numbered("const void *x", len(call.inputs)), _numbered("void *y", len(call.outputs))
    types = ", ".join([*inputs, *outputs])
    tables = {
        key: table(f"routine_{index}_{key}", f"{call.node}: {key}", array, "assembly", routine.memory == "all")
        for key, array in routine.tables.items()
    }
    name = f"LAYER({index})"
    far_call = f"FAR_CALL(({types}), {name}, ({arguments}))"
    return Invocation(
        routine=routine,
        entry=name,
        declaration=f"void {name}({types});",
        variant=variant_label(routine.variant, routine.memory),
        statement=f"{name}({arguments})" if routine.memory == "flash" else far_call,
        names={key: t.name for key, t in tables.items()} | {"layer": str(index)},
        tables=tuple(tables.values()),
    )


def _numbered(parameter: str, count: int) -> list[str]:
    return [parameter] if count == 1 else [f"{parameter}_{i}" for i in range(count)]


def _title(call: KernelCall, program: Program) -> str:
    shapes = [
        "x".join(str(d) for d in program.graph.tensors[n.removesuffix("#copy")].shape)
        for n in (*call.inputs[:1], *call.outputs)
    ]
    macs = f", {call.macs} MACs" if call.macs else ""
    return f"{call.node}: {' -> '.join(shapes)}{macs}"


def _memory(program: Program, name: str, const: str) -> str:
    """Pointer to an activation, as a C expression."""
    at = program.locations[name]
    tensor = program.graph.tensors[name.removesuffix("#copy")]
    if at.memory == "arena":
        return f"{program.product.upper()}_ARENA({at.offset})"
    # Kernels see the bytes of uint8 ports as int8.
    cast = f"({const}int8_t *)" if tensor.dtype == "uint8" else ""
    inside = f" + {at.offset // np.dtype(tensor.dtype).itemsize}" if at.offset else ""
    return f"{cast}{port_name(program, at.memory, at.port)}{inside}"
