"""Inputs and outputs as C: parameters or memory of the library, with their scales as exact ratios."""

from dataclasses import dataclass
from math import frexp, prod
from typing import Literal

from pipeline.arithmetic.fixedpoint import INT32_MAX
from pipeline.graph.kernel_call import C_TYPES
from pipeline.graph.tensor import Port, QuantParams, Tensor
from pipeline.planning.plan import Program

Direction = Literal["input", "output"]


@dataclass(frozen=True)
class Scale:
    """real = (value - zero_point) * multiplier / 2**shift, exactly; each as C, `scale` in decimal."""

    scale: str
    zero_point: str
    multiplier: int
    shift: str


@dataclass(frozen=True)
class CPort:
    """One input or output: `name` in C, `onnx` in the model file, `size` in elements."""

    direction: Direction
    name: str
    onnx: str
    ctype: str
    shape: str
    layout: str
    size: int
    macro: str
    scale: Scale | None
    arena_offset: int | None
    """Byte offset in the arena; None where its memory is the caller's."""

    @property
    def parameter(self) -> str:
        """The parameter of the run function that passes this port."""
        const = "const " if self.direction == "input" else ""
        return f"{const}{self.ctype} {self.name}[{self.size}]"


def ports_of(program: Program) -> tuple[CPort, ...]:
    """Every input of a program and then every output."""
    graph = program.graph
    numbered: list[tuple[Direction, int, Port]] = [("input", i, p) for i, p in enumerate(graph.inputs)]
    numbered += [("output", i, p) for i, p in enumerate(graph.outputs)]
    return tuple(
        _port(
            program.product,
            direction,
            port_name(program, direction, index),
            port,
            graph.tensors[port.tensor],
            offset,
        )
        for (direction, index, port), offset in zip(numbered, program.port_offsets, strict=True)
    )


def port_name(program: Program, direction: str, index: int) -> str:
    """Name of an input or output in C: numbered where there are several."""
    many = len(program.graph.inputs if direction == "input" else program.graph.outputs) > 1
    return f"{direction}_{index}" if many else direction


def _port(product: str, direction: Direction, name: str, port: Port, tensor: Tensor, arena_offset: int | None) -> CPort:
    moved = [p for p in port.perm if port.onnx_shape[p] != 1]
    return CPort(
        direction=direction,
        name=name,
        onnx=port.onnx_name,
        ctype=C_TYPES[tensor.dtype],
        shape="x".join(str(d) for d in tensor.shape),
        layout="" if moved == sorted(moved) else f", channels last (the model file has {list(port.onnx_shape)})",
        size=prod(tensor.shape),
        macro=f"{product}_{name}".upper(),
        scale=None if tensor.quant is None else _scale(tensor.quant),
        arena_offset=arena_offset,
    )


def _scale(quant: QuantParams) -> Scale:
    multiplier, shift = exact_ratio(quant.scale[0])
    return Scale(repr(quant.scale[0]), _macro(quant.zero_point), multiplier, _macro(shift))


def _macro(value: int) -> str:
    return str(value) if value >= 0 else f"({value})"


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
