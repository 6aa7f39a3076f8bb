"""Shared stores: in memory, in a folder, on a real WebDAV server and on an S3 stand-in."""

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cache_servers import READ_ONLY, bucket, free_port, google, moto, nginx
from conftest import ROOT, some

from pipeline.facts.artifact import json_sha256, sha256
from stages.store import Store, StoreSettings, open_store

KEY = {"code": {"quantize.py": "12"}}
DIGEST = json_sha256(KEY)
FILES = {f"src/x{n}.c": b"int x%d;\n" % n * 100 for n in range(20)} | {"empty": b"", "weights.bin": os.urandom(300_000)}
WEIGHTS = f"cas/{sha256(FILES['weights.bin'])}"


@pytest.fixture(
    params=["memory", "file", "nginx", *(pytest.param(p, marks=pytest.mark.exhaustive) for p in ("moto", "google"))]
)
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "memory":
        pytest.importorskip("fsspec")
        yield f"memory://{tmp_path.name}"
    elif request.param == "file":
        yield (tmp_path / "shared").as_uri()
    elif request.param == "nginx":
        pytest.importorskip("aiohttp")
        with nginx(tmp_path / "nginx") as server:
            yield f"{server}/team/chipfit"
    elif request.param == "google":
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", request.getfixturevalue("gs"))
        yield f"gs://chipfit-store/{tmp_path.name}"
    else:
        endpoint = request.getfixturevalue("s3")
        for name, value in (("ENDPOINT_URL", endpoint), ("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "y")):
            monkeypatch.setenv(f"AWS_{name}", value)
        bucket(endpoint, tmp_path.name.replace("_", "-"))
        yield f"s3://{tmp_path.name.replace('_', '-')}/chipfit"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto(tmp_path_factory.mktemp("moto")) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def gs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with google(tmp_path_factory.mktemp("google"), "chipfit-store") as endpoint:
        yield endpoint


def machine(folder: Path, url: str, mode: str = "read-only") -> Store:
    return open_store(StoreSettings(folder, url, "read-write" if mode == "read-write" else "read-only"))


def test_what_ci_builds_a_developer_restores(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine(tmp_path / "ci", url, "read-write").save(KEY, "quantize", FILES)
    developer = machine(tmp_path / "developer", url)
    assert developer.has(DIGEST) == "shared"
    entry = developer.entry(DIGEST)
    assert entry is not None and entry.stage == "quantize"
    restored = developer.restore(DIGEST)
    assert restored is not None and (restored.files, restored.source) == (FILES, "shared")
    again = machine(tmp_path / "developer", url).restore(DIGEST)
    assert again is not None and (again.files, again.source) == (FILES, "local")
    assert developer.has("0" * 64) is None and developer.restore("0" * 64) is None
    assert capsys.readouterr().err == ""


def test_only_a_read_write_store_is_written(url: str, tmp_path: Path) -> None:
    machine(tmp_path / "developer", url).save(KEY, "quantize", FILES)
    assert machine(tmp_path / "ci", url, "read-write").has(DIGEST) is None


def test_ci_with_a_warm_folder_of_its_own_fills_the_shared_store(url: str, tmp_path: Path) -> None:
    ci = tmp_path / "ci"
    machine(ci, url).save(KEY, "quantize", FILES)
    restored = machine(ci, url, "read-write").restore(DIGEST)
    assert restored is not None and restored.source == "local"
    assert machine(tmp_path / "developer", url).has(DIGEST) == "shared"


def test_blobs_travel_between_machines(url: str, tmp_path: Path) -> None:
    name = machine(tmp_path / "one", url, "read-write").put_blob(b"model")
    assert machine(tmp_path / "two", url).get_blob(name, 5) == b"model"
    assert machine(tmp_path / "two", url).get_blob(name, 4) is None
    assert machine(tmp_path / "two", url).get_blob(sha256(b"other"), 5) is None


def overwrite(tmp_path: Path, url: str, name: str, data: bytes) -> None:
    """As somebody who may write to the store."""
    kind, _, digest = name.partition("/")
    store = machine(tmp_path / "attacker", url, "read-write")
    assert store._shared is not None
    store._shared.write("ac" if kind == "ac" else "cas", digest, data)


@pytest.mark.parametrize("damage", [b"", b"short", b"\0" * 300_000, b"long" * 200_000])
@pytest.mark.parametrize("name", [f"ac/{DIGEST}", WEIGHTS], ids=["record", "blob"])
def test_what_is_damaged_there_is_said_and_overwritten_by_ci(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, damage: bytes
) -> None:
    machine(tmp_path / "ci", url, "read-write").save(KEY, "quantize", FILES)
    overwrite(tmp_path, url, name, damage)
    assert machine(tmp_path / "developer", url).restore(DIGEST) is None
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"{name[:-52]} " in said and "made anew" in said, said
    other = machine(tmp_path / "ci2", url, "read-write")
    assert other.restore(DIGEST) is None
    other.save(KEY, "quantize", FILES)
    restored = machine(tmp_path / "developer", url).restore(DIGEST)
    assert restored is not None and restored.files == FILES


def test_all_that_is_damaged_in_a_result_is_overwritten_at_once(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(tmp_path / "ci", url, "read-write").save(KEY, "quantize", FILES)
    for data in some(d for d in FILES.values() if len(d) > 100):
        overwrite(tmp_path, url, f"cas/{sha256(data)}", data[:-1] + b"?")
    ci = machine(tmp_path / "ci2", url, "read-write")
    assert ci.restore(DIGEST) is None
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "(and 20 more of this result): it is made anew" in said
    ci.save(KEY, "quantize", FILES)
    restored = machine(tmp_path / "developer", url).restore(DIGEST)
    assert restored is not None and restored.files == FILES and capsys.readouterr().err == ""


def test_a_store_in_a_forked_process_has_its_own_connections(url: str, tmp_path: Path) -> None:
    if not hasattr(os, "fork") or url.startswith("memory"):
        pytest.skip("there is no fork, or memory is copied")
    store = machine(tmp_path / "ci", url, "read-write")
    store.save(KEY, "quantize", FILES)
    store = machine(tmp_path / "developer", url)
    assert store.restore("0" * 64) is None
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=lambda: answers.put(store.restore(DIGEST)))
    child.start()
    restored = answers.get(timeout=30)
    child.join()
    assert restored is not None and (restored.files, restored.source) == (FILES, "shared")


def test_a_server_that_takes_no_put_costs_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("aiohttp")
    with nginx(tmp_path / "nginx", READ_ONLY) as server:
        store = machine(tmp_path / "ci", server, "read-write")
        store.save(KEY, "quantize", FILES)
        store.save({"other": 1}, "quantize", FILES)
        said = capsys.readouterr().err
        assert said == f"store: {server}: it answers 403 to PUT: the build goes on without it\n"
        assert store.restore(DIGEST) is not None


def test_an_unreachable_server_costs_a_line_and_is_not_asked_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("aiohttp")
    url = f"http://user:secret@127.0.0.1:{free_port()}/x"
    store = machine(tmp_path / "developer", url, "read-write")
    for number in range(3):
        assert store.restore(f"{number}" * 64) is None and store.has(DIGEST) is None
        store.save({"number": number}, "quantize", FILES)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith(f"store: {url.replace('user:secret@', '')}: "), said


def test_a_folder_that_is_not_there_costs_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = (tmp_path / "nowhere").as_uri()
    assert machine(tmp_path / "developer", url).restore(DIGEST) is None
    assert "there is no such folder" in capsys.readouterr().err


@pytest.mark.exhaustive
def test_a_bucket_that_is_not_there_costs_a_line(
    s3: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("ENDPOINT_URL", s3), ("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "y")):
        monkeypatch.setenv(f"AWS_{name}", value)
    store = machine(tmp_path / "developer", "s3://nobody-has-this-bucket/x", "read-write")
    assert store.restore(DIGEST) is None
    store.save(KEY, "quantize", FILES)
    assert capsys.readouterr().err.count("there is no such bucket") == 1


def test_a_damaged_file_of_a_folder_that_one_may_only_read_stays(tmp_path: Path) -> None:
    url = (tmp_path / "shared").as_uri()
    machine(tmp_path / "ci", url, "read-write").save(KEY, "quantize", FILES)
    overwrite(tmp_path, url, WEIGHTS, b"x")
    assert machine(tmp_path / "developer", url).restore(DIGEST) is None
    assert (tmp_path / "shared" / WEIGHTS).read_bytes() == b"x"


def test_the_nginx_of_the_documentation_lets_only_ci_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("aiohttp")
    page = (ROOT / "docs" / "store.md").read_text("utf-8")
    server = page.partition("```nginx\n")[2].partition("```")[0]
    (tmp_path / "htpasswd").write_text("ci:{PLAIN}secret\n", "utf-8")
    server = server.replace("/etc/nginx/chipfit.htpasswd", str(tmp_path / "htpasswd"))
    with nginx(tmp_path / "nginx", server=server.replace("/srv/chipfit", "ROOT").replace("8080", "PORT")) as url:
        ci = machine(tmp_path / "ci", url.replace("//", "//ci:secret@"), "read-write")
        ci.save(KEY, "quantize", FILES)
        assert machine(tmp_path / "developer", url).has(DIGEST) == "shared" and capsys.readouterr().err == ""
        machine(tmp_path / "developer", url, "read-write").save({"other": 1}, "quantize", FILES | {"x": b"new"})
        assert "it answers 401" in capsys.readouterr().err
        restored = machine(tmp_path / "developer", url).restore(DIGEST)
    assert restored is not None and restored.files == FILES
