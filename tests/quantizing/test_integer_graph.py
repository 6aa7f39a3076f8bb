"""Float graph in, integer graph out: what a model file prescribes for some tensors decides for the others."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from pipeline.importing.onnx_graph import graph_of
from pipeline.importing.passes import canonical
from pipeline.quantizing.calibrate import Policy, observe
from pipeline.quantizing.data import Samples
from pipeline.quantizing.integer_graph import quantize, unprescribed_activations


def test_tensors_without_a_scale_have_the_type_of_those_with_one() -> None:
    """Sum(a, b, c) of an int16 file has a scale at its ends alone."""
    names, shape = ("a", "b", "c"), (1, 4)
    nodes = []
    for name in names:
        nodes.append(helper.make_node("QuantizeLinear", [name, "s", "z"], [f"{name}q"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}q", "s", "z"], [f"{name}d"]))
    nodes.append(helper.make_node("Sum", [f"{n}d" for n in names], ["t"]))
    nodes.append(helper.make_node("QuantizeLinear", ["t", "u", "z"], ["tq"]))
    nodes.append(helper.make_node("DequantizeLinear", ["tq", "u", "z"], ["y"]))
    infos = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in side] for side in (names, "y")]
    constants = {"s": np.float32(1e-4), "u": np.float32(3e-4), "z": np.int16(0)}
    graph = helper.make_graph(
        nodes, "net", *infos, [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    canon = canonical(graph_of(model, "net.onnx", "net"), "net.onnx")
    real = [np.random.default_rng(i).uniform(-3, 3, (50, *shape)).astype(np.float32) for i in range(3)]
    observed = observe(canon, Samples(tuple(real)), lambda done, total: None, unprescribed_activations(canon))
    result = quantize(canon, observed, Policy("min-max"), per_channel=True, requantizer="multiplier")
    assert {t.dtype for t in result.graph.tensors.values() if t.data is None} == {"int16"}
    (got,) = result.graph.run(result.graph.integers(real))
    np.testing.assert_allclose(got * 3e-4, np.clip(sum(real), -3e-4 * 32768, 3e-4 * 32767), atol=6e-4)
