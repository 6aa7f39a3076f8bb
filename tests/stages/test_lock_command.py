"""A lock of a product with narrow weights: rebuilt from it, the library is the same, whatever calibration would say."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import ROOT, chipfit_here

from pipeline.facts.config import load_project
from pipeline.facts.config.lock import read_lock
from pipeline.facts.errors import ManyErrors
from pipeline.graph.tensor import Array
from pipeline.quantizing.onnx_runtime import FloatSession
from stages import STAGES, codegen, quantize
from stages.base import Job

PRODUCT = "configs/products/touch.yaml"
DECIDED = ("quantize/graph.json", "quantize/weights.bin", "quantize/model.qdq.onnx", "quantize/decisions.json")


@pytest.fixture(scope="module")
def repository(products: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A firmware repository with touch alone, built and locked."""
    folder = tmp_path_factory.mktemp("locked")
    for path in ("configs", "build/touch"):
        shutil.copytree(products / path, folder / path)
    done = chipfit_here(folder, "lock", PRODUCT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("configs/products/touch.lock.yaml: written\n")
    return folder


@pytest.fixture
def own(repository: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(repository, tmp_path / "firmware"))


def results(folder: Path) -> dict[str, bytes]:
    """Files of the library, and what quantization decided."""
    built = folder / "build" / "touch"
    library = [p for p in (built / "codegen").rglob("*") if p.is_file() and p.name != ".stamp.json"]
    assert len(library) > 10
    return {p.relative_to(built).as_posix(): p.read_bytes() for p in (*library, *(built / n for n in DECIDED))}


CALIBRATION = "configs/models/calibration.npz"


@pytest.fixture
def apart(own: Path) -> Path:
    """A copy whose calibration data are in a file of their own, which holds nothing else; built and locked."""
    path = own / "configs" / "models" / "touch.npz"
    with np.load(path) as arrays:
        assert sorted(arrays.files) == ["calib", "x", "y"]
        np.savez(own / CALIBRATION, calib=arrays["calib"])
        np.savez(path, x=arrays["x"], y=arrays["y"])
    change(own / PRODUCT, "calibration: ../models/touch.npz", "calibration: ../models/calibration.npz")
    done = chipfit_here(own, "lock", PRODUCT)
    assert done.returncode == 0, done.stdout + done.stderr
    return own


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def test_a_locked_build_needs_no_calibration_data_and_gives_the_same_bytes(apart: Path) -> None:
    """Neither the file nor the key in the YAML."""
    own = apart
    before = results(own)
    measured = (own / "build/touch/quantize/quantize.json").read_bytes()
    (own / CALIBRATION).unlink()
    shutil.rmtree(own / "build")
    done = chipfit_here(own, "build", "--locked", PRODUCT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert results(own) == before
    assert (own / "build/touch/quantize/quantize.json").read_bytes() == measured
    summary = (own / "build/touch/report/verdict.json").read_text("utf-8")
    assert "files of the library are, byte for byte, those of touch.lock.yaml" in summary
    manifest = json.loads((own / "build/touch/report/manifest.json").read_bytes())
    assert "lock" in manifest["inputs"] and "calibration" not in manifest["inputs"]
    provenance = json.loads((own / "build/touch/report/provenance.json").read_bytes())
    materials = {m["name"]: m for m in provenance["predicate"]["buildDefinition"]["resolvedDependencies"]}
    assert materials["lock"]["annotations"] == {"file": "touch.lock.yaml"}
    assert materials["lock"]["digest"]["sha256"] == manifest["inputs"]["lock"]
    unlocked = chipfit_here(own, "build", "--no-locked", PRODUCT)
    assert unlocked.returncode == 1
    assert "touch.yaml:5: calibration.npz does not exist." in unlocked.stdout + unlocked.stderr
    change(own / PRODUCT, "  calibration: ../models/calibration.npz", "  ")
    shutil.rmtree(own / "build")
    done = chipfit_here(own, "build", "--locked", PRODUCT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert results(own) == before
    unlocked = chipfit_here(own, "build", "--no-locked", PRODUCT)
    assert unlocked.returncode == 1 and "data.calibration: no calibration data are given" in unlocked.stderr


class OtherProcessor:
    """Floats of ONNX Runtime that may differ in their last bit, as those of another processor do."""

    def __init__(self) -> None:
        self.true_run, self.rng = FloatSession.run, np.random.default_rng(0)

    def run(
        self, session: FloatSession, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None
    ) -> Iterator[dict[str, Array]]:
        for row in self.true_run(session, feeds, outputs):
            yield {n: self._nudged(v) for n, v in row.items()}

    def _nudged(self, values: Array) -> Array:
        return np.nextafter(values, self.rng.choice([-1e9, 1e9], values.shape).astype(np.float32))


def test_the_last_bits_of_floats_change_no_byte_of_a_locked_build(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage is run where floats differ: unlocked, ranges move; locked, the network is the one that was locked."""
    monkeypatch.chdir(own)
    project = load_project(Path(PRODUCT))
    before = {n.partition("/")[2]: (own / "build/touch" / n).read_bytes() for n in DECIDED}
    other = OtherProcessor()
    monkeypatch.setattr(FloatSession, "run", lambda *given: other.run(*given))
    unlocked = quantize.run(Job(project, own / "build"))
    assert json.loads(unlocked["decisions.json"])["activations"] != json.loads(before["decisions.json"])["activations"]
    locked = quantize.run(
        Job(replace(project, lock=read_lock(Path("configs/products/touch.lock.yaml"))), own / "build")
    )
    assert {n: locked[n] for n in before} == before


def test_a_lock_is_written_again_as_it_was(own: Path) -> None:
    left_by_a_kill = own / "configs/products/.touch.lock.yaml.draft"
    left_by_a_kill.write_bytes(b"lock: ")
    done = chipfit_here(own, "lock", "touch")
    assert done.returncode == 0 and done.stdout.endswith("configs/products/touch.lock.yaml: is as it was\n")
    assert not left_by_a_kill.exists()
    assert chipfit_here(own, "lock", "--check", PRODUCT).stdout == "nothing has drifted: touch\n"
    change(own / "configs/products/touch.lock.yaml", "  ziglang: ", "  ziglang: 0.")
    done = chipfit_here(own, "lock", "--check")
    assert done.returncode == 1 and "Run pip install ziglang==0.0." in done.stderr
    assert "digits.lock.yaml: does not exist. Hint: chipfit lock writes it." in done.stderr


def test_the_documentation_shows_a_lock_as_it_is(own: Path) -> None:
    page = (ROOT / "docs" / "lock.md").read_text("utf-8")
    shown = yaml.safe_load(page.partition("```yaml\n")[2].partition("```")[0])
    real = yaml.safe_load((own / "configs/products/touch.lock.yaml").read_text("utf-8"))
    assert list(shown) == list(real)
    for part, keys in (("data", None), ("chip", None), ("settings", None), ("layers", "node_linear_2")):
        assert shown[part].keys() <= real[part].keys()
        assert keys is None or shown[part][keys].keys() == real[part][keys].keys()
    assert shown["activations"]["input"] == real["activations"]["input"]
    assert shown["chip"] == {k: real["chip"][k] for k in shown["chip"]}


def test_what_drifted_is_said_before_work_begins(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(own / PRODUCT, "weights: int5", "weights: int4")
    change(own / "configs/products/touch.lock.yaml", "  clock: 48 MHz", "  clock: 64 MHz")
    change(own / "configs/products/touch.lock.yaml", "  numpy: ", "  numpy: 0.")
    before = results(own)
    wanted = (
        "touch.yaml:9: quantization.weights: int5 is locked, now it is int4.",
        "touch.yaml:7: chip.clock: '64 MHz' is locked, now it is '48 MHz'.",
        "tools.numpy: 0.",
        "accept it: chipfit lock writes a new one.",
    )
    for environment, arguments in (
        ({}, ["build", "--locked"]),
        ({"CI": "true"}, ["build"]),
        ({"CHIPFIT_LOCKED": "1"}, ["build"]),
        ({}, ["lock", "--check"]),
    ):
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            done = chipfit_here(own, *arguments, PRODUCT)
        said = done.stdout + done.stderr
        assert done.returncode == 1
        assert not [w for w in wanted if w not in said], said
        assert "quantize    touch" not in said
    assert results(own) == before


def test_a_plan_is_that_of_the_build_which_a_lock_makes(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chipfit_here(own, "build", "--locked", PRODUCT).returncode == 0
    planned = chipfit_here(own, "plan", "touch", "--locked").stdout
    assert planned.endswith("7 stages: 7 up to date\n"), planned
    why = chipfit_here(own, "why", "quantize:touch").stdout
    assert "settings  lock.decisions: " in why and " -> -" in why, why
    monkeypatch.setenv("CI", "true")
    assert chipfit_here(own, "plan", "touch").stdout == planned


@pytest.mark.parametrize("array", ["calib", "y"])
def test_other_data_are_a_drift(array: str, own: Path) -> None:
    path = own / "configs" / "models" / "touch.npz"
    with np.load(path) as arrays:
        changed = {n: arrays[n] for n in arrays.files}
    changed[array] = changed[array][::-1]
    np.savez(path, **changed)
    done = chipfit_here(own, "build", "--locked", PRODUCT)
    role, line = ("calibration", 5) if array == "calib" else ("evaluation", 6)
    assert done.returncode == 1
    assert f"touch.yaml:{line}: data.{role}.arrays.{array}: " in done.stdout + done.stderr


def test_without_a_lock_a_locked_build_says_how_to_get_one(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own / "configs/products/touch.lock.yaml").unlink()
    done = chipfit_here(own, "build", "--locked", PRODUCT)
    assert done.returncode == 1
    assert "touch.lock.yaml: does not exist. Hint: chipfit lock writes it." in done.stdout + done.stderr
    monkeypatch.setenv("CI", "true")
    assert chipfit_here(own, "build", PRODUCT).returncode == 0
    monkeypatch.setenv("CHIPFIT_LOCKED", "perhaps")
    done = chipfit_here(own, "build", PRODUCT)
    assert done.returncode == 1 and "CHIPFIT_LOCKED is 'perhaps'. Hint: Expected: 1 or 0." in done.stderr


def test_locks_may_stand_beside_products_in_a_pattern(own: Path) -> None:
    lock = "configs/products/touch.lock.yaml"
    assert chipfit_here(own, "build", "--no-locked", PRODUCT, lock).returncode == 0
    assert chipfit_here(own, "lock", "--check", PRODUCT, lock).stdout == "nothing has drifted: touch\n"
    done = chipfit_here(own, "build", lock)
    assert done.returncode == 1
    assert done.stderr == f"{lock}: is a lock, and no product. Hint: Name the product's YAML, and --locked.\n"


def test_every_lock_that_cannot_be_taken_is_told(own: Path) -> None:
    """By the check of locks and by what a build from them would do: not the first one alone."""
    (own / "configs/products/digits.lock.yaml").write_text("lock: another\n", "utf-8")
    change(own / "configs/products/touch.lock.yaml", "figures:\n", "figures: none\nothers:\n")
    for command in (("lock", "--check"), ("plan", "--locked")):
        done = chipfit_here(own, *command)
        assert done.returncode == 1
        wanted = ("digits.lock.yaml:1: lock: ", "digits_mlp.lock.yaml: does not exist", "touch.lock.yaml:7: figures: ")
        assert not [w for w in wanted if w not in done.stderr], done.stderr


def test_what_cannot_be_written_does_not_keep_others_from_it(own: Path) -> None:
    """A folder stands in the place of one of two locks."""
    text = (own / PRODUCT).read_text("utf-8").replace("product: touch ", "product: again ")
    (own / "configs/products/again.yaml").write_text(text, "utf-8")
    (own / "configs/products/again.lock.yaml").mkdir()
    (own / "configs/products/touch.lock.yaml").unlink()
    done = chipfit_here(own, "lock", "configs/products/again.yaml", PRODUCT)
    assert done.returncode == 1 and "again.lock.yaml: cannot be written: " in done.stderr, done.stderr
    assert done.stdout.endswith("touch.lock.yaml: written\n") and len(done.stderr.splitlines()) == 1


def test_a_lock_that_was_edited_leads_nowhere(own: Path) -> None:
    """Whoever changes a decision in it does not get another network in silence."""
    before = results(own)
    change(own / "configs/products/touch.lock.yaml", "zero_point: -11", "zero_point: -10")
    done = chipfit_here(own, "build", "--locked", PRODUCT)
    said = done.stdout + done.stderr
    assert done.returncode == 1 and "network.graph.json: " in said and "the lock was edited" in said, said
    assert results(own) == before


def test_a_library_that_differs_from_the_lock_is_not_written(own: Path) -> None:
    project = load_project(own / PRODUCT)
    change(own / "configs/products/touch.lock.yaml", "  include/touch.h: ", "  include/touched.h: ")
    job = Job(replace(project, lock=read_lock(own / "configs/products/touch.lock.yaml")), own / "build")
    with pytest.raises(ManyErrors, match=r"library.include/touched.h: [0-9a-f]+ is locked, none came out"):
        codegen.run(job)


def test_a_failed_build_writes_no_lock(own: Path) -> None:
    lock = own / "configs/products/touch.lock.yaml"
    lock.unlink()
    change(own / PRODUCT, "latency: 100 us", "latency: 1 us")
    assert chipfit_here(own, "lock", PRODUCT).returncode == 1
    assert not lock.exists() and not list(lock.parent.glob(".*"))


def test_only_stages_that_a_lock_concerns_have_it_in_their_keys(own: Path) -> None:
    project = load_project(own / PRODUCT)
    locked = replace(project, lock=read_lock(own / "configs/products/touch.lock.yaml"))
    concerned = [s.NAME for s in STAGES if "lock" in s.settings(locked)]
    assert concerned == ["quantize", "codegen"]
    assert "calibration" in quantize.inputs(project) and "calibration" not in quantize.inputs(locked)
