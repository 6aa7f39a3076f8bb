"""Broken and hostile model files: each is imported or refused in one sentence, and nothing else happens."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import ROOT
from onnx import TensorProto, helper, numpy_helper

from pipeline.facts.errors import ChipfitError
from pipeline.graph.ir import Graph
from pipeline.importing.onnx_graph import import_onnx
from pipeline.importing.passes import canonical
from pipeline.model_files.onnx_file import MAX_BYTES, load_onnx

DIGITS = ROOT / "configs" / "models" / "digits.onnx"


def attempt(path: Path) -> Graph:
    return canonical(import_onnx(path, path.name, "net"), path.name)


def refused(path: Path) -> str:
    with pytest.raises(ChipfitError) as caught:
        attempt(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def save(tmp_path: Path, change: Callable[[onnx.ModelProto], object]) -> Path:
    model = onnx.load(DIGITS)
    change(model)
    path = tmp_path / "bad.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def mutated(count: int, seed: int, tmp_path: Path) -> None:
    """Flip, cut and repeat bytes; replay one with its seed and index."""
    whole = DIGITS.read_bytes()
    path = tmp_path / "mutated.onnx"
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        data = bytearray(whole)
        kind = index % 3
        if kind == 0:
            for at in rng.integers(0, len(data), rng.integers(1, 20)):
                data[at] = rng.integers(256)
        elif kind == 1:
            del data[rng.integers(1, len(data)) :]
        else:
            at, length = rng.integers(0, len(data)), rng.integers(1, 200)
            data[at:at] = data[at : at + length]
        path.write_bytes(bytes(data))
        try:
            attempt(path)
        except ChipfitError:
            continue
        except Exception as error:
            raise AssertionError(f"seed {seed} index {index}") from error


def test_mutated_files_import_or_are_refused(tmp_path: Path) -> None:
    mutated(300, 1, tmp_path)


@pytest.mark.exhaustive
def test_many_mutated_files_import_or_are_refused(tmp_path: Path) -> None:
    mutated(5000, 2, tmp_path)


def test_a_file_above_the_limit_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "net.onnx").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ChipfitError, match=f"^net.onnx: the file has {MAX_BYTES + 1} bytes, the limit is {MAX_BYTES}"):
        load_onnx(tmp_path / "net.onnx", "net.onnx")


def test_random_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "random.onnx"
    path.write_bytes(np.random.default_rng(0).bytes(4000))
    assert "is not an ONNX file" in refused(path)


@pytest.mark.parametrize("version", [0, 2, 99])
def test_an_unknown_ir_version_is_refused(tmp_path: Path, version: int) -> None:
    path = save(tmp_path, lambda m: setattr(m, "ir_version", version))
    assert f"has ONNX IR version {version}, expected 3 to" in refused(path)


def test_an_old_opset_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, lambda m: setattr(m.opset_import[0], "version", 6))
    assert "opset 6" in refused(path) or "not valid ONNX" in refused(path)


def external(tmp_path: Path, location: str) -> Path:
    def change(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", location

    return save(tmp_path, change)


def test_missing_external_data_is_named(tmp_path: Path) -> None:
    assert "'weights.data', which is missing" in refused(external(tmp_path, "weights.data"))


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a/../../secret", ""])
def test_external_data_outside_the_folder_are_refused(tmp_path: Path, location: str) -> None:
    (tmp_path.parent / "secret").write_bytes(b"x" * 10_000)
    assert "outside the model's folder" in refused(external(tmp_path, location))


def test_external_data_behind_a_link_are_refused(tmp_path: Path) -> None:
    (tmp_path.parent / "secret").write_bytes(b"x" * 10_000)
    (tmp_path / "link.data").symlink_to(tmp_path.parent / "secret")
    assert "outside the model's folder" in refused(external(tmp_path, "link.data"))


def test_truncated_external_data_are_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.data").write_bytes(b"1234")
    message = refused(external(tmp_path, "weights.data"))
    assert "weight" in message or "tensor" in message


def test_external_data_beside_the_model_are_read(tmp_path: Path) -> None:
    model = onnx.load(DIGITS)
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    ours, plain = attempt(tmp_path / "m.onnx"), attempt(DIGITS)
    for name, tensor in plain.tensors.items():
        if tensor.data is not None:
            np.testing.assert_array_equal(tensor.data, ours.constant(name))


def small(*nodes: onnx.NodeProto, shape: tuple[object, ...] = (1, 4)) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (None, None))],
        [numpy_helper.from_array(np.ones((4, 4), np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def refused_model(tmp_path: Path, model: onnx.ModelProto) -> str:
    (tmp_path / "small.onnx").write_bytes(model.SerializeToString())
    return refused(tmp_path / "small.onnx")


def test_an_unsupported_operator_is_refused_by_name(tmp_path: Path) -> None:
    message = refused_model(tmp_path, small(helper.make_node("Det", ["x"], ["y"], name="the_det"), shape=(4, 4)))
    assert "operator Det (node 'the_det') is not supported" in message
    assert "Conv" in message and "Gemm" in message


def test_a_dynamic_axis_other_than_the_batch_is_refused(tmp_path: Path) -> None:
    message = refused_model(tmp_path, small(helper.make_node("Relu", ["x"], ["y"]), shape=("n", "width")))
    assert "dynamic axis 1 (width)" in message


def test_a_cycle_is_refused(tmp_path: Path) -> None:
    loop = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    assert refused_model(tmp_path, small(*loop, helper.make_node("Relu", ["b"], ["y"])))


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    model = small(helper.make_node("MatMul", ["x", "w"], ["y"]))
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.full((4, 4), np.nan, np.float32), "w"))
    assert "NaN or infinity" in refused_model(tmp_path, model)


@pytest.mark.parametrize(
    ("node", "says"),
    [
        (helper.make_node("MatMul", ["x", "x"], ["y"], name="n"), "a product of two activations"),
        (helper.make_node("Softmax", ["x"], ["y"], name="n", axis=7), "axis 7 does not exist"),
        (helper.make_node("Pad", ["x"], ["y"], name="n", mode="reflect"), ""),
        (helper.make_node("MaxPool", ["x"], ["y"], name="n", kernel_shape=[2, 2]), "spatial dimensions"),
    ],
)
def test_what_an_operator_cannot_do_is_refused_precisely(tmp_path: Path, node: onnx.NodeProto, says: str) -> None:
    assert says in refused_model(tmp_path, small(node))


def test_names_hostile_to_c_cannot_leave_a_comment(tmp_path: Path) -> None:
    from building import build, on_host, write_library

    evil = "*/ int x; /* \\ ??/ \n#error"
    nodes = [helper.make_node("MatMul", ["x", "w"], [evil], name=evil), helper.make_node("Relu", [evil], ["y"])]
    x = np.random.default_rng(0).uniform(-1, 1, (8, 1, 4)).astype(np.float32)
    built = build(small(*nodes), (x,), (x,))
    got = on_host(built, write_library(built, tmp_path, "cortex-m0"))
    np.testing.assert_array_equal(got[0], built.expected[0])


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(DIGITS.read_bytes().replace(b"Gemm", b"Ge\xffm"))
    assert "is not UTF-8" in refused(path)


def test_an_element_type_beyond_onnx_is_refused_by_number(tmp_path: Path) -> None:
    path = save(tmp_path, lambda m: setattr(m.graph.initializer[0], "data_type", 67))
    assert "has the element type 67, which ONNX does not define" in refused(path)


def test_an_output_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, lambda m: m.graph.output.append(m.graph.output[0]))
    assert "2 times, expected once" in refused(path)
