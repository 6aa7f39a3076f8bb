"""Weights of less than eight bits: the scale and the rounding that change a layer's output least.

A layer's output moves by e . x where e is the weights' error; its mean goes into the bias, and what is left is
e' C e, with C the covariance of x on calibration data (Nagel et al., "Up or Down? Adaptive Rounding for
Post-Training Quantization", arXiv:2004.10568; "Data-Free Quantization Through Weight Equalization and Bias
Correction", arXiv:1906.04721). Without calibration data C is the identity and e' C e the squared error of the weights.
"""

import numpy as np

from pipeline.arithmetic.fixedpoint import largest_shift
from pipeline.facts.weight_bits import largest_weight
from pipeline.graph.tensor import Array
from pipeline.quantizing.calibrate import rounded_up_scale
from pipeline.quantizing.input_statistics import InputStatistics
from pipeline.quantizing.weight_rounding import LEAST_SCALE, SATURATING_SHIFT, WeightRounding, zero_weights_scale

_DAMPING = 0.01
"""Share of the mean variance that is added to each variance: calibration data never show everything."""
_MAX_SWEEPS, _CANDIDATE_SWEEPS = 8, 2
"""Most passes over all taps of a layer for its final integers, and for those by which candidate scales are compared."""
_SCALE_FACTORS = 0.1 ** (np.arange(24) / 23)
"""Scales tried, as parts of the one that reaches the largest weight: a smaller one cuts some off."""
_SHIFT_CANDIDATES = 4
"""Number of powers of two tried, from the one that reaches the largest weight."""
_MAX_ERROR_RATIO, _NEGLIGIBLE_ERROR = 1.2, 0.005
"""`auto` takes shifts for their speed if they err so many times as much as free scales, or so little of the output."""


