"""Many builders use one store at once, and are killed at any moment: nothing wrong is ever restored."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import some

from stages.store.bounded import BoundedFolder
from stages.store.upkeep import verify

LIMIT = 1 << 20
BUILDER = """if True:
    import hashlib, random, sys
    from pathlib import Path
    from pipeline.facts.artifact import json_sha256
    from stages.store import StoreSettings, open_store

    folder, seed, rounds, kinds, url = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5] or None
    rng, ran, restored = random.Random(seed), 0, 0

    def files(number):
        # Some files are in many results, some in one; sizes from none to a third of a megabyte.
        own = hashlib.shake_256(b"%d" % number)
        common = hashlib.shake_256(b"%d" % (number % 3))
        return {"own.bin": own.digest(number * 3001 % 70_000), "src/common.c": common.digest(50_000), "empty": b""}

    store = open_store(StoreSettings(Path(folder), url, "read-write", int(sys.argv[6])))
    print("ready", flush=True)
    sys.stdin.readline()
    while rounds:
        rounds -= 1
        number = rng.randrange(kinds)
        key = {"number": number}
        with store.exclusively(json_sha256(key)):
            found = store.restore(json_sha256(key))
            if found is None:
                store.save(key, "quantize", files(number))
                ran += 1
            else:
                assert found.files == files(number), number
                restored += 1
    print(ran, restored)
"""


def start(
    folder: Path, seed: int, rounds: int, kinds: int, url: str = "", limit: int = LIMIT
) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", BUILDER, str(folder), *map(str, (seed, rounds, kinds)), url, str(limit)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def go(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def together(processes: "list[subprocess.Popen[str]]") -> list[tuple[int, int]]:
    """What each of several builders made and restored, at the same time."""
    for process in processes:
        go(process)
    return [finish(p) for p in processes]


def finish(process: "subprocess.Popen[str]") -> tuple[int, int]:
    """How many results a builder made and restored; it must have had nothing to say."""
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, ""), err
    ran, restored = map(int, out.split())
    return ran, restored


def is_whole(folder: Path) -> bool:
    return not verify(BoundedFolder(folder, LIMIT)).damaged


@pytest.mark.parametrize("kinds", [12, 60], ids=["all fit", "two thirds are evicted"])
def test_builders_at_once_restore_only_what_was_saved(tmp_path: Path, kinds: int) -> None:
    done = together([start(tmp_path, seed, 60, kinds) for seed in range(4)])
    assert all(restored for _, restored in some(done)) and sum(ran for ran, _ in done) >= kinds
    if kinds == 12:
        assert sum(ran for ran, _ in done) == kinds  # each is made by one of them, and restored by the others
    assert is_whole(tmp_path) and BoundedFolder(tmp_path, LIMIT).total() <= LIMIT
    assert not [p for p in (tmp_path / "tmp").iterdir() if p.suffix != ".lock"]


def test_builders_at_once_share_a_folder_by_url(tmp_path: Path) -> None:
    url = (tmp_path / "shared").as_uri()
    done = together([start(tmp_path / f"own{seed}", seed, 60, 12, url) for seed in range(4)])
    assert all(restored for _, restored in some(done))
    assert is_whole(tmp_path / "shared") and len(list((tmp_path / "shared" / "ac").iterdir())) == 12


def kill_builders(folder: Path, kills: int) -> None:
    """Two builders at a time, of which one is killed at a random moment of its saving and evicting."""
    rng = random.Random(0)
    for seed in range(kills):
        other = start(folder, seed + 1000, 20, 40) if seed % 4 == 0 else None
        killed = start(folder, seed, -1, 40)
        for process in filter(None, (other, killed)):
            go(process)
        time.sleep(rng.random() * 0.15)
        assert killed.poll() is None
        killed.send_signal(signal.SIGKILL)
        _, err = killed.communicate(timeout=60)
        assert err == "" and killed.returncode == -signal.SIGKILL
        assert is_whole(folder)
        if other is not None:
            finish(other)
    together([start(folder, 7, 60, 40)])


@pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL")
def test_a_killed_builder_poisons_nothing(tmp_path: Path) -> None:
    kill_builders(tmp_path, 6)
    assert is_whole(tmp_path) and BoundedFolder(tmp_path, LIMIT).total() <= LIMIT


@pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL")
@pytest.mark.exhaustive
def test_three_hundred_killed_builders_poison_nothing(tmp_path: Path) -> None:
    kill_builders(tmp_path, 300)
    assert is_whole(tmp_path) and BoundedFolder(tmp_path, LIMIT).total() <= LIMIT
