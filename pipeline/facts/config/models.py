"""What a human types, as frozen pydantic models: a product, and a chip."""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from pipeline.facts import units
from pipeline.facts.cores import CORES, with_slow_multiplier
from pipeline.facts.flash_wait_states import FlashTiming
from pipeline.facts.weight_bits import BITS, Widths

_C_WORDS = frozenset(
    [
        "auto",
        "break",
        "case",
        "char",
        "const",
        "continue",
        "default",
        "do",
        "double",
        "else",
        "enum",
        "extern",
        "float",
        "for",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "register",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "struct",
        "switch",
        "typedef",
        "union",
        "unsigned",
        "void",
        "volatile",
        "while",
        "asm",
        "bool",
        "catch",
        "class",
        "delete",
        "explicit",
        "export",
        "false",
        "friend",
        "main",
        "mutable",
        "namespace",
        "new",
        "operator",
        "private",
        "protected",
        "public",
        "template",
        "this",
        "throw",
        "true",
        "try",
        "typename",
        "using",
        "virtual",
    ]
)

MAX_NAME = 40
"""Characters of a product's name."""
_NAME = re.compile(f"[a-z][a-z0-9_]{{0,{MAX_NAME - 1}}}")
_C_HEADERS = frozenset(
    "assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg stdatomic "
    "stdbit stdbool stdckdint stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar wchar "
    "wctype".split()
)


