"""The shipped models, and third-party ones, through quantization: accuracy, agreement, exactness on the chip."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from building import assert_chip_equals, build, on_chip, write_library
from conftest import ROOT

from pipeline.graph.tensor import Array
from pipeline.importing.onnx_graph import import_onnx
from pipeline.importing.passes import canonical
from pipeline.ops.conv import Conv
from pipeline.quantizing.calibrate import Policy
from pipeline.quantizing.onnx_runtime import FloatSession

MODELS = ROOT / "configs" / "models"


@pytest.mark.parametrize(("name", "accuracy"), [("touch", 0.9625), ("digits", 0.9867)])
def test_shipped_models_have_the_documented_float_accuracy(name: str, accuracy: float) -> None:
    data = np.load(MODELS / f"{name}.npz")
    session = FloatSession(onnx.load(MODELS / f"{name}.onnx"))
    guesses = [next(iter(session.run({"input": x[None, None]}))) for x in data["x"]]
    got = np.mean([int(g["logits"].argmax()) == y for g, y in zip(guesses, data["y"], strict=True)])
    assert got == pytest.approx(accuracy, abs=1e-3)


@pytest.mark.parametrize("name", ["touch", "digits"])
def test_evaluation_samples_are_not_calibration_samples(name: str) -> None:
    data = np.load(MODELS / f"{name}.npz")
    assert not {x.tobytes() for x in data["x"]} & {x.tobytes() for x in data["calib"]}


def test_the_touch_generator_gives_the_stored_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(MODELS))
    from touch_sensor import scenes

    data = np.load(MODELS / "touch.npz")
    x, y = scenes(3, 2000)
    np.testing.assert_array_equal(x, data["x"])
    np.testing.assert_array_equal(y, data["y"])


def test_batch_normalization_folds_and_no_transpose_is_left() -> None:
    graph = canonical(import_onnx(MODELS / "digits.onnx", "digits.onnx", "digits"), "digits.onnx")
    kinds = [type(n).__name__ for n in graph.nodes]
    assert kinds == ["Conv", "MaxPool", "Conv", "MaxPool", "Reshape", "Dense"]
    first = graph.nodes[0]
    assert isinstance(first, Conv)
    assert (first.low, first.high) == (-1.0, 1.0)
    assert graph.inputs[0].onnx_shape == (1, 1, 8, 8)


def first_data(folder: Path, model: str, data: str) -> tuple[onnx.ModelProto, Array, Array, Array]:
    proto = onnx.load(folder / "first" / model)
    arrays = np.load(folder / "first" / data)
    shape = [d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim]
    return proto, arrays["calib"].reshape(-1, *shape), arrays["x"].reshape(-1, *shape), arrays["y"]


@pytest.mark.parametrize("requantizer", ["shift", "multiplier"])
@pytest.mark.parametrize("method", ["min-max", "percentile", "mse"])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize(
    "names",
    [
        ("mlp_hardtanh_30_32_16_4.dynamo.onnx", "mlp_hardtanh_30_32_16_4.npz"),
        ("cnn_hardtanh_8x8.torchscript.onnx", "cnn_hardtanh_8x8.npz"),
    ],
    ids=["dynamo", "torchscript"],
)
def test_every_policy_costs_at_most_one_point(
    shared_models: Path, names: tuple[str, str], requantizer: str, method: str, symmetric: bool, per_channel: bool
) -> None:
    model, calibration, x, y = first_data(shared_models, *names)
    policy = Policy(method, symmetric=symmetric)
    built = build(model, (calibration,), (x,), requantizer, policy, per_channel)
    reference = FloatSession(model).stacked({"input": x})[model.graph.output[0].name]
    ours = np.mean(built.expected[0].reshape(len(y), -1).argmax(1) == y)
    assert ours >= np.mean(reference.reshape(len(y), -1).argmax(1) == y) - 0.01


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m0plus", "cortex-m3", "cortex-m4"])
def test_third_party_cnn_is_exact_on_every_core(shared_models: Path, core: str, tmp_path: Path) -> None:
    names = ("cnn_hardtanh_8x8.torchscript.onnx", "cnn_hardtanh_8x8.npz")
    model, calibration, x, _ = first_data(shared_models, *names)
    built = build(model, (calibration,), (x[:32],))
    runs = on_chip(built, write_library(built, tmp_path, core), core, count=32)
    assert_chip_equals(built, runs)
    assert len({r.total for r in runs}) == 1
    assert (
        sum(layer.zero_wait[1] for layer in runs[0].layers) + runs[0].overhead.zero_wait[1]
        == runs[0].total.zero_wait[1]
    )
