"""The float side, computed by ONNX Runtime: one thread, so that the same file gives the same floats."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx
import onnxruntime

from pipeline.ir import Array


class FloatOracle:
    """An ONNX model in ONNX Runtime, fed one sample at a time (the model's batch is 1)."""

    def __init__(self, model: onnx.ModelProto, *, as_written: bool = False) -> None:
        """`as_written`: each node by itself, not Q/DQ pairs fused into integer kernels with roundings of their own."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        if as_written:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.outputs: list[str] = [o.name for o in self._session.get_outputs()]

    def run(self, feeds: Mapping[str, Array], wanted: Sequence[str] | None = None) -> Iterator[dict[str, Array]]:
        """For each sample of `feeds` (name -> (n, *shape) float32), the wanted outputs by name."""
        names = list(wanted or self.outputs)
        count = len(next(iter(feeds.values())))
        for i in range(count):
            feed = {k: np.ascontiguousarray(v[i]) for k, v in feeds.items()}
            yield dict(zip(names, self._session.run(names, feed), strict=True))

    def stacked(self, feeds: Mapping[str, Array], wanted: Sequence[str] | None = None) -> dict[str, Array]:
        """All samples at once: name -> (n, *shape)."""
        rows = list(self.run(feeds, wanted))
        return {k: np.stack([r[k] for r in rows]) for k in rows[0]}
