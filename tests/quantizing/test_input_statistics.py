"""Mean and covariance of what a layer's taps read, against NumPy's on all rows at once."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.passes import canonical
from pipeline.ops.shared.linear import Linear
from pipeline.quantizing import input_statistics
from pipeline.quantizing.data import Samples
from pipeline.quantizing.input_statistics import _PowerSums, measure_inputs

RNG = np.random.default_rng(5)


def test_sums_of_parts_are_the_moments_of_all_rows() -> None:
    rows, sums = RNG.normal(2, 1, (2, 300, 4)), _PowerSums()
    for part in np.split(rows, 5, axis=1):
        sums.add(part)
    found = sums.statistics()
    np.testing.assert_allclose(found.mean, rows.mean(axis=1), atol=2e-3)
    for group in range(2):
        np.testing.assert_allclose(found.covariance[group], np.cov(rows[group].T, bias=True), atol=2e-3)


def test_of_many_taps_only_the_variances_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_statistics, "_MAX_COVARIANCE_TAPS", 3)
    rows, sums = RNG.normal(0, 1, (1, 200, 4)), _PowerSums()
    sums.add(rows)
    np.testing.assert_allclose(sums.statistics().covariance, rows.var(axis=1), atol=2e-3)


def test_figures_do_not_depend_on_the_last_bits_of_a_sum() -> None:
    sums = _PowerSums(), _PowerSums()
    rows = RNG.normal(1, 1, (1, 100, 3))
    sums[0].add(rows)
    sums[1].add(rows * (1 + 1e-9))
    first, second = (s.statistics() for s in sums)
    assert (first.mean == second.mean).all() and (first.covariance == second.covariance).all()


def test_a_layer_in_the_network_reads_its_own_inputs() -> None:
    w = RNG.normal(0, 1, (3, 3)).astype(np.float32)
    nodes = [helper.make_node("MatMul", [a, f"w{i}"], [b], f"d{i}") for i, (a, b) in enumerate(("xh", "hy"))]
    infos = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, 3))] for n in "xy"]
    graph_proto = helper.make_graph(nodes, "net", *infos, [numpy_helper.from_array(w, f"w{i}") for i in (0, 1)])
    model = helper.make_model(graph_proto, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    graph = canonical(graph_of(model, "net.onnx", "net"), "net.onnx")
    layers, seen = [n for n in graph.nodes if isinstance(n, Linear)], []
    x = RNG.normal(1, 2, (50, 1, 3)).astype(np.float32)
    found = measure_inputs(graph, Samples((x,)), layers, lambda done, total: seen.append((done, total)))
    np.testing.assert_allclose(found["d0"].mean[0], x[:, 0].mean(axis=0), atol=5e-3)
    np.testing.assert_allclose(found["d1"].mean[0], (x[:, 0] @ w).mean(axis=0), atol=5e-3)
    assert seen == [(i, 50) for i in range(1, 51)]
