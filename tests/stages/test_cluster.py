"""Builds on a real Dask scheduler with real workers, which are killed, missing and of another version."""

import filecmp
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import ROOT, chipfit, some

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL"),
]
PRODUCTS = ("configs/products/touch.yaml", "configs/products/digits_mlp.yaml")
_START = 60.0


@dataclass
class Cluster:
    """A scheduler and its workers, each with a folder of its own below `root`, and the store in which all meet."""

    root: Path
    environment: dict[str, str]
    scheduler: "subprocess.Popen[bytes]"
    address: str
    workers: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def add_worker(self, **environment: str) -> None:
        own = self.folder(len(self.workers))
        own.mkdir()
        command = ["distributed.cli.dask_worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        started = start(own, [*command, "--local-directory", str(own)], {**self.environment, **environment})
        self.workers.append(started)
        wait(lambda: "Registered to" in (own / "log").read_text("utf-8"), started)

    def folder(self, worker: int) -> Path:
        return self.root / f"worker{worker}"

    def busy(self, worker: int) -> bool:
        """Whether the worker is at a stage."""
        return any(self.folder(worker).glob("dask-scratch-space/worker-*/chipfit-*/build"))


def start(folder: Path, module: list[str], environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    with (folder / "log").open("wb") as log:
        return subprocess.Popen([sys.executable, "-m", *module], cwd=folder, stdout=log, stderr=log, env=environment)


def wait(condition: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + _START
    while not condition():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)


@contextmanager
def cluster(root: Path, workers: int, **settings: str) -> Iterator[Cluster]:
    pytest.importorskip("distributed", reason="distributed is not installed")
    root.mkdir(exist_ok=True)
    shared = {"CHIPFIT_STORE": (root / "shared").as_uri(), "CHIPFIT_STORE_MODE": "read-write"}
    environment = {**os.environ, **shared, **settings}
    command = ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    scheduler = start(root, command, environment)
    made = Cluster(root, environment, scheduler, "")
    try:
        wait(lambda: "Scheduler at:" in (root / "log").read_text("utf-8"), scheduler)
        text = (root / "log").read_text("utf-8")
        made.address = text.partition("Scheduler at:")[2].split()[0]
        for _ in range(workers):
            made.add_worker()
        yield made
    finally:
        for process in (*made.workers, scheduler):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster") / "it", 2) as made:
        yield made


@pytest.fixture
def firmware(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that nothing was built in."""
    monkeypatch.setenv("CHIPFIT_STORE_FOLDER", str(tmp_path / "own"))
    for part in ("products", "models"):
        shutil.copytree(ROOT / "configs" / part, tmp_path / "firmware" / "configs" / part)
    return tmp_path / "firmware"


def begin(folder: Path, made: Cluster, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "stages.app.cli", "build", "--scheduler", made.address, *arguments]
    environment = {**made.environment, "CHIPFIT_STORE_FOLDER": os.environ["CHIPFIT_STORE_FOLDER"]}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True, env=environment)


def build(folder: Path, made: Cluster, *arguments: str) -> tuple[int, str, str]:
    process = begin(folder, made, *(arguments or PRODUCTS))
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def is_as_built_here(folder: Path, products: Path, *names: str) -> bool:
    """Whether the results of products are byte for byte those of a plain build."""
    found = True
    for name in some(names or ("touch", "digits_mlp")):
        here, there = ({p.relative_to(f): p for p in f.rglob("*") if p.is_file() and p.name != ".lock"}
                       for f in (products / "build" / name, folder / "build" / name))  # fmt: skip
        assert here.keys() == there.keys()
        found = found and all(filecmp.cmp(here[p], there[p], shallow=False) for p in some(here))
    return found


def test_a_cluster_gives_the_bytes_of_a_plain_build(two_workers: Cluster, firmware: Path, products: Path) -> None:
    code, out, err = build(firmware, two_workers)
    assert (code, err) == (0, "") and "14 stages: 14 ran on the cluster" in out and out.count(" fits") == 2
    assert is_as_built_here(firmware, products)
    assert all(w.poll() is None for w in some(two_workers.workers))
    code, out, err = build(firmware, two_workers)
    assert (code, err) == (0, "") and "14 stages: 14 up to date" in out
    shutil.rmtree(firmware / "build")
    shutil.rmtree(firmware.parent / "own")
    code, out, err = build(firmware, two_workers)
    assert (code, err) == (0, "") and "14 stages: 14 restored, 14 of them from the shared store" in out


def test_jobs_give_the_bytes_of_a_plain_build(firmware: Path, products: Path) -> None:
    done = chipfit(firmware, "build", "--jobs", "2", *PRODUCTS)
    assert done.returncode == 0, done.stderr
    assert is_as_built_here(firmware, products)


def test_variants_share_what_the_cluster_made(two_workers: Cluster, firmware: Path) -> None:
    variants = """
        extends: touch.yaml
        product: trio
        quantization: {calibration: min-max}
        variants: {chip: [truetouch-m0, stm32g0b1, rp2040]}
        """
    (firmware / "configs/products/trio.yaml").write_text(textwrap.dedent(variants), "utf-8")
    code, out, err = build(firmware, two_workers, "configs/products/trio.yaml", "quantize")
    assert (code, err) == (0, ""), err
    assert [line[-14:] for line in out.splitlines() if line.startswith("quantize ")] == ["on the cluster"]


def test_a_locked_product_is_built_from_its_lock(two_workers: Cluster, firmware: Path) -> None:
    assert chipfit(firmware, "lock", PRODUCTS[0]).returncode == 0
    shutil.rmtree(firmware / "build")
    assert chipfit(firmware, "build", "--locked", PRODUCTS[0]).returncode == 0
    (firmware.parent / "here").mkdir()
    (firmware / "build").rename(firmware.parent / "here" / "build")
    code, out, err = build(firmware, two_workers, "--locked", PRODUCTS[0])
    assert (code, err) == (0, "") and "1 ran" in out
    assert is_as_built_here(firmware, firmware.parent / "here", "touch")


def test_a_mistake_has_its_place_in_the_products_yaml(two_workers: Cluster, firmware: Path) -> None:
    path = firmware / "configs" / "products" / "touch.yaml"
    text = path.read_text("utf-8").replace("models/touch.npz", "models/digits.npz")
    path.write_text(text, "utf-8")
    code, _, err = build(firmware, two_workers, PRODUCTS[0])
    here = chipfit(firmware, "build", PRODUCTS[0])
    assert code == here.returncode == 1 and err == here.stderr and "configs/products/touch.yaml:" in err


def test_ctrl_c_leaves_nothing_waiting(two_workers: Cluster, firmware: Path) -> None:
    from distributed import Client

    process = begin(firmware, two_workers, "configs/products/digits.yaml")
    wait(lambda: two_workers.busy(0) or two_workers.busy(1), process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err == "interrupted; what was finished is kept\n"
    with Client(two_workers.address, set_as_default=False) as client:
        wait(lambda: client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)) == 0,
             two_workers.scheduler)  # fmt: skip


def test_a_worker_that_is_killed_at_a_stage_loses_nothing(tmp_path: Path, firmware: Path, products: Path) -> None:
    with cluster(tmp_path / "it", 2) as made:
        process = begin(firmware, made, *PRODUCTS)
        wait(lambda: made.busy(0), process)
        made.workers[0].kill()
        out, err = process.communicate(timeout=300)
        assert (process.returncode, err) == (0, "") and "14 ran on the cluster" in out
        assert made.workers[0].wait() == -signal.SIGKILL and made.workers[1].poll() is None
    assert is_as_built_here(firmware, products)


def test_a_stage_that_ends_its_workers_is_an_error(tmp_path: Path, firmware: Path) -> None:
    with cluster(tmp_path / "it", 1, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0") as made:
        process = begin(firmware, made, PRODUCTS[0])
        wait(lambda: made.busy(0), process)
        made.workers[0].kill()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1 and err.count("\n") == 1
        assert re.match(rf"{made.address}: [a-z-]+:touch ended 1 worker that ran it, the last one at tcp://\S+\. ", err)


def test_a_scheduler_that_goes_ends_the_build_and_the_next_one_goes_on(
    tmp_path: Path, firmware: Path, products: Path
) -> None:
    with cluster(tmp_path / "one", 1) as made:
        process = begin(firmware, made, *PRODUCTS)
        wait(lambda: (firmware / "build/touch/quantize").is_dir() and made.busy(0), process)
        made.scheduler.kill()
        _, err = process.communicate(timeout=120)
        assert process.returncode == 1
        assert err.startswith(f"{made.address}: the scheduler has gone during the build.") and err.count("\n") == 1
        gone = made.address
        done = chipfit_at(gone, firmware, made)
        assert (
            done[0] == 1 and done[2].startswith(f"{gone}: the scheduler cannot be reached") and done[2].count("\n") == 1
        )
    with cluster(tmp_path / "two", 1) as made:
        code, out, err = build(firmware, made)
        assert (code, err) == (0, "") and "up to date" in out
    assert is_as_built_here(firmware, products)


def chipfit_at(address: str, folder: Path, made: Cluster) -> tuple[int, str, str]:
    return build(folder, Cluster(made.root, made.environment, made.scheduler, address), PRODUCTS[0])


def test_a_worker_of_another_version_is_named_and_makes_nothing(tmp_path: Path, firmware: Path) -> None:
    other = tmp_path / "other"
    for package in ("pipeline", "stages"):
        shutil.copytree(ROOT / package, other / package, ignore=shutil.ignore_patterns("__pycache__"))
    with suppress(FileNotFoundError):
        shutil.copytree(ROOT / "configs" / "chips", other / "configs" / "chips")
    with (other / "stages" / "import_model.py").open("a", encoding="utf-8") as file:
        file.write("# another state of it\n")
    with cluster(tmp_path / "it", 0) as made:
        made.add_worker(PYTHONPATH=str(other))
        code, _, err = build(firmware, made)
        assert code == 1 and err.count("\n") == 1 and err.startswith("worker tcp://127.0.0.1:")
        assert " has another stages/import_model.py than chipfit " in err
        assert not (made.root / "shared" / "ac").exists()


def test_a_worker_without_chipfit_says_so(tmp_path: Path, firmware: Path) -> None:
    broken = tmp_path / "broken" / "stages"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ModuleNotFoundError('there is no such module')\n", "utf-8")
    with cluster(tmp_path / "it", 0, PYTHONPATH=str(broken.parent)) as made:
        made.add_worker()
        made.environment["PYTHONPATH"] = str(ROOT)
        code, _, err = build(firmware, made, PRODUCTS[0])
        assert code == 1 and err.count("\n") == 1
        assert err.startswith(
            f"{made.address}: the cluster cannot run import:touch: there is no such module. Hint: Its "
        )
        made.add_worker()
        made.workers[0].kill()
        code, _, err = build(firmware, made, PRODUCTS[0], "import")
        assert (code, err) == (0, "")
