"""ONNX Runtime beside the integer network: what it refuses is said in a sentence."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import ROOT
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.capi.onnxruntime_pybind11_state import Fail

from pipeline.facts.errors import ChipfitError
from pipeline.quantizing.onnx_runtime import FloatSession


def model_of(nodes: list[onnx.NodeProto], opset: int, zero: type = np.int8) -> onnx.ModelProto:
    ends = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4])] for n in ("x", "y")]
    constants = [numpy_helper.from_array(np.asarray(v), n) for n, v in (("s", np.float32(0.01)), ("z", zero(0)))]
    graph = helper.make_graph(nodes, "net", *ends, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


PAIR = [
    helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
    helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
]
REFUSED = [
    (model_of([helper.make_node("Relu", ["x"], ["y"])], 99), "ONNX Runtime only"),
    (model_of(PAIR, 17, np.int16), "This is an invalid model. Type Error: Type 'tensor(int16)'"),
]


@pytest.mark.parametrize(("model", "why"), REFUSED)
def test_what_onnx_runtime_refuses_is_said_in_one_line(model: onnx.ModelProto, why: str) -> None:
    onnx.checker.check_model(model)
    with pytest.raises(ChipfitError) as refused:
        FloatSession(model, "net.onnx")
    message = str(refused.value)
    assert message.startswith(f"net.onnx: ONNX Runtime refuses it: {why}") and "opset" in refused.value.hint
    assert "\n" not in message and "ONNXRuntimeError" not in message and "/" not in message


def test_a_model_that_chipfit_made_and_onnx_runtime_refuses_is_no_error_of_the_user() -> None:
    with pytest.raises(Fail):
        FloatSession(REFUSED[0][0])


def test_nothing_is_kept_or_sent_about_the_device(tmp_path: Path) -> None:
    """ONNX Runtime's telemetry would leave its id of the device in the user's cache folder, or home."""
    environment = {n: v for n, v in os.environ.items() if n != "ORT_DISABLE_TELEMETRY"}
    places = {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    code = "import pipeline.quantizing.onnx_runtime as o; print(o.onnxruntime.__version__)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env={**environment, **places}, capture_output=True, text=True, check=True)
    assert done.stdout and list(tmp_path.iterdir()) == []
