"""Decisions of calibration taken out of a quantization, and a quantization that takes them instead of making them."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace

import numpy as np

from pipeline.facts.artifact import sha256, to_json
from pipeline.facts.decisions import (
    ActivationDecision,
    Decisions,
    LayerDecision,
    exact_scale,
    in_one_text,
    of_each_channel,
    scale_of,
)
from pipeline.facts.errors import ChipfitError
from pipeline.facts.weight_bits import largest_weight
from pipeline.graph.tensor import Array, QuantParams
from pipeline.quantizing.calibrate import Histogram
from pipeline.quantizing.linear_integers import ChangedChannels, LinearIntegers
from pipeline.quantizing.weight_rounding import LEAST_SCALE, WeightRounding

_LINE = 76
"""Characters of base64 in a line."""
_LARGEST_SHIFT, _LARGEST_SCALE = 127, 2.0**127
_NONE = np.zeros(0)


def decisions_of(
    params: Mapping[str, QuantParams], observed: Mapping[str, Histogram], layers: Mapping[str, LayerDecision]
) -> Decisions:
    """What was decided: `params` of every activation that was `observed`, and `layers`, by name."""
    activations = {
        name: ActivationDecision(
            exact_scale(params[name].scale[0]), params[name].zero_point, _shortest(seen.low), _shortest(seen.high)
        )
        for name, seen in observed.items()
    }
    return Decisions(activations, dict(layers))


def observed_of(decisions: Decisions) -> dict[str, Histogram]:
    """The extremes that calibration data had, without the values between them."""
    return {
        name: Histogram(float(np.float32(a.low)), float(np.float32(a.high)), _NONE, _NONE)
        for name, a in decisions.activations.items()
    }


def decided_params(decisions: Decisions, members: Sequence[str], dtype: str) -> QuantParams:
    """The parameters that tensors `members`, which share theirs, have in `decisions`; raises ChipfitError for none."""
    found = {}
    for name in members:
        decided = decisions.activations.get(name)
        if decided is None:
            raise ChipfitError(f"tensor {name!r} has no scale in the lock")
        found[decided.scale, decided.zero_point] = name
    if len(found) > 1:
        first, second = list(found.values())[:2]
        raise ChipfitError(f"tensors {first!r} and {second!r} share a scale, but not in the lock")
    ((scale, zero_point),) = found
    params = QuantParams((_scale(scale, f"tensor {members[0]!r}"),), zero_point, None, dtype)
    if not params.limits[0] <= zero_point <= params.limits[1] or (zero_point and dtype != "int8"):
        raise ChipfitError(f"the lock: tensor {members[0]!r}: {zero_point} is no zero point of {dtype}")
    return params


def layer_decision(integers: LinearIntegers, kernel: Array, bits: int | None) -> LayerDecision:
    """What was decided about a layer of float weights `kernel` (out, taps); `bits` where they were fitted to data."""
    arrays = (integers.weights, integers.bias, integers.shift, integers.multiplier)
    described = [None if a is None else [a.dtype.name, sha256(np.ascontiguousarray(a).tobytes())] for a in arrays]
    by_shift = integers.kind == "shift"
    decision = LayerDecision(
        requantizer=integers.kind,
        integers=sha256(to_json([integers.kind, *described]))[:16],
        shift=in_one_text(integers.shift.tolist()) if by_shift else None,
        changed=None if integers.changed is None else astuple(integers.changed),
    )
    if bits is None:
        return decision
    nearest, other = _neighbours(kernel, integers.scales, largest_weight(bits))
    weights = integers.weights.astype(np.int64)
    constant = np.flatnonzero(~((weights == nearest) | (weights == other)).all(axis=1))
    assert not weights[constant].any()
    farther = weights != nearest
    farther[constant] = False
    return replace(
        decision,
        scales=None if by_shift else in_one_text([exact_scale(s) for s in integers.scales.tolist()]),
        bias=in_one_text(integers.bias.tolist()),
        rounding=_base64(np.packbits(farther).tobytes()) if farther.any() else "",
        constant=" ".join(map(str, constant.tolist())) or None,
    )


class LockedRounding(WeightRounding):
    """Weights, bias and scales of a layer of fitted weights as a lock has them, checked like those that are computed.

    Raises ChipfitError where the lock cannot be about this layer.
    """

    kind = "once"

    def __init__(self, kernel: Array, bias: Array, bits: int, decision: LayerDecision, layer: str, x: QuantParams):
        super().__init__(kernel, bias, True)
        self.decision, self.layer, self.limit, self.x = decision, layer, largest_weight(bits), x
        if (decision.requantizer == "shift") == (decision.shift is None):
            raise self._refusal(f"has the requantizer {decision.requantizer} and, of shift and scales, the wrong one")
        self.locked_bias = self._numbers("bias", decision.bias)
        self.locked_scales = np.zeros(0)

    def shifts(self, ratio: float, demanded: bool) -> Array:
        if self.decision.shift is None:
            return np.full(len(self.kernel), -1, np.int64)
        shifts = self._numbers("shift", self.decision.shift)
        if shifts.min() < 0 or shifts.max() > _LARGEST_SHIFT:
            raise self._refusal(f"has shifts that are not within 0 and {_LARGEST_SHIFT}")
        return shifts.astype(np.int64)

    def scales(self, ratio: float) -> Array:
        if self.decision.shift is not None:
            self.locked_scales = ratio * 2.0 ** -self.shifts(ratio, True)
            return self.locked_scales
        texts = of_each_channel(self.decision.scales or "", len(self.kernel), f"the lock: layer {self.layer!r}: scales")
        self.locked_scales = np.array([_scale(t, f"layer {self.layer!r}") for t in texts])
        return self.locked_scales

    def weights(self, scales: Array) -> Array:
        if (scales != self.locked_scales).any():
            raise self._refusal("has a bias, or sums, that are too large at its scales")
        nearest, other = _neighbours(self.kernel, scales, self.limit)
        weights = np.where(self._farther(), other, nearest)
        for channel in (self.decision.constant or "").split():
            if not 0 <= int(channel) < len(weights):
                raise self._refusal(f"has {len(weights)} channels, none is number {channel}")
            weights[int(channel)] = 0
        return weights.astype(np.int8)

    def shifted_bias(self, weights: Array, scales: Array) -> Array:
        shifted: Array = self.locked_bias * (scales * self.x.scale[0])
        return shifted

    def _farther(self) -> Array:
        """Whether each weight is the farther of its two neighbours: (out, taps)."""
        text = (self.decision.rounding or "").replace("\n", "")
        if not text:
            return np.zeros(self.kernel.shape, bool)
        wanted = -(-self.kernel.size // 8)
        try:
            packed = base64.b64decode(text, validate=True)
        except binascii.Error:
            packed = b""
        if len(packed) != wanted:
            raise self._refusal(f"takes {wanted} bytes of rounding, in base64; the lock has {len(packed)}")
        bits = np.unpackbits(np.frombuffer(packed, np.uint8))[: self.kernel.size]
        return bits.reshape(self.kernel.shape).astype(bool)

    def _numbers(self, field: str, text: str | None) -> Array:
        texts = of_each_channel(text or "", len(self.kernel), f"the lock: layer {self.layer!r}: {field}")
        return np.array([int(t) for t in texts], np.float64)

    def _refusal(self, why: str) -> ChipfitError:
        return ChipfitError(f"the lock: layer {self.layer!r} {why}")


def locked_changes(integers: LinearIntegers, decision: LayerDecision) -> LinearIntegers:
    """The integers with what they say of channels that differ from their weights, as it was when they were computed."""
    return replace(integers, changed=None if decision.changed is None else ChangedChannels(*decision.changed))


def _neighbours(kernel: Array, scales: Array, limit: int) -> tuple[Array, Array]:
    """Integers of `kernel` at `scales`, within +-limit: the nearest, and the nearest on the other side."""
    target = kernel / scales[:, None]
    low, high = np.clip(np.floor(target), -limit, limit), np.clip(np.ceil(target), -limit, limit)
    nearest = np.clip(np.rint(target), -limit, limit)
    return nearest.astype(np.int64), (low + high - nearest).astype(np.int64)


def _base64(data: bytes) -> str:
    text = base64.b64encode(data).decode("ascii")
    lines = [text[i : i + _LINE] for i in range(0, len(text), _LINE)]
    return text if len(lines) == 1 else "\n".join(lines) + "\n"


def _scale(text: str, of: str) -> float:
    try:
        scale = scale_of(text)
    except ValueError as error:
        raise ChipfitError(f"the lock: {of}: {error}") from error
    if not LEAST_SCALE <= scale <= _LARGEST_SCALE:
        raise ChipfitError(f"the lock: {of}: float32 has no normal number for the scale {text}")
    return scale


def _shortest(value: float) -> float:
    """The float with the fewest digits that is `value` in float32."""
    return float(str(np.float32(value)))