class LowBitRounding(WeightRounding):
    """Weights in [-peak, peak] of `bits`, each channel at the scale (or all at the one) that errs least.

    One step of a sum is most of an output's step here: to round twice, as TensorFlow Lite does, would show.
    """

    kind = "once"

    def __init__(
        self, kernel: Array, bias: Array, per_channel: bool, bits: int, statistics: InputStatistics | None
    ) -> None:
        super().__init__(kernel, bias, per_channel)
        self.limit = largest_weight(bits)
        taps = kernel.shape[1]
        self.mean = np.zeros((1, taps)) if statistics is None else statistics.mean
        self.covariance = np.ones((1, taps)) if statistics is None else statistics.covariance
        if self.covariance.ndim == 3:
            average = np.trace(self.covariance, axis1=1, axis2=2) / taps
            self.covariance = self.covariance + _damping(average)[:, None, None] * np.eye(taps)
        else:
            self.covariance = self.covariance + _damping(self.covariance.mean(axis=1, keepdims=True))
        self.group_count = len(self.covariance)

    def shifts(self, ratio: float, demanded: bool) -> Array:
        """For each channel the shift n whose weight scale is ratio * 2**-n.

        Negative where none can be represented, and, unless `shift` is demanded, where a free scale would err much less.
        """
        largest = np.array([largest_shift(ratio, float(p) * 127.0 / self.limit) for p in self.peaks])
        saturating = largest <= -SATURATING_SHIFT
        candidates = np.array([np.clip(largest + i, 0, 24) for i in range(_SHIFT_CANDIDATES)])
        if (largest + _SHIFT_CANDIDATES <= 0)[~saturating].any():
            return np.full(len(largest), -1)
        errors = self._candidate_errors(ratio * 2.0**-candidates)
        best = (self._best_candidates(errors), np.arange(len(largest)))
        if not demanded:
            free_scales = self.scales(ratio)
            free_error, zero_weights_error = (
                self._channel_errors(w, free_scales)[~saturating].sum()
                for w in (self.weights(free_scales), np.zeros_like(self.kernel))
            )
            if errors[best][~saturating].sum() > max(
                _MAX_ERROR_RATIO * free_error, _NEGLIGIBLE_ERROR * zero_weights_error
            ):
                return np.full(len(largest), -1)
        return np.where(saturating, largest, candidates[best]).astype(np.int64)

    def scales(self, ratio: float) -> Array:
        peaks = np.where(self.peaks > 0, np.maximum(self.peaks, LEAST_SCALE * 1024), 127 * zero_weights_scale(ratio))
        candidates = np.array([[rounded_up_scale(float(p * f / self.limit)) for p in peaks] for f in _SCALE_FACTORS])
        errors = self._candidate_errors(candidates)
        scales: Array = candidates[self._best_candidates(errors), np.arange(len(peaks))]
        if not self.per_channel:
            return scales
        refined = self._least_squares_scales(self.weights(scales), scales)
        alternatives = np.array([scales, np.minimum(refined, candidates[0])])
        best: Array = alternatives[self._best_candidates(self._candidate_errors(alternatives)), np.arange(len(peaks))]
        return best

    def weights(self, scales: Array) -> Array:
        """Coordinate descent on e' C e from the nearest integers: never worse than they are."""
        return self._rounded(scales, _MAX_SWEEPS)

    def _rounded(self, scales: Array, sweeps: int) -> Array:
        parts = [
            _coordinate_descent(k, s, c, self.limit, sweeps)
            for k, s, c in zip(self._by_group(self.kernel), self._by_group(scales), self.covariance, strict=True)
        ]
        return np.concatenate(parts).astype(np.int8)

    def shifted_bias(self, weights: Array, scales: Array) -> Array:
        error = self.kernel - weights * scales[:, None]
        mean_errors = [e @ m for e, m in zip(self._by_group(error), self.mean, strict=True)]
        corrected: Array = self.bias + np.concatenate(mean_errors)
        return corrected

    def _by_group(self, rows: Array) -> list[Array]:
        return np.split(rows, self.group_count)

    def _channel_errors(self, weights: Array, scales: Array) -> Array:
        """The error e' C e of each channel: (out,)."""
        error = self.kernel - weights * scales[:, None]
        parts = [
            ((e @ c if c.ndim == 2 else e * c) * e).sum(axis=1)
            for e, c in zip(self._by_group(error), self.covariance, strict=True)
        ]
        return np.concatenate(parts)

    def _candidate_errors(self, candidates: Array) -> Array:
        """The errors at `candidates`, scales (candidates, channels): of the same shape."""
        return np.array([self._channel_errors(self._rounded(s, _CANDIDATE_SWEEPS), s) for s in candidates])

    def _best_candidates(self, errors: Array) -> Array:
        """The index of the best candidate for each channel; of all together when they share a scale."""
        if self.per_channel:
            return errors.argmin(axis=0)
        return np.full(errors.shape[1], errors.sum(axis=1).argmin())

    def _least_squares_scales(self, weights: Array, scales: Array) -> Array:
        """The scale of each channel that fits these integers best: w' C q / q' C q."""
        parts = []
        for k, q, c in zip(
            self._by_group(self.kernel), self._by_group(weights.astype(np.float64)), self.covariance, strict=True
        ):
            weighted = q @ c if c.ndim == 2 else q * c
            parts.append(np.stack([(weighted * k).sum(axis=1), (weighted * q).sum(axis=1)]))
        numerators, denominators = np.concatenate(parts, axis=1)
        return np.array(
            [
                rounded_up_scale(a / b) if a > 0 and b > 0 else s
                for a, b, s in zip(numerators, denominators, scales, strict=True)
            ]
        )


def _damping(average: Array) -> Array:
    """The constant that is added to variances of this average; any will do where inputs are constant."""
    return _DAMPING * np.where(average > 0, average, 1.0)


def _coordinate_descent(kernel: Array, scales: Array, covariance: Array, limit: int, sweeps: int) -> Array:
    """Integers (out, taps) for rows of weights: each tap in turn corrects the error of the others.

    Each weight goes up or down to one of its two neighbours, so that calibration data have little to be fitted to.
    """
    nearest = np.clip(np.rint(kernel / scales[:, None]), -limit, limit)
    if covariance.ndim == 1:
        return nearest
    target, integers = kernel.T / scales, np.ascontiguousarray(nearest.T)
    low, high = np.clip(np.floor(target), -limit, limit), np.clip(np.ceil(target), -limit, limit)
    error = target - integers
    for _ in range(sweeps):
        before = integers.copy()
        for tap, row in enumerate(covariance):
            wanted = target[tap] + (row @ error - row[tap] * error[tap]) / row[tap]
            integers[tap] = np.clip(np.rint(wanted), low[tap], high[tap])
            error[tap] = target[tap] - integers[tap]
        if (before == integers).all():
            break
    return integers.T
