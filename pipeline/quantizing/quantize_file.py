"""quantize.json: what quantization cost, and with whose answers the integer network was compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pipeline.facts.records import Key


@dataclass(frozen=True)
class Accuracy:
    """Shares of right answers of the integer network and of the model file, and of equal ones; None where unknown."""

    integer: float | None
    real: Annotated[float | None, Key("float")]
    agreement: float | None


@dataclass(frozen=True)
class WorstInput:
    """A sample, its largest error, and the class that each network says."""

    sample: int
    error: float
    float_class: int
    integer_class: int


@dataclass(frozen=True)
class TensorError:
    """An activation: its real range, its scale, signal over noise (None: no noise), the share of saturated values."""

    name: str
    low: float
    high: float
    scale: float
    zero_point: int
    sqnr_db: float | None
    saturated: float


@dataclass(frozen=True)
class Signal:
    """Signal over noise of a part of a tensor, None for no noise at all; `limit_db` where no other limit is meant."""

    tensor: str
    part: str
    signal_db: float | None
    limit_db: float | None = None


@dataclass(frozen=True)
class ChangedChannels:
    """How many channels became what (see `linear_integers`), and by how many output steps one can be off."""

    constant: int
    step: int
    coarser: int
    largest_error: float


@dataclass(frozen=True)
class LayerProof:
    """That a layer's accumulator cannot overflow."""

    name: str
    requantizer: str
    accumulator_bound: int
    accumulator_headroom_bits: float
    channels: ChangedChannels | None


@dataclass(frozen=True)
class OutputDistance:
    """How many outputs of how many samples differ in ONNX Runtime, and by how much at most."""

    samples: int
    outputs: int
    differing: int
    largest_difference_lsb: int


@dataclass(frozen=True)
class Answers:
    """Classes that there are, that each network ever answers, that the labels have, and the labels' range."""

    classes: int | None
    integer: int
    real: Annotated[int | None, Key("float")]
    truth: int | None
    labels: tuple[int, int] | None


@dataclass(frozen=True)
class InputRange:
    """An input's range as integers, that of the data, and the share of data more than a step outside."""

    name: str
    range: tuple[float, float]
    data: tuple[float, float]
    outside: float


@dataclass(frozen=True)
class Difference:
    """One tensor of the model file, and the layer that makes it here.

    `unexplained` of its `values` are farther from what the framework has before it rounds than the rounding rule
    allows, which is `allowed` steps where it is most; `steps` is the largest difference of all, `first` the first
    unexplained sample.
    """

    tensor: str
    layer: str
    values: int
    differing: int
    unexplained: int
    steps: int
    allowed: float
    first: int | None


@dataclass(frozen=True)
class Compared:
    """A comparison with the framework `against`; None where there was none, for the reason `why`."""

    against: str | None
    why: str
    samples: int
    tensors: int
    values: int
    differing: int
    unexplained: int
    largest_difference: int
    left_out: tuple[str, ...]
    first: Difference | None


@dataclass(frozen=True)
class Attempt:
    """Another way to quantize, and the signal that the part with the least then has; None for no noise."""

    what: str
    signal_db: float | None


@dataclass(frozen=True)
class QuantizeFile:
    """`confusion` has a row for each true class; `signal_tried` is there where a float network was quantized."""

    samples: int
    accuracy: Accuracy
    confusion: tuple[tuple[int, ...], ...] | None
    worst_inputs: tuple[WorstInput, ...]
    tensors: tuple[TensorError, ...]
    signal: tuple[Signal, ...]
    layers: tuple[LayerProof, ...]
    qdq: OutputDistance | None
    answers: Answers
    inputs: tuple[InputRange, ...]
    faithful: Compared | None
    export: Compared | None
    signal_tried: tuple[Attempt, ...] | None = None


def least_signal(rows: Sequence[Signal], limit: float | None) -> Signal | None:
    """The part with the least signal, when that is below `limit` decibels."""
    known = [(r.signal_db, r) for r in rows if r.signal_db is not None]
    decibels, least = min(known, key=lambda x: x[0], default=(0.0, None))
    return None if least is None or limit is None or decibels >= limit else least
