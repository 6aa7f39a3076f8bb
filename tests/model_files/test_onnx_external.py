"""Tensors in other files: one rule wherever the tensor stands, and a cache key over the files that are really read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import some
from onnx import TensorProto, helper, numpy_helper

from pipeline.facts.config import load_project
from pipeline.facts.errors import ChipfitError
from pipeline.model_files.onnx_external import MAX_FIELDS, external_files
from pipeline.model_files.onnx_file import load_onnx, tensors_of
from stages import STAGES
from stages.base import Job
from stages.execution import key_of

VALUES = np.arange(16, dtype=np.float32).reshape(4, 4)


def tensor(location: str, name: str = "w", **entries: str) -> TensorProto:
    proto = numpy_helper.from_array(VALUES, name)
    proto.ClearField("raw_data")
    proto.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        proto.external_data.add(key=key, value=value)
    return proto


def plain(*nodes: onnx.NodeProto, **more: object) -> onnx.ModelProto:
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [4, 4]) for n in "xy"]
    graph = helper.make_graph([*nodes, helper.make_node("Relu", ["x"], ["y"])], "g", ports[:1], ports[1:], **more)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def constant(proto: TensorProto) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [f"c_{proto.name}"], value=proto)


def in_subgraph(proto: TensorProto) -> onnx.ModelProto:
    branch = helper.make_graph([constant(proto)], "b", [], [helper.make_tensor_value_info("c_w", 1, [4, 4])])
    inner = helper.make_graph([], "i", [], [], [proto])
    condition = constant(numpy_helper.from_array(np.array(True), "t"))
    both = helper.make_node("If", ["c_t"], ["z"], then_branch=branch, else_branch=branch)
    both.attribute[0].g.node[0].attribute.append(helper.make_attribute("deeper", [inner]))
    return plain(condition, both)


def in_function(proto: TensorProto) -> onnx.ModelProto:
    model = plain()
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("d", "f", [], ["c_w"], [constant(proto)], opsets))
    model.functions[0].attribute_proto.append(helper.make_attribute("default", proto))
    model.opset_import.append(helper.make_opsetid("d", 1))
    return model


def in_training(proto: TensorProto) -> onnx.ModelProto:
    model = plain()
    model.training_info.add().algorithm.initializer.append(proto)
    return model


def sparse(values: TensorProto) -> onnx.SparseTensorProto:
    return helper.make_sparse_tensor(values, numpy_helper.from_array(np.arange(4), "i"), [4])


HOLDERS: dict[str, Callable[[TensorProto], onnx.ModelProto]] = {
    "initializer": lambda t: plain(initializer=[t]),
    "constant": lambda t: plain(constant(t)),
    "list": lambda t: plain(helper.make_node("Relu", ["x"], ["z"], many=[t])),
    "subgraph": in_subgraph,
    "function": in_function,
    "training": in_training,
    "sparse initializer": lambda t: plain(sparse_initializer=[sparse(t)]),
    "sparse attribute": lambda t: plain(helper.make_node("Constant", [], ["z"], sparse_value=sparse(t))),
}


def save(folder: Path, model: onnx.ModelProto) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def refused(path: Path) -> str:
    with pytest.raises(ChipfitError) as caught:
        load_onnx(path, path.name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_tensor_is_read_from_beside_the_model_wherever_it_stands(
    holder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("models/e", "elsewhere/e"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "elsewhere" / "e" / "w.raw").write_bytes(b"\xff" * 64)
    path = save(tmp_path / "models", HOLDERS[holder](tensor("e/w.raw")))
    assert external_files(path) == {"e/w.raw": tmp_path / "models" / "e" / "w.raw"}
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert "keeps its data in 'e/w.raw', which is missing" in refused(path)
    (tmp_path / "models" / "e" / "w.raw").write_bytes(VALUES.tobytes())
    try:
        model = load_onnx(path, "net.onnx")
    except ChipfitError as error:  # ONNX's checker refuses some of these; what counts is what was read before
        assert "is not valid ONNX" in str(error)
        return
    assert all(t.data_location == TensorProto.DEFAULT for t in some(tensors_of(model)))
    assert any(t.raw_data == VALUES.tobytes() for t in tensors_of(model))


@pytest.mark.parametrize(
    "location", ["../secret", "/etc/passwd", "a/../../secret", "", ".", "C:\\x", "..\\secret", "a\0b"]
)
@pytest.mark.parametrize("holder", HOLDERS)
def test_nothing_outside_the_folder_is_read(holder: str, location: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x" * 64)
    (tmp_path / "m" / "a").mkdir(parents=True)
    path = save(tmp_path / "m", HOLDERS[holder](tensor(location)))
    assert external_files(path) == {}
    assert "outside the model's folder" in refused(path)


@pytest.mark.parametrize("holder", HOLDERS)
def test_links_that_lead_outside_are_not_followed(holder: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x" * 64)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "w.raw").symlink_to(tmp_path / "secret")
    (tmp_path / "m" / "loop").symlink_to(tmp_path / "m" / "loop")
    for location in ("w.raw", "loop"):
        assert "outside the model's folder" in refused(save(tmp_path / "m", HOLDERS[holder](tensor(location))))


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"offset": "-4"}, "has the offset '-4', expected a number"),
        ({"length": "9" * 5000}, "has the length '999"),
        ({"length": "1e3"}, "has the length '1e3', expected a number"),
        ({"offset": "60", "length": "8"}, "needs more bytes than 'w.raw' holds"),
        ({"offset": "100"}, "needs more bytes than 'w.raw' holds"),
    ],
    ids=str,
)
def test_places_in_the_file_that_make_no_sense(entries: dict[str, str], says: str, tmp_path: Path) -> None:
    (tmp_path / "w.raw").write_bytes(VALUES.tobytes())
    assert says in refused(save(tmp_path, plain(initializer=[tensor("w.raw", **entries)])))


def test_many_tensors_of_one_large_file_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "w.raw").open("wb") as file:
        file.truncate(100 << 20)
    many = [tensor("w.raw", f"w{i}") for i in range(100)]
    assert "keep more than 536870912 bytes in other files" in refused(save(tmp_path, plain(initializer=many)))


def test_a_pipe_in_place_of_a_file_is_missing(tmp_path: Path) -> None:
    os = pytest.importorskip("os")
    os.mkfifo(tmp_path / "w.raw")
    assert "which is missing" in refused(save(tmp_path, plain(initializer=[tensor("w.raw")])))


def test_the_files_of_bytes_that_are_no_model_are_none(tmp_path: Path) -> None:
    whole = plain(initializer=[tensor("w.raw")]).SerializeToString()
    rng = np.random.default_rng(0)
    path = tmp_path / "net.onnx"
    for data in (b"", b"location", *(whole[:i] for i in range(0, len(whole), 7)), *(rng.bytes(60) for _ in range(50))):
        path.write_bytes(data + b"location")
        assert set(external_files(path)) <= {"w.raw"}
    assert external_files(tmp_path / "none") == {} and external_files(tmp_path) == {}


def test_a_file_of_too_many_fields_is_refused_wherever_they_stand(tmp_path: Path) -> None:
    def field(number: int, data: bytes) -> bytes:
        size, length = len(data), b""
        while size > 127:
            size, length = size >> 7, length + bytes([size & 127 | 128])
        return bytes([number << 3 | 2]) + length + bytes([size]) + data

    numbers = field(1, b"location") + b"\x40\x01" * (MAX_FIELDS + 1)  # an attribute's ints
    (tmp_path / "net.onnx").write_bytes(field(7, field(1, field(5, numbers))))
    with pytest.raises(ChipfitError, match=r"^net\.onnx: has more than 2097152 fields"):
        external_files(tmp_path / "net.onnx")


def test_a_change_in_a_file_that_is_read_changes_the_key_and_one_beside_it_does_not(tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "w.raw").write_bytes(VALUES.tobytes())
    save(tmp_path, in_subgraph(tensor("e/w.raw")))
    text = "product: net\nmodel: {source: net.onnx}\nchip: rp2040\n"
    (tmp_path / "net.yaml").write_text(text, "utf-8")
    job = Job(load_project(tmp_path / "net.yaml"), tmp_path / "build")

    def keys() -> dict[str, str]:
        return {s.NAME: key_of(s, job).digest for s in STAGES if s.NAME in ("import", "quantize", "report")}

    before = keys()
    (tmp_path / "other.data").write_bytes(b"x")
    assert keys() == before
    (tmp_path / "e" / "w.raw").write_bytes((VALUES + 1).tobytes())
    after = keys()
    assert all(after[n] != before[n] for n in some(before))
