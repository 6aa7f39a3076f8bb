"""Samples from .npz files: chosen by key and rows, checked against the network's inputs, never pickled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import prod
from pathlib import Path

import numpy as np

from pipeline.facts.config.models import DataSource
from pipeline.facts.errors import ChipfitError, Place, did_you_mean
from pipeline.graph.tensor import Array, Port, Tensor
from pipeline.model_files.npz import Npz


@dataclass(frozen=True, eq=False)
class Samples:
    """`inputs`: for each input port (n, *onnx_shape) float32; `labels`: (n,) int64 or None."""

    inputs: tuple[Array, ...]
    labels: Array | None = None

    @property
    def count(self) -> int:
        return len(self.inputs[0])

    def take(self, count: int) -> "Samples":
        """`count` samples spread evenly over all of them, in order."""
        if count >= self.count:
            return self
        rows = np.arange(count) * self.count // count
        return Samples(tuple(a[rows] for a in self.inputs), None if self.labels is None else self.labels[rows])


def load_samples(
    path: Path,
    place: Place,
    ports: Sequence[Port],
    source: DataSource,
    *,
    defaults: Sequence[str],
    labelled: bool = False,
    tensors: Sequence[Tensor | None] = (),
) -> Samples:
    """The samples in the file at `path`, read as `source` of a product YAML says.

    `defaults` are the keys tried, in order, for a network of one input where `source` names none; a network of
    several takes one array per input, by the input's name. `labelled` says whether labels are read at all. Arrays
    become scale * (x - zero_point); without either, integers of the very type of a quantized input (`tensors`, one for
    each port) are that input's own. Raises ChipfitError for missing keys, wrong shapes, NaN and no samples.
    """
    arrays = Npz(path, place)
    chosen = []
    for port, tensor in zip_longest(ports, tensors):
        key = inputs_key(arrays, ports, port, source, defaults)
        if key is None:
            keys = _inputs_keys(ports, port, source, defaults)
            raise ChipfitError(
                f"{path.name} has no array {' or '.join(repr(k) for k in keys)}",
                place=place,
                hint=did_you_mean(keys[0], sorted(arrays)) if arrays else "",
            )
        chosen.append(_fitted(arrays[key], f"{path.name}: array {key!r}", place, port, tensor, source))
    if len({len(a) for a in chosen}) != 1:
        raise ChipfitError(f"{path.name} holds different numbers of samples for each input", place=place)
    found_labels = _labels(arrays, source, path, place, len(chosen[0])) if labelled else None
    return Samples(tuple(chosen), found_labels)


def inputs_key(
    arrays: Mapping[str, Array], ports: Sequence[Port], port: Port, source: DataSource, defaults: Sequence[str]
) -> str | None:
    """The name of the array that holds the samples of `port`, one of `ports`; None where there is none."""
    return next((k for k in _inputs_keys(ports, port, source, defaults) if k in arrays), None)


def _inputs_keys(ports: Sequence[Port], port: Port, source: DataSource, defaults: Sequence[str]) -> list[str]:
    named = [source.inputs] if source.inputs else list(defaults)
    return named if len(ports) == 1 else [port.onnx_name]


def _fitted(array: Array, where: str, place: Place, port: Port, tensor: Tensor | None, source: DataSource) -> Array:
    """The rows of `array` that `source` says as real samples (n, *onnx_shape) of an input; `where` names the array."""
    array = _rows(array, source.rows)
    if array.ndim == 0 or len(array) == 0:
        raise ChipfitError(f"{where} holds no samples", place=place)
    sample_shape, port_shape = array.shape[1:], port.onnx_shape
    equal_but_unit_axes = [d for d in sample_shape if d != 1] == [d for d in port_shape if d != 1]
    if not equal_but_unit_axes and not (len(sample_shape) == 1 and sample_shape[0] == prod(port_shape)):
        batched = len(port_shape) > 1 and port_shape[0] == 1
        several_batches = len(port_shape) > 1 < port_shape[0] and prod(sample_shape) == prod(port_shape[1:])
        raise ChipfitError(
            f"{where} has samples of shape {sample_shape}, the model's input {port.onnx_name!r} wants "
            f"{port_shape[1:] if batched else port_shape}",
            place=place,
            hint=f"If {port_shape[0]} is the batch, export the model with a batch of 1."
            if several_batches
            else "The first axis counts samples.",
        )
    real = _scaled(array, port, tensor, source)
    if not np.isfinite(real).all():
        bad = int(np.argmax(~np.isfinite(real.reshape(len(real), -1)).all(axis=1)))
        what = "values beyond the range of float32" if np.isfinite(array[bad]).all() else "NaN or infinity"
        raise ChipfitError(f"{where} holds {what}, first in sample {bad}", place=place)
    return real.reshape(len(real), *port_shape)


@np.errstate(over="ignore", invalid="ignore")
def _scaled(array: Array, port: Port, tensor: Tensor | None, source: DataSource) -> Array:
    """The real values that the array stands for, as float32: infinite where that is too narrow."""
    real, scale, zero_point = array.astype(np.float32), source.scale, source.zero_point
    if scale is not None or zero_point is not None:
        real = ((real - np.float32(zero_point or 0)) * np.float32(1 if scale is None else scale)).astype(np.float32)
    elif tensor is not None and tensor.quant is not None and array.dtype.kind in "iu":
        # What the file's own input would be fed; a uint8 port of a float graph has its zero point 128 lower here.
        lower = 128 if port.unsigned and tensor.dtype == "float32" else 0
        if array.dtype == ("uint8" if port.unsigned else tensor.dtype):
            real = tensor.quant.dequantize(array.astype(np.int64) - lower).astype(np.float32)
    return real


def _labels(arrays: Mapping[str, Array], source: DataSource, path: Path, place: Place, count: int) -> Array | None:
    """The labels of `count` samples (n,) int64; None where `source` names none and the file has no array y."""
    key = source.labels
    if key is None:
        if "y" not in arrays:
            return None
        key = "y"
    if key not in arrays:
        raise ChipfitError(f"{path.name} has no array {key!r}", place=place, hint=did_you_mean(key, sorted(arrays)))
    labels = _rows(arrays[key], source.rows)
    if labels.dtype.kind not in "iub" or labels.shape != (count,):
        raise ChipfitError(
            f"{path.name}: labels {key!r} of shape {labels.shape} and type {labels.dtype}, expected {count} integers",
            place=place,
        )
    if labels.max() > np.iinfo(np.int64).max:
        raise ChipfitError(f"{path.name}: labels {key!r} hold {labels.max()}, which is no class", place=place)
    return labels.astype(np.int64)


def _rows(array: Array, rows: tuple[int, int] | None) -> Array:
    return array if rows is None or array.ndim == 0 else array[rows[0] : rows[1] + 1]
