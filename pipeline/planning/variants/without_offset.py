"""Linear calls whose weights reach beyond int8, as the dense, conv2d or depthwise calls that they stand for."""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from pipeline.graph.kernel_call import KernelCall

_FAMILIES = {"dense_offset": "dense", "conv2d_offset": "conv2d"}


@lru_cache(maxsize=128)
def plain(call: KernelCall) -> KernelCall:
    """The same layer with whole weights, int16; `call` itself where there is no other way to say it."""
    if call.family in _FAMILIES:
        return _without_offset(call, _FAMILIES[call.family])
    if call.family == "conv_w16" and call.params["depth"] == call.params["group_outputs"] == 1:
        return replace(
            call,
            family="depthwise",
            kernel=call.kernel.replace("conv_w16", "depthwise"),
            params=dict(call.params) | {"channels": call.params["groups"]},
            tables=dict(call.tables) | {"weights": call.tables["weights"][..., 0].transpose(1, 2, 0)},
        )
    return call


def _without_offset(call: KernelCall, family: str) -> KernelCall:
    inner = {k.removeprefix(f"{family}."): v for k, v in call.tables.items() if k != "offset"}
    weights, offset = inner["weights"].astype(np.int16), call.tables["offset"]
    return replace(
        call,
        family=family,
        kernel=call.kernel.replace(call.family, family),
        params={k.removeprefix(f"{family}."): v for k, v in call.params.items()},
        tables=inner | {"weights": weights + offset.reshape(-1, *(1,) * (weights.ndim - 1))},
    )
