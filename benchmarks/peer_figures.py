"""Cycles and bytes of others' code for the same networks, each figure with its source.

Emulated: others' code, built with its best flags, run by this project's maintainers in this emulator with this timing
table, outside this repository; not rebuilt by the benchmark. Silicon: published by its authors, never run here.
"""

import re
from dataclasses import dataclass

EMULATED = "emulated here by the same timing table (best flags of each), zero wait states"
SILICON = "silicon, MLPerf Tiny closed division: latency x clock, STM32G0B1 at 64 MHz, 2 wait states, Bosch HALE v1.2"


@dataclass(frozen=True)
class Peer:
    """One figure of another's: cycles per inference, and bytes where they are known (`code` without weights)."""

    product: str
    name: str
    cycles: int
    source: str
    code: int | None = None
    ram: int | None = None


M0 = (
    Peer("touch", "TFLM + CMSIS-NN", 24_488, EMULATED, 31_600),
    Peer("touch", "CMSIS-NN called directly, LTO", 20_172, EMULATED, 2_100),
    Peer("digits_mlp", "NNoM, shape run", 21_837, EMULATED),
    Peer("digits_mlp", "IREE int8", 187_372, EMULATED),
    Peer("digits_mlp", "onnx2c int8", 201_495, EMULATED),
    Peer("digits_mlp", "onnx2c float", 659_628, EMULATED),
    Peer("digits", "NNoM, shape run", 562_711, EMULATED),
    Peer("digits", "onnx2c int8, wrong results", 1_178_361, EMULATED),
    Peer("cnn_8x8", "NNoM, shape run", 562_711, EMULATED),
    Peer("cnn_8x8", "onnx2c int8, wrong results", 1_178_361, EMULATED),
    Peer("kws", "TFLM + CMSIS-NN", 41_900_000, EMULATED, 57_900, 22_820),
    Peer("kws", "CMSIS-NN called directly, LTO", 39_800_000, EMULATED, 10_900, 16_160),
    Peer("kws", "CMSIS-NN, patched", 32_400_000, EMULATED),
    Peer("vww", "TFLM + CMSIS-NN", 125_800_000, EMULATED, 57_900, 100_708),
    Peer("vww", "CMSIS-NN called directly, LTO", 120_600_000, EMULATED, 18_700, 64_624),
    Peer("vww", "CMSIS-NN, patched", 97_900_000, EMULATED),
    Peer("ic", "TFLM + CMSIS-NN", 142_200_000, EMULATED, 57_800, 54_980),
    Peer("ic", "CMSIS-NN called directly, LTO", 137_500_000, EMULATED, 12_500, 51_456),
    Peer("ad", "TFLM + CMSIS-NN", 2_470_000, EMULATED, 31_600, 2_580),
    Peer("ad", "CMSIS-NN called directly, LTO", 2_450_000, EMULATED, 3_200, 784),
)
"""Cortex-M0. No figure on silicon has ever been published for it."""

M0_PLUS = (
    Peer("kws", "Bosch HALE", 30_400_000, SILICON),
    Peer("vww", "Bosch HALE", 90_500_000, SILICON),
    Peer("ic", "Bosch HALE", 97_400_000, SILICON),
    Peer("ad", "Bosch HALE", 2_620_000, SILICON),
)
"""Cortex-M0+: the only entry there is."""


def best(peers: tuple[Peer, ...], product: str) -> Peer | None:
    """The fastest of those that compute the product's network, right results only."""
    shape = re.sub("(_(int8|int6|int4|shift|flash|ram))+$", "", product)
    right = [p for p in peers if p.product == shape and "wrong" not in p.name]
    return min(right, key=lambda p: p.cycles, default=None)