def _text(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


Size = Annotated[
    int,
    BeforeValidator(lambda v: units.parse_integer(v, units.SIZES, "100 KiB")),
    _text(r"^[0-9.]+ *(B|kB|KiB|MB|MiB)$", "100 KiB"),
]
Frequency = Annotated[
    int,
    BeforeValidator(lambda v: units.parse_integer(v, units.FREQUENCIES, "48 MHz")),
    _text(r"^[0-9.]+ *(Hz|kHz|MHz)$", "48 MHz"),
]
Time = Annotated[
    Fraction,
    BeforeValidator(lambda v: units.parse(v, units.TIMES, "100 us")),
    _text(r"^[0-9.]+ *(ns|us|ms|s)$", "100 us"),
]
Decibels = Annotated[
    float | None,
    BeforeValidator(lambda v: None if v == "none" else float(units.parse(v, units.RATIOS, "10 dB"))),
    _text(r"^([0-9.]+ *dB|none)$", "10 dB"),
]


def _allowance(known: Mapping[str, int], example: str) -> Any:
    """The type of an allowance in percent of what a figure was, or in one of the `known` units."""
    return (
        BeforeValidator(lambda v: v if isinstance(v, units.Allowance) else units.parse_allowance(v, known, example)),
        PlainSerializer(lambda a: a.text, return_type=str),
        _text(rf"^[0-9.]+ *({'|'.join([*known, '%'])})$", example),
    )


MoreBytes = Annotated[units.Allowance, *_allowance(units.SIZES, "256 B")]
MoreCycles = Annotated[units.Allowance, *_allowance(units.CYCLES, "1 %")]
LessAccuracy = Annotated[units.Allowance, *_allowance({}, "0.5 %")]
Line = Annotated[
    Literal[4, 8, 16, 32],
    BeforeValidator(lambda v: units.parse_integer(v, units.SIZES, "8 B")),
    _text(r"^(4|8|16|32) B$", "8 B"),
]
Cycles = Annotated[
    Literal[1, 32],
    BeforeValidator(lambda v: units.parse_integer(v, units.CYCLES, "1 cycle")),
    _text(r"^(1 cycle|32 cycles)$", "1 cycle"),
]


def product_name(value: Any) -> str:
    """A product's name: no other product's name followed by what stands behind one, and no other header's name.

    Raises ValueError.
    """
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(
            f"{value!r} cannot be a name in C, expected a-z, 0-9 and _, beginning with a letter, at most {MAX_NAME} "
            "characters, no keyword"
        )
    if value == "main":
        raise ValueError("'main' cannot be a name in C: it is the function in which a program begins")
    if value in _C_WORDS:
        raise ValueError(f"{value!r} cannot be a name in C: it is a keyword of C or C++")
    if "__" in value or value.endswith("_"):
        raise ValueError(f"{value!r} has two _ side by side or one at its end, which part it from what C names begin")
    if value == "chipfit" or value.startswith("chipfit_"):
        raise ValueError(f"{value!r} begins as the names of chipfit's own macros do")
    if value in _C_HEADERS:
        raise ValueError(f"{value}.h, the header of a product of this name, would hide that of C")
    return value


def _rows(value: Any) -> tuple[int, int]:
    matched = re.fullmatch(r"([0-9]{1,9})-([0-9]{1,9})", value) if isinstance(value, str) else None
    if matched is None or int(matched[1]) > int(matched[2]):
        raise ValueError(f"{value!r} is not a range of rows, expected for example 0-399")
    return int(matched[1]), int(matched[2])


# The table says which names there are, which a type checker cannot read.
if TYPE_CHECKING:
    CoreName = str
else:
    CoreName = Literal[tuple(CORES)]

Identifier = Annotated[str, BeforeValidator(product_name), _text("^[a-z](_?[a-z0-9]){0,39}$", "touch")]
Rows = Annotated[tuple[int, int], BeforeValidator(_rows), _text("^[0-9]+-[0-9]+$", "0-399")]


class Section(BaseModel):
    """Frozen, and every key known and with a value: of a limit left empty nobody would learn that it holds nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _is_given(cls, value: Any) -> Any:
        if value is None:
            raise ValueError("is empty, expected a value; without one leave out the key")
        return value


class Flash(Section):
    origin: int = Field(ge=0, lt=2**32, description="Address of the first byte")
    size: Size = Field(gt=0, description="All the flash that the chip has")
    wait_states: int = Field(0, ge=0, le=15, description="Extra cycles per access at this clock")
    line: Line = Field(4, description="What one read brings to the core")
    prefetch: bool = Field(False, description="Whether the chip reads the next line ahead")
    cache: Literal["none", "instructions", "all"] = Field("none", description="What the chip keeps of earlier reads")

    @property
    def timing(self) -> FlashTiming:
        return FlashTiming(self.wait_states, self.line, self.prefetch, self.cache)


class Ram(Section):
    origin: int = Field(0x2000_0000, ge=0, lt=2**32, description="Address of the first byte")
    size: Size = Field(gt=0, description="All the RAM that the chip has")


class ChipSpec(Section):
    """One chip: the facts that size and time depend on."""

    chip: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$", description="The chip's name")
    core: CoreName = Field(description="The processor core")
    clock: Frequency = Field(gt=0, description="The core's clock")
    fpu: bool = Field(False, description="Whether it has a floating-point unit; generated code never uses one")
    multiplier: Cycles = Field(1, description=f"Cycles of MULS: a silicon option of {with_slow_multiplier()}")
    flash: Flash
    ram: Ram
    manual: str = Field("", description="The vendor manual that these facts come from")
    notes: str = Field("", description="Anything else worth knowing")

    @model_validator(mode="after")
    def _check(self) -> "ChipSpec":
        if self.multiplier == 32 and not CORES[self.core].slow_multiplier:
            raise ValueError(f"a 32-cycle multiplier is not an option of {self.core}")
        return self


class ModelSection(Section):
    source: str = Field(min_length=1, description="The model file, relative to this YAML")


class DataSource(Section):
    """Samples in an .npz file."""

    file: str = Field(min_length=1, description="The .npz file, relative to this YAML")
    inputs: str | None = Field(None, description="Key of the inputs (default: calib, then x; x for evaluation)")
    labels: str | None = Field(None, description="Key of the labels (default: y)")
    rows: Rows | None = Field(None, description="Inclusive range of rows")
    scale: float | None = Field(None, gt=0, description="Integers become scale * (x - zero_point)")
    zero_point: float | None = Field(None, description="See scale")


Source = Annotated[DataSource, BeforeValidator(lambda v: {"file": v} if isinstance(v, str) else v)]


class DataSection(Section):
    calibration: Source | None = Field(None, description="Typical inputs; they choose the ranges of int8")
    evaluation: Source | None = Field(None, description="Held-out inputs with labels; they measure accuracy")


class Budget(Section):
    """What is free for the network, not what the chip has."""

    flash: Size | None = Field(None, gt=0, description="Flash for code and weights")
    ram: Size | None = Field(None, gt=0, description="Static RAM")
    stack: Size | None = Field(None, gt=0, description="Stack at the worst moment")
    latency: Time | None = Field(None, gt=0, description="One inference")


Weights = Literal["int8", "int7", "int6", "int5", "int4", "int3", "int2", "ternary"]


class LayerQuantization(Section):
    """What one layer has in place of the network's setting."""

    weights: Weights = Field(description="Width of this layer's weights")


class Quantization(Section):
    weights: Weights = Field("int8", description="Width of weights; int2 and ternary are -1, 0 and 1")
    layers: dict[str, LayerQuantization] = Field({}, description="By a layer's name, as plan.json has it")
    activations: Literal["int8", "int16"] = Field("int8", description="int16 for networks that lose accuracy at 8 bits")
    scales: Literal["per-channel", "per-tensor"] = Field("per-channel", description="Of weights")
    zero_points: Literal["asymmetric", "symmetric"] = Field("asymmetric", description="Of activations")
    calibration: Literal["min-max", "percentile", "mse"] = Field("mse", description="How ranges are chosen")
    percentile: float = Field(99.99, gt=50, le=100, description="For calibration: percentile")
    requantize: Literal["auto", "shift", "multiplier"] = Field(
        "auto", description="auto: shift on cores without a long multiply, multiplier elsewhere"
    )

    @property
    def widths(self) -> Widths:
        return Widths(BITS[self.weights], {n: BITS[layer.weights] for n, layer in self.layers.items()})


class Memory(Section):
    """Where the network's inputs, outputs and code live."""

    inputs: Literal["caller", "arena"] = Field("caller", description="arena: the library's memory, reused as it runs")
    outputs: Literal["caller", "arena"] = Field("caller", description="arena: the library's, until the next run")
    code: Literal["flash", "ram"] = Field(
        "flash", description="ram: what wait states slow down most may run from RAM, as far as budget.ram allows"
    )


Check = Literal["chance", "constant", "labels", "span"]


class Accuracy(Section):
    metric: Literal["top1"] = "top1"
    at_least: float | None = Field(None, ge=0, le=1, description="Share of evaluation samples right, as integers")
    max_drop: float | None = Field(None, ge=0, le=1, description="Float accuracy less integer accuracy")
    agreement: float | None = Field(None, ge=0, le=1, description="Share of samples on which float and integer agree")
    signal: Decibels = Field(10.0, description="Least signal over quantization noise of outputs and parts; or none")
    allow: tuple[Check, ...] = Field((), description="Checks of the data and the answers that may fail")


class Simulation(Section):
    vectors: int = Field(32, ge=1, le=10_000, description="Real inputs run on the emulated chip, bit for bit")


class Regression(Section):
    """How much worse than the product's lock says a build may be."""

    flash: MoreBytes | None = Field(None, description="Bytes of flash, or percent of the lock's, more")
    ram: MoreBytes | None = Field(None, description="Bytes of RAM, or percent of the lock's, more")
    stack: MoreBytes | None = Field(None, description="Bytes of stack, or percent of the lock's, more")
    cycles: MoreCycles | None = Field(None, description="Cycles, or percent of the lock's, more")
    accuracy: LessAccuracy | None = Field(None, description="Percent of all samples that may be wrong in addition")


class ProjectConfig(Section):
    """One product: a model, a chip, what is free on it, and how good the result must be."""

    product: Identifier = Field(description="Prefix of every C name and folder under build/")
    model: ModelSection
    data: DataSection = DataSection()
    chip: str | ChipSpec = Field(description="A chip's name, or its facts given inline")
    chips: str | None = Field(None, min_length=1, description="A folder of your own chips, relative to this YAML")
    budget: Budget = Budget()
    quantization: Quantization = Quantization()
    memory: Memory = Memory()
    optimize: Literal["latency", "flash"] = Field(
        "latency", description="latency: fewest cycles within the free flash; flash: least flash within the latency"
    )
    accuracy: Accuracy = Accuracy()
    toolchain: Literal["ziglang", "gcc"] = Field("ziglang", description="gcc is arm-none-eabi-gcc from PATH")
    simulate: Simulation = Simulation()
    regression: Regression = Regression()
