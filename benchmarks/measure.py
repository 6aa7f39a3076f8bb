"""Build a product through the stages and say what it costs: the one way benchmark and test measure by."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from models import ROOT, SHARED

from pipeline.facts.config import load_project
from pipeline.measuring.footprint.size_file import SizeFile
from pipeline.measuring.simulate_file import RunLayer, SimulateFile
from pipeline.planning.plan_file import PlanFile
from stages import STAGES
from stages.base import Job, applicable
from stages.execution import execute

OWN = ROOT / "configs" / "models"
TINY = SHARED / "mlperf_tiny"

IDEAL_M0 = """{chip: cortex-m0-ideal, core: cortex-m0, clock: 48 MHz, multiplier: 1 cycle,
  flash: {origin: 0x00000000, size: 1 MiB, wait_states: 0, prefetch: false},
  ram: {origin: 0x20000000, size: 256 KiB}, manual: no chip; DDI 0432C}"""
CHIPS = {"m0": IDEAL_M0, "m0plus": "stm32g0b1"}
"""The ideal chip has no wait states and room for everything, so that its cycles are the code's alone; the STM32G0B1
is the M0+ that others have published figures for."""


@dataclass(frozen=True)
class Product:
    """One network of the benchmark. `cheap` ones are measured in every test run; the rest need minutes."""

    name: str
    title: str
    model: Path
    data: str = ""
    more: str = ""
    cheap: bool = False
    chips: tuple[str, ...] = ("m0", "m0plus")

    def yaml(self, chip: str) -> str:
        return (
            f"product: {self.name}\nmodel: {{source: {self.model}}}\nchip: {CHIPS[chip]}\n"
            f"{self.data}{self.more}simulate: {{vectors: 1}}\n"
        )


def _both(file: Path) -> str:
    return f"data: {{calibration: {file}, evaluation: {file}}}\n"


def _vectors(name: str) -> str:
    return f"data: {{evaluation: {{file: {TINY / name}.vectors.npz, inputs: input}}}}\n"


def _tiny(name: str, title: str, model: str) -> Product:
    return Product(name, title, TINY / f"{model}.tflite", _vectors(model))


_KWS_500 = TINY / "kws_500.npz"
_KWS_ROWS = f"file: {_KWS_500}, inputs: x, scale: 0.5847, zero_point: 83"
_FIRST = SHARED / "first"

_SMALL = (("kws", "kws_ref_model"), ("vww", "vww_96_int8"), ("ic", "pretrainedResnet_quant"), ("ad", "ad01_int8"))
_TITLES = {"kws": "KWS DS-CNN", "vww": "VWW MobileNetV1 0.25", "ic": "IC ResNet8", "ad": "AD autoencoder"}
_INT5 = "quantization: {weights: int5}\n"
_INT5_INT4 = "quantization: {weights: int5, layers: {/0/Gemm: {weights: int4}}}\n"
_LAST_TWO = ", ".join(f"model/conv2d_{n}/BiasAdd: {{weights: int4}}" for n in (3, 4))
_FLASH = "optimize: flash\n"
_RAM = "budget: {ram: 136 KiB}\nmemory: {code: ram}\n"
_FROM_FLOAT = f"data: {{calibration: {{{_KWS_ROWS}, rows: 400-499}}, evaluation: {{{_KWS_ROWS}, rows: 0-399}}}}\n"

PRODUCTS = (
    Product("touch", "MLP 30-32-16-4 HardTanh, int5", OWN / "touch.onnx", _both(OWN / "touch.npz"), _INT5, cheap=True),
    Product("touch_int8", "the same, int8", OWN / "touch.onnx", _both(OWN / "touch.npz"), cheap=True),
    Product(
        "digits_mlp",
        "MLP 64-32-16-10 HardTanh, int5, first layer int4",
        OWN / "digits_mlp.onnx",
        _both(OWN / "digits_mlp.npz"),
        _INT5_INT4,
        cheap=True,
    ),
    Product("digits_mlp_int8", "the same, int8", OWN / "digits_mlp.onnx", _both(OWN / "digits_mlp.npz"), cheap=True),
    Product("digits", "CNN 8x8 HardTanh", OWN / "digits.onnx", _both(OWN / "digits.npz"), cheap=True),
    Product(
        "cnn_8x8",
        "CNN 8x8 HardTanh, another's training",
        _FIRST / "cnn_hardtanh_8x8.torchscript.onnx",
        _both(_FIRST / "cnn_hardtanh_8x8.npz"),
    ),
    *(_tiny(n, _TITLES[n], m) for n, m in _SMALL),
    Product(
        "kws_shift",
        "KWS DS-CNN from float, shifts",
        TINY / "kws_float.onnx",
        _FROM_FLOAT,
        "quantization: {requantize: shift}\n",
    ),
    Product(
        "kws_shift_int6",
        "the same, int6, its last two layers int4",
        TINY / "kws_float.onnx",
        _FROM_FLOAT,
        f"quantization: {{requantize: shift, weights: int6, layers: {{{_LAST_TWO}}}}}\n",
    ),
    Product(
        "kws_int4",
        "KWS DS-CNN from float, int4",
        TINY / "kws_float.onnx",
        _FROM_FLOAT,
        "quantization: {weights: int4}\n",
    ),
    *(replace(_tiny(n, f"{n.upper()} in the least flash", m), name=f"{n}_flash", more=_FLASH) for n, m in _SMALL),
    *(
        replace(_tiny(n, f"{n.upper()}, what pays in RAM", m), name=f"{n}_ram", more=_RAM, chips=("m0plus",))
        for n, m in _SMALL
    ),
)


@dataclass(frozen=True)
class Layer:
    name: str
    kernel: str
    macs: int
    cycles: int


@dataclass(frozen=True)
class Measured:
    """One product on one chip. Sizes are bytes; `cycles` assume no wait states, `cycles_waiting` all the chip's."""

    macs: int
    cycles: int
    cycles_waiting: int
    instructions: int
    code: int
    constants: int
    ram: int
    stack: int
    layers: tuple[Layer, ...] = field(default=(), compare=False)

    @property
    def bound_ratio(self) -> float:
        """Cycles over the lower bound of the packed multiply: MULS and ADDS for two multiply-accumulates, 1 each."""
        return self.cycles / self.macs

    @property
    def flash(self) -> int:
        return self.code + self.constants


