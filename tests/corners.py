"""Nodes with parameters at their extremes, in one integer graph: every kernel on inputs at the ends of their types.

Each maker draws one node: zero points at the ends of the type, scales and multipliers as large and as small as they
come, shifts of 0 and of all bits. Draws whose bounds do not hold are left out, which is what chipfit does with them.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.arithmetic.kernel_bounds import intermediate_bounds
from pipeline.facts.errors import ChipfitError
from pipeline.graph.builder import GraphBuilder
from pipeline.graph.ir import Graph, Node
from pipeline.graph.rescale import Rescale
from pipeline.graph.tensor import Array, Port, QuantParams, Tensor
from pipeline.ops.add import Add, AddRescaled
from pipeline.ops.affine import Affine
from pipeline.ops.argmax import ArgMax
from pipeline.ops.average_pool import AveragePool, AveragePoolExact
from pipeline.ops.concat import Concat
from pipeline.ops.conv import Conv
from pipeline.ops.conv_transpose import Spread
from pipeline.ops.dense import Dense
from pipeline.ops.extremum import Extremum
from pipeline.ops.gather import Gather
from pipeline.ops.lookup import Interpolate, Lookup
from pipeline.ops.max_pool import MaxPool
from pipeline.ops.mean import Mean, MeanRescaled
from pipeline.ops.mul import Mul, MulRescaled, MulWide
from pipeline.ops.prelu import PRelu, PReluRescaled
from pipeline.ops.reduce import ReduceExtremum
from pipeline.ops.select import NONE, Select
from pipeline.ops.shared.window import Window
from pipeline.ops.softmax import Softmax, SoftmaxExact, SoftmaxScaled, SoftmaxWide

SIDE = 7
IMAGE = (1, SIDE, SIDE, 2)


class Corners:
    """A graph that grows: inputs a and b of one type, the corners of both in every combination."""

    def __init__(self, dtype: str, rng: np.random.Generator) -> None:
        self.dtype, self.rng = dtype, rng
        info = np.iinfo(dtype)
        self.low, self.high = int(info.min), int(info.max)
        self.zeros = (self.low, 0, self.high)
        self.builder = GraphBuilder("net")
        self.kernels: set[str] = set()
        self.outputs: list[str] = []
        self.inputs = [
            self.builder.add(Tensor(f"{n}_{z}", IMAGE, dtype, None, QuantParams((0.05,), z, None, dtype)))
            for n in "ab"
            for z in self.zeros
        ]

    def values(self, count: int) -> list[Array]:
        """For each input, `count` samples: the ends of the type, their neighbours and random values."""
        ends = [self.low, self.low + 1, -1, 0, 1, self.high - 1, self.high]
        grids = np.meshgrid(ends, ends, indexing="ij")
        samples = []
        for name in self.inputs:
            x = self.rng.integers(self.low, self.high + 1, (count, *IMAGE))
            x[0] = np.stack([grids["ab".index(name[0])]] * 2, -1)
            x[1], x[2] = self.low, self.high
            x[3] = self.low if name[0] == "a" else self.high
            samples.append(x.astype(self.dtype))
        return samples

    def pick(self, *values: Any) -> Any:
        return values[int(self.rng.integers(len(values)))]

    def zero(self) -> int:
        return int(self.pick(*self.zeros))

    def image(self, name: str = "a", zero: int | None = None) -> tuple[str, int]:
        zero = self.zero() if zero is None else zero
        return f"{name}_{zero}", zero

    def pair(self) -> tuple[int, int]:
        """A multiplier and an exponent."""
        multiplier = self.pick(1 << 30, 2**31 - 1, int(self.rng.integers(1 << 30, 1 << 31)), 0)
        return int(multiplier), int(self.pick(-31, -16, -8, -1, 0, 1, int(self.rng.integers(-20, 16))))

    def large(self, bits: int) -> int:
        """An integer of up to so many bits, of either sign, often at an end."""
        size = 1 << int(self.rng.integers(0, bits + 1))
        return int(self.pick(size, -size, size - 1, int(self.rng.integers(-size, size + 1))))

    def clamps(self) -> dict[str, int]:
        return {"bottom": self.low, "top": self.high}

    def add(self, node: Node, dtype: str = "") -> None:
        """Append the node, unless one of its kernels could overflow."""
        before = dict(self.builder.tensors)
        name = f"n{len(self.outputs)}"
        node = replace(node, name=name, outputs=(name,))
        self.builder.append(node, dtype or self.dtype, QuantParams((0.05,), self.zero(), None, dtype or self.dtype))
        graph = Graph("net", self.builder.tensors, (), (), ())
        try:
            calls = node.calls(graph)
            for call in calls:
                intermediate_bounds(call, graph)
        except (ChipfitError, AssertionError):
            self.builder.tensors = before
            self.builder.nodes.pop()
            return
        self.kernels |= {c.kernel for c in calls}
        self.outputs.append(name)

    def graph(self) -> Graph:
        ports = [Port(n, n, IMAGE, (0, 1, 2, 3)) for n in self.inputs]
        shapes = [self.builder.tensors[n].shape for n in self.outputs]
        outs = [Port(n, n, s, tuple(range(len(s)))) for n, s in zip(self.outputs, shapes, strict=True)]
        return self.builder.build(ports, outs)


def _epilogue(c: Corners) -> dict[str, int]:
    return {"shift": int(c.pick(0, 1, 24, 31)), "offset": c.large(31), **c.clamps()}


def elementwise(c: Corners) -> None:
    (a, za), (b, zb) = c.image("a"), c.image("b")
    named = {"name": "", "inputs": (a, b), "outputs": ("",)}
    if c.dtype == "int8":
        c.add(Add(**named, scales=(c.large(23), c.large(23)), **_epilogue(c)))
        c.add(Mul(**named, zero_points=(za, zb), scale=c.large(15), **_epilogue(c)))
    zeros, left = (za, zb, c.zero()), int(c.pick(15, 20, 0))
    pairs = (c.pair(), c.pair(), c.pair())
    c.add(AddRescaled(**named, subtract=bool(c.pick(0, 1)), left=left, zero_points=zeros, rescales=pairs, **c.clamps()))
    c.add(MulRescaled(**named, zero_points=zeros, rescale=c.pair(), **c.clamps()))
    multiplier, exponent = c.pair()
    if c.dtype == "int16" and exponent <= 0:
        c.add(MulWide(**named, zero_points=zeros, rescale=(multiplier, exponent), **c.clamps()))
    c.add(Extremum(**named, largest=bool(c.pick(0, 1)), **c.clamps()))


def per_channel(c: Corners) -> None:
    (x, zero), b = c.image(), c.builder
    wide = c.dtype == "int16"
    scale = b.constant("scale", np.array([c.large(30 if wide else 23) for _ in range(2)], np.int32))
    bits, kind = (60, np.int64) if wide else (31, np.int32)
    offsets = np.array([c.large(bits) for _ in range(2)]).clip(-(2**bits), 2**bits - 1)
    offset = b.constant("offset", offsets.astype(kind))
    shift = {"shift": int(c.pick(1, 16, 30, 46))} if wide else {"shift": int(c.pick(0, 8, 24, 31))}
    c.add(Affine(name="", inputs=(x, scale, offset), outputs=("",), axis=3, **shift, **c.clamps()))
    bits = 14 if wide else 22
    slope = b.constant("slope", np.array([c.large(bits) for _ in range(2)], np.int32))
    rest = {"scale": c.large(bits), "offset": c.large(30), "shift": int(c.pick(0, 8, 24))}
    c.add(PRelu(name="", inputs=(x, slope), outputs=("",), axis=3, zero_point=zero, **rest))
    if not wide:
        slope = b.constant("slope", np.array([c.pick(-255, 255, 0, 7) for _ in range(2)], np.int16))
        more = {"zero_point": zero, "rescales": (c.pair(), c.pair()), "output_zero_point": c.zero()}
        c.add(PReluRescaled(name="", inputs=(x, slope), outputs=("",), axis=3, **more))


def reductions(c: Corners) -> None:
    x, zero = c.image()
    axes = c.pick((1, 2), (2,), (1, 2, 3))
    count = int(np.prod([IMAGE[i] for i in axes]))
    if c.dtype == "int8":
        c.add(Mean(name="", inputs=(x,), outputs=("",), axes=axes, scale=c.large(18), **_epilogue(c)))
    more = {"offset": -zero * count, "rescale": c.pair(), "zero_point": c.zero(), **c.clamps()}
    c.add(MeanRescaled(name="", inputs=(x,), outputs=("",), axes=axes, **more))
    c.add(ReduceExtremum(name="", inputs=(x,), outputs=("",), axes=axes, largest=bool(c.pick(0, 1))))
    which = {"axis": int(c.pick(1, 3)), "least": bool(c.pick(0, 1)), "last": bool(c.pick(0, 1))}
    c.add(ArgMax(name="", inputs=(x,), outputs=("",), **which), "int32")


def pools(c: Corners) -> None:
    x, _ = c.image()
    pads = c.pick((0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 2, 0))
    window = Window(c.pick((7, 7), (3, 2)), c.pick((1, 1), (2, 2)), pads)
    named = {"name": "", "inputs": (x,), "outputs": ("",), "window": window}
    c.add(MaxPool(**named))
    c.add(AveragePoolExact(**named, bias=128 if c.dtype == "int8" and c.pick(0, 1) else 0, **c.clamps()))
    if c.dtype == "int8":
        ratio = c.large(20)
        table = np.array([ratio // k for k in range(1, window.kernel[0] * window.kernel[1] + 1)], np.int32)
        named["inputs"] = (x, c.builder.constant("reciprocal", table))
        c.add(AveragePool(**named, **_epilogue(c)))


def linear(c: Corners) -> None:
    """Every requantizer; dense, plain, grouped and depthwise; int8 weights, and wider ones with an offset or not."""
    for kind in ("wide", "once") if c.dtype == "int16" else ("shift", "multiplier", "once"):
        for out, groups, size in ((3, 1, (1, 1)), (3, 1, (3, 2)), (4, 2, (1, 3)), (2, 2, (3, 3))):
            _linear(c, kind, out, groups, (*size, 2 // groups), (-128, 127))
            if c.dtype == "int8" and kind != "shift":
                _linear(c, kind, out, groups, (*size, 2 // groups), c.pick((-255, 255), (0, 255)))


def _linear(c: Corners, kind: str, out: int, groups: int, taps: tuple[int, int, int], ends: tuple[int, int]) -> None:
    """Biases that take the sum to the end of what its kernel can hold."""
    b, (x, zero) = c.builder, c.image()
    kernel = c.rng.choice([ends[0], ends[1], 1], (out, *taps))
    kernel[0], rows = ends[int(c.rng.integers(2))], kernel.reshape(out, -1)
    small, target = kernel.astype(np.int16 if max(ends) > 127 else np.int8), c.zero()
    room = np.full(out, 2**47 - 1 if kind == "wide" else 2**31 - 1) - 3 * 32768 * np.abs(rows).sum(axis=1)
    multiplier = None
    if kind == "wide":
        shift = c.rng.choice([31, 32, 33, 46], out).astype(np.uint8)
        multiplier = b.constant("m", c.rng.choice([0, 1, 2**14, 2**15 - 1], out).astype(np.uint16))
    elif kind == "shift":
        shift = c.rng.choice([0, 1, 8, 23], out).astype(np.int8)
        room -= (np.int64(130) << shift) + 300
    else:
        pairs = [c.pair() for _ in range(out)]
        shift = np.array([e for _, e in pairs], np.int8)
        multiplier = b.constant("m", np.array([m for m, _ in pairs], np.int32))
        room = np.minimum(
            room - 2 * 65536, (np.int64(2**31 - 65536 * 3) >> np.maximum(shift, 0)) - 32768 * np.abs(rows).sum(axis=1)
        )
        room -= np.where(kind == "once", np.int64(1) << np.maximum(-shift.astype(np.int64) - 1, 0), 0)
    size = np.maximum(room, 0) >> c.rng.choice([0, 0, 4, 20], out)
    bias = c.rng.choice([-1, 1], out) * size + zero * rows.sum(axis=1)
    named = (x, b.constant("w", small), b.constant("bias", bias.astype(np.int64 if kind == "wide" else np.int32)))
    rescale = Rescale(b.constant("shift", shift), multiplier, target, c.low, c.high, kind)
    named += (rescale.shift, *([multiplier] if multiplier else []))
    pads, dilations = c.pick((0, 0, 0, 0), (1, 1, 1, 1)), c.pick((1, 1), (1, 2))
    window = Window(taps[:2], c.pick((1, 1), (2, 1)), pads, dilations)
    c.add(Conv(name="", inputs=named, outputs=("",), window=window, groups=groups, rescale=rescale))
    if taps == (1, 1, 2):
        flat = b.constant("w", small.reshape(out, 2))
        c.add(Dense(name="", inputs=(x, flat, *named[2:]), outputs=("",), rescale=rescale))


def tables(c: Corners) -> None:
    x, b = c.image()[0], c.builder
    if c.dtype == "int8":
        c.add(
            Lookup(name="", inputs=(x, b.constant("t", c.rng.choice([-128, 127], 256).astype(np.int8))), outputs=("",))
        )
        exponentials = np.sort(c.rng.integers(0, (1 << 15) + 1, 256))[::-1] * int(c.pick(0, 1))
        exponentials[0] = 1 << 15
        table = b.constant("e", exponentials.astype(np.uint16))
        c.add(Softmax(name="", inputs=(x, table), outputs=("",), axis=int(c.pick(1, 3))))
        more = {"factor": int(c.pick(1, 256, 65535)), "shift": int(c.pick(0, 8, 16)), "zero_point": c.zero()}
        c.add(SoftmaxScaled(name="", inputs=(x, table), outputs=("",), axis=int(c.pick(1, 3)), **more))
        fine = np.sort(c.rng.integers(0, 2**31, 256))[::-1] * int(c.pick(0, 1))
        fine[0] = 2**31 - 1
        exact = b.constant("e", fine.astype(np.int32))
        c.add(SoftmaxExact(name="", inputs=(x, exact), outputs=("",), axis=int(c.pick(1, 3))))
        return
    steep = c.rng.choice([-(2**22), 2**22, 0, 32767], 513).astype(np.int32)
    c.add(Interpolate(name="", inputs=(x, b.constant("t", steep)), outputs=("",)))
    falling = np.sort(c.rng.choice([0, 1, 1 << 14, 1 << 15], 513))[::-1].astype(np.uint16)
    falling[0] = 1 << 15
    table = b.constant("e", falling)
    c.add(SoftmaxWide(name="", inputs=(x, table), outputs=("",), axis=3, step=int(c.pick(0, 3, 7))))


def moves(c: Corners) -> None:
    """What computes nothing, for completeness."""
    x, y = c.image("a")[0], c.image("b")[0]
    c.add(Spread(name="", inputs=(x,), outputs=("",), strides=(2, 1)))
    c.add(Concat(name="", inputs=(x, y), outputs=("",), axis=3))
    c.add(Gather(name="", inputs=(x, c.builder.constant("i", np.array([1, 0, 1], np.int32))), outputs=("",), axis=3))
    some = c.builder.constant("i", np.array([0, NONE, 97, 3], np.int32))
    c.add(Select(name="", inputs=(x, some), outputs=("",), shape=(1, 4)))


MAKERS: Mapping[str, Callable[[Corners], None]] = {
    f.__name__: f for f in (elementwise, per_channel, reductions, pools, linear, tables, moves)
}


def drawn(dtype: str, seed: int, rounds: int) -> Corners:
    """A graph of `rounds` draws of every maker, each of which draws the same whatever others there are."""
    own = {name: np.random.default_rng([seed, *name.encode()]) for name in MAKERS}
    corners = Corners(dtype, np.random.default_rng(seed))
    for _ in range(rounds):
        for name, maker in MAKERS.items():
            corners.rng = own[name]
            maker(corners)
    return corners
