"""When products are built from their locks, and what a lock says of data."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.facts.config import load_project
from pipeline.facts.errors import ChipfitError
from pipeline.graph.tensor import Port
from stages.app.drift import arrays_read, asks_for_lock, basis_of


@pytest.mark.parametrize(
    ("option", "environment", "answer"),
    [
        (None, {}, False),
        (None, {"CI": "true"}, None),
        (None, {"CI": "1"}, None),
        (None, {"CI": ""}, False),
        (None, {"CI": "false"}, False),
        (None, {"CI": "true", "CHIPFIT_LOCKED": "0"}, False),
        (None, {"CHIPFIT_LOCKED": "yes"}, True),
        (False, {"CI": "true", "CHIPFIT_LOCKED": "1"}, False),
        (True, {"CHIPFIT_LOCKED": "no"}, True),
    ],
)  # fmt: skip
def test_an_option_comes_before_the_environment(
    option: bool | None, environment: dict[str, str], answer: bool | None
) -> None:
    assert asks_for_lock(option, environment) is answer


def test_another_value_is_refused() -> None:
    with pytest.raises(ChipfitError, match="CHIPFIT_LOCKED is 'maybe'"):
        asks_for_lock(None, {"CHIPFIT_LOCKED": "maybe"})


def product(folder: Path, data: str) -> Path:
    path = folder / "net.yaml"
    path.write_text(
        f"product: net\nmodel: {{source: net.onnx}}\nchip: rp2040\ndata: {data}\naccuracy: {{signal: none}}\n", "utf-8"
    )
    return path


PORTS = [Port("x", "x", (1, 2), (0, 1))]


def test_an_array_has_the_same_digest_whichever_way_it_is_packed(tmp_path: Path) -> None:
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    project = load_project(product(tmp_path, "{calibration: a.npz}"))
    found = []
    for array in (x, np.asfortranarray(x), x.astype(">f4")):
        for save in (np.savez, np.savez_compressed):
            save(tmp_path / "a.npz", calib=array, other=array[:1])
            arrays = arrays_read(project, PORTS)
            assert arrays == {"calibration": ["calib"]}
            found.append(basis_of(project, arrays).data["calibration"])
    assert len({f.arrays["calib"] for f in found}) == 1 and len({f.file for f in found}) > 1
    np.savez(tmp_path / "a.npz", calib=x.reshape(2, 3))
    assert basis_of(project, {"calibration": ["calib"]}).data["calibration"].arrays != found[0].arrays


def test_named_arrays_labels_and_inputs_of_several_ports_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", data=np.zeros((2, 2)), truth=np.zeros(2, np.int64), y=np.zeros(2), p=np.zeros((2, 2)))
    named = product(tmp_path, "{evaluation: {file: a.npz, inputs: data, labels: truth}}")
    assert arrays_read(load_project(named), PORTS) == {"evaluation": ["data", "truth"]}
    several = product(tmp_path, "{evaluation: a.npz}")
    assert arrays_read(load_project(several), [*PORTS, Port("p", "p", (1, 2), (0, 1))]) == {"evaluation": ["p", "y"]}


def test_files_that_are_not_there_are_left_out(tmp_path: Path) -> None:
    project = load_project(product(tmp_path, "{calibration: a.npz}"))
    basis = basis_of(project, {"calibration": ["calib"]})
    assert basis.model == {} and basis.data == {}
    assert basis.settings["product"] == "net" and "accuracy" not in basis.settings and "chip" not in basis.settings
    assert basis.chip["core"] == "cortex-m0plus" and "notes" not in basis.chip
    assert basis.chip["clock"] == "133 MHz" and basis.chip["ram"]["size"] == "264 KiB"


def test_the_compiler_of_the_product_is_a_tool(tmp_path: Path) -> None:
    path = product(tmp_path, "{calibration: a.npz}")
    assert list(basis_of(load_project(path), {}).tools) == ["numpy", "onnx", "highspy", "jinja2", "ziglang"]
    path.write_text(path.read_text("utf-8") + "toolchain: gcc\n", "utf-8")
    *_, compiler = basis_of(load_project(path), {}).tools.items()
    assert compiler[0] == "arm-none-eabi-gcc" and " " not in compiler[1]
