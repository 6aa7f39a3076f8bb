"""LiteRT's reference kernels: equal to ours, told where they are not, said where they are missing."""

import numpy as np
import pytest

from pipeline.graph.ir import Graph
from pipeline.quantizing import litert


def test_a_quantized_tflite_is_compared_with_litert() -> None:
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
    from tflite_cases import cases

    from pipeline.importing.tflite_graph import tflite_graph_of
    from pipeline.model_files.tflite_file import parse_tflite

    for name in ("FULLY_CONNECTED", "CONV_2D", "ADD"):
        case = next(c for c in cases() if c.name.startswith(name))
        graph = tflite_graph_of(parse_tflite(case.model, name), name, "net")
        integers = [p.to_stored(a) for p, a in zip(graph.inputs, case.inputs(16), strict=True)]
        outputs = graph.run(integers)
        told, theirs = litert.compare(case.model, graph, integers, outputs)
        assert told.against == "LiteRT" and told.differing == 0 and told.first is None
        assert theirs is not None
        np.testing.assert_array_equal(theirs, outputs[0])
        wrong = outputs[0].copy()
        wrong[5].reshape(-1)[0] ^= 4
        told, _ = litert.compare(case.model, graph, integers, [wrong, *outputs[1:]])
        assert (told.differing, told.largest_difference, told.first.first) == (1, 4, 5)


def test_without_litert_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litert, "available", lambda: False)
    graph = Graph("net", {}, (), (), ())
    told, theirs = litert.compare(b"", graph, [np.zeros((3, 5))], [np.zeros((3, 5)), np.zeros((3, 1))])
    assert theirs is None and told.against is None
    assert (told.samples, told.tensors, told.values) == (3, 2, 0)
    assert told.why == "not compared with LiteRT (pip install chipfit[litert])"


def test_a_difference_is_counted_in_steps_with_its_first_sample() -> None:
    off = np.zeros((4, 2, 3), np.int64)
    assert litert._difference("y", off).first is None
    off[2, 1, 0], off[3, 0, 0] = 5, 1
    found = litert._difference("y", off)
    assert (found.values, found.differing, found.unexplained, found.steps, found.first) == (24, 2, 2, 5, 2)
