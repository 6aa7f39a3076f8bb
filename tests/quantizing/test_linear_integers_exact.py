"""Layers with dead, stepping and constant channels: C and machine code compute what was solved."""

from pathlib import Path

import numpy as np
import pytest
from building import assert_chip_equals, build, on_chip, on_host, write_library
from conftest import need
from every_variant import every_variant
from test_calibrate import clipped

from pipeline.ops.shared.samples import Sample, one_node

FACTORS = np.array([1, 1e-8, 0, 1e8, 1e-30, 1e-3, -1e8, 1.0])
BIASES = np.array([0.1, 0.5, -0.4, 0.0, 0.3, 0.0, 1e20, -1e12], np.float32)
UNDEFINED = ("-O1", "-fsanitize=undefined", "-fno-sanitize-recover")


def extreme(kind: str, low: float, steps: bool = True, taps: int = 24) -> Sample:
    """A clipped layer whose channels are ordinary, dead, steps and constants."""
    factors = FACTORS if steps else np.where(np.abs(FACTORS) > 1, 0.5, FACTORS)
    shape, x = {
        "dense": ((8, taps), (1, taps)), "conv": ((8, 3, 3, 3), (1, 3, 6, 6)), "depthwise": ((8, 1, 3, 3), (1, 8, 6, 6))
    }[kind]  # fmt: skip
    kernel = np.random.default_rng(0).standard_normal(shape) * factors.reshape(-1, *[1] * (len(shape) - 1))
    constants = {"w": kernel.astype(np.float32), "b": BIASES}
    if kind == "dense":
        return clipped(one_node("Gemm", {"x": x}, constants, transB=1), low, 1.0)
    group = 8 if kind == "depthwise" else 1
    return clipped(one_node("Conv", {"x": x}, constants, pads=[1, 1, 1, 1], group=group), low, 1.0)


@pytest.mark.parametrize("activations", ["int8", "int16"])
@pytest.mark.parametrize("steps", [True, False])
def test_extreme_channels_are_exact_in_c_and_on_the_chip(activations: str, steps: bool, tmp_path: Path) -> None:
    need("gcc")
    sample = extreme("dense", 0.0, steps)
    inputs = tuple(sample.inputs(8).values())
    built = build(sample.model, inputs, inputs, "auto", activations=activations)
    (proof,) = built.quantized.proofs
    assert proof.requantizer == ("shift" if activations == "int8" and not steps else "once")
    assert proof.changed is not None and proof.changed.step == int(steps) and proof.changed.constant >= 2
    library = write_library(built, tmp_path, "cortex-m0", built.program)
    for ours, expected in zip(on_host(built, library, "gcc", UNDEFINED), built.expected, strict=True):
        np.testing.assert_array_equal(ours, expected)
    assert_chip_equals(built, on_chip(built, library, "cortex-m0", count=4))


@pytest.mark.exhaustive
@pytest.mark.parametrize("requantizer", ["auto", "multiplier"])
@pytest.mark.parametrize("low", [0.0, -1.0])
@pytest.mark.parametrize("steps", [True, False])
@pytest.mark.parametrize("kind", ["dense", "conv", "depthwise"])
def test_extreme_channels_are_exact_in_every_variant(
    kind: str, steps: bool, low: float, requantizer: str, tmp_path: Path
) -> None:
    sample = extreme(kind, low, steps)
    inputs = tuple(sample.inputs(8).values())
    every_variant({kind: build(sample.model, inputs, inputs, requantizer)}, tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("activations", ["int8", "int16"])
def test_extreme_channels_of_many_taps_are_exact_in_c(activations: str, tmp_path: Path) -> None:
    need("gcc")
    sample = extreme("dense", 0.0, taps=4000)
    inputs = tuple(sample.inputs(8).values())
    built = build(sample.model, inputs, inputs, "auto", activations=activations)
    library = write_library(built, tmp_path, "cortex-m0", built.program)
    for ours, expected in zip(on_host(built, library, "gcc", UNDEFINED), built.expected, strict=True):
        np.testing.assert_array_equal(ours, expected)
