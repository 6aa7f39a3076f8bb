"""Calls whose weights are int8 and an offset for each output channel, as the calls without one that they stand for."""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from pipeline.calls import KernelCall

_FAMILIES = {"dense_offset": "dense", "conv2d_offset": "conv2d"}


@lru_cache(maxsize=128)
def without_offset(call: KernelCall) -> KernelCall:
    """The same layer with whole weights, int16; `call` itself where it has no offset."""
    family = _FAMILIES.get(call.family)
    if family is None:
        return call
    inner = {k.removeprefix(f"{family}."): v for k, v in call.tables.items() if k != "offset"}
    weights, offset = inner["weights"].astype(np.int16), call.tables["offset"]
    return replace(
        call,
        family=family,
        kernel=call.kernel.replace(call.family, family),
        params={k.removeprefix(f"{family}."): v for k, v in call.params.items()},
        tables=inner | {"weights": weights + offset.reshape(-1, *(1,) * (weights.ndim - 1))},
    )