# What has multiply-accumulates by the rules of the plan but no weights: everybody leaves them out of a network's MACs.
_WITHOUT_WEIGHTS = ("average_pool", "unpadded_pool", "mean", "mul_", "prelu", "affine", "broadcast")


def _layer(call: RunLayer) -> Layer:
    """Importers join the names of what was folded; the first says which layer it is."""
    macs = 0 if call.kernel.startswith(_WITHOUT_WEIGHTS) else call.macs
    return Layer(call.name.partition(";")[0], call.kernel, macs, call.zero_wait)


def worst_layer(layers: tuple[Layer, ...]) -> Layer:
    """The layer furthest from the lower bound among those that matter: 1 % of the MACs or more."""
    least = sum(layer.macs for layer in layers) / 100
    return max((x for x in layers if x.macs and x.macs >= least), key=lambda x: x.cycles / x.macs)


@contextmanager
def build(product: Product, chip: str) -> Iterator[Job]:
    """Every stage's results, until the block ends; ChipfitError when a stage fails, or an output is not bit-exact."""
    with tempfile.TemporaryDirectory(prefix="chipfit-") as scratch:
        path = Path(scratch) / f"{product.name}.yaml"
        path.write_text(product.yaml(chip), "utf-8")
        job = Job(load_project(path), Path(scratch) / "build")
        for stage in STAGES:
            if applicable(stage, job.project):
                execute(stage, job)
        vectors = job.record("simulate", "simulate.json", SimulateFile).vectors
        wrong = vectors.mismatches + vectors.host_mismatches
        if wrong:
            raise AssertionError(f"{product.name} on {chip}: {wrong} vectors are not bit-exact")
        yield job


def records(job: Job) -> tuple[SizeFile, SimulateFile, PlanFile]:
    """What a build's size-check, simulate and codegen wrote."""
    return (
        job.record("size-check", "size.json", SizeFile),
        job.record("simulate", "simulate.json", SimulateFile),
        job.record("codegen", "plan.json", PlanFile),
    )


def measure(product: Product, chip: str = "m0") -> Measured:
    """Build and emulate."""
    with build(product, chip) as job:
        size, run, plan = records(job)
    layers, stack = tuple(_layer(x) for x in run.layers), size.stack.worst_case
    assert stack is not None, f"{product.name}: {size.stack.unknown}"
    return Measured(
        macs=sum(x.macs for x in layers) + plan.left_out.macs,
        cycles=run.cycles.zero_wait,
        cycles_waiting=run.cycles.max,
        instructions=run.instructions,
        code=size.flash.code,
        constants=size.flash.constants + size.flash.data,
        ram=size.ram.used,
        stack=stack,
        layers=layers,
    )


def is_present(product: Product) -> bool:
    """Whether the product's model file is there: those of other people are not part of this repository."""
    return product.model.is_file()


# What a regression is: one of these grew by more than the allowance. Instructions follow cycles and are not judged.
JUDGED = ("cycles", "flash", "ram", "stack")
ALLOWANCE = 0.01
GOLDEN = Path(__file__).parent / "golden" / "cortex_m0.json"


def record(measured: Measured) -> dict[str, int]:
    return {
        "macs": measured.macs,
        "cycles": measured.cycles,
        "cycles_waiting": measured.cycles_waiting,
        "instructions": measured.instructions,
        "code": measured.code,
        "constants": measured.constants,
        "flash": measured.flash,
        "ram": measured.ram,
        "stack": measured.stack,
    }


def golden() -> dict[str, dict[str, dict[str, int]]]:
    """Golden values by chip, then by product, as `--update` wrote them."""
    values: dict[str, dict[str, dict[str, int]]] = json.loads(GOLDEN.read_text("utf-8"))
    return values


def regressions(chip: str, product: str, measured: Measured, golden_values: dict[str, int]) -> Iterator[str]:
    """One line for each judged value that grew by more than the allowance."""
    for key, new in record(measured).items():
        old = golden_values[key]
        if key in JUDGED and new > old * (1 + ALLOWANCE):
            share = f" ({100 * (new / old - 1):+.1f} %)" if old else ""
            yield f"{product} on {chip}: {key} grew from {old:,} to {new:,}{share}"
