"""ONNX Runtime without optimizations: each node by itself, as the model is written."""

from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime

from pipeline.graph.tensor import Array


def answers(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Every output, (samples, *shape), of `feeds` (samples, *shape); one sample at a time."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    given = {i.name for i in session.get_inputs()}
    count = len(next(iter(feeds.values())))
    rows = [
        session.run(names, {k: np.asarray(v[i], order="C") for k, v in feeds.items() if k in given})
        for i in range(count)
    ]
    return {n: np.stack([r[j] for r in rows]) for j, n in enumerate(names)}
