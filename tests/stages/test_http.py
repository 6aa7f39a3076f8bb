"""A shared store over HTTP whose server does what it likes: the build goes on, soon and with a line."""

import gzip
import time
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import pytest
from cache_servers import Odd, odd_server

from pipeline.facts.artifact import json_sha256, sha256
from stages.store import Store, StoreSettings, open_store, shared
from stages.store.entry import MAX_RECORD, entry_bytes
from stages.store.exchange import make_entry

pytest.importorskip("aiohttp")
KEY = {"code": {"quantize.py": "12"}}
DIGEST = json_sha256(KEY)
FILES = {"x.bin": b"x" * 1000}
RECORD = entry_bytes(make_entry("quantize", KEY, FILES))


def endless(request: Odd) -> None:
    request.send_response(200)
    request.end_headers()
    try:
        while True:
            request.wfile.write(b"x" * (1 << 16))
    except OSError:
        pass


def silent(request: Odd) -> None:
    time.sleep(60)  # for whoever waits for it, the connection then ends: another line


def dripping(request: Odd) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "1000000")
    request.end_headers()
    try:
        for _ in range(600):  # likewise
            request.wfile.write(b"{")
            request.wfile.flush()
            time.sleep(0.1)
    except OSError:
        pass


def broken_off(request: Odd) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(RECORD)))
    request.end_headers()
    request.wfile.write(RECORD[:100])


def bomb(request: Odd) -> None:
    request.send(200, gzip.compress(b"x" * (4 * MAX_RECORD)), Content_Encoding="gzip")


def no_http(request: Odd) -> None:
    request.wfile.write(b"220 mail.example ESMTP\r\n")


def around(request: Odd) -> None:
    request.send(302, Location=request.path)


ANSWERS: dict[str, tuple[Callable[[Odd], None], str]] = {
    "endless": (endless, "has more than 1048576 bytes: it is made anew"),
    "a bomb": (bomb, "has more than 1048576 bytes: it is made anew"),
    "huge": (lambda r: r.send(200, b"x" * (MAX_RECORD + 1)), "has more than 1048576 bytes: it is made anew"),
    "breaks off": (broken_off, "breaks off: it is made anew"),
    "a page": (lambda r: r.send(200, b"<html>sign in</html>"), "is not JSON: it is made anew"),
    "empty": (lambda r: r.send(200), "is not JSON: it is made anew"),
    "silent": (silent, "it does not answer in time: the build goes on without it"),
    "dripping": (dripping, "it does not answer in time: the build goes on without it"),
    "no http": (no_http, "it failed with ClientResponseError: the build goes on without it"),
    "in circles": (around, "it failed with TooManyRedirects: the build goes on without it"),
    "out of order": (lambda r: r.send(500), "it answers 500: the build goes on without it"),
    "not for you": (lambda r: r.send(401), "it answers 401: the build goes on without it"),
    "forbidden": (lambda r: r.send(403), "it answers 403, which may mean that it has no such file"),
    "no content": (lambda r: r.send(204), "it answers 204: the build goes on without it"),
    "partial": (lambda r: r.send(206, RECORD), "it answers 206: the build goes on without it"),
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONNECT", "SILENCE"):
        monkeypatch.setattr(shared, name, 0.4)


def developer(folder: Path, url: str) -> Store:
    return open_store(StoreSettings(folder, url))


@pytest.mark.parametrize(("answer", "line"), ANSWERS.values(), ids=ANSWERS)
def test_an_odd_answer_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: Callable[[Odd], None], line: str
) -> None:
    with odd_server(answer) as (url, asked):
        store = developer(tmp_path, url)
        assert store.restore(DIGEST) is None
        said = capsys.readouterr().err
        assert said.startswith(f"store: {url}: ") and said.count("\n") == 1 and line in said, said
        if "goes on without it" in line and "403" not in line:
            before = len(asked)
            assert store.restore(DIGEST) is None and store.has(DIGEST) is None and len(asked) == before


def test_an_odd_blob_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = iter([b"x" * 999, b"x" * 1001, b"y" * 1000, b""])
    with odd_server(lambda r: r.send(200, RECORD if "/ac/" in r.path else next(answers))) as (url, _):
        for _ in range(4):
            assert developer(tmp_path, url).restore(DIGEST) is None
            assert capsys.readouterr().err.count(f"cas/{sha256(FILES['x.bin'])[:12]} ") == 1


def test_what_a_server_says_reaches_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = b'{"format": "\\u001b[2J\\u202e", "x": 1}'
    with odd_server(lambda r: r.send(200, hostile)) as (url, _):
        assert developer(tmp_path, url).restore(DIGEST) is None
    said = capsys.readouterr().err
    assert said.isascii() and "\x1b" not in said and said.count("\n") == 1


def test_user_and_password_are_sent_but_never_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sent: list[str | None] = []
    with odd_server(lambda r: (sent.append(r.headers["Authorization"]), r.send(500))[1]) as (url, _):
        for password in ("s3cret", "s3%2Fcr%40et"):
            assert developer(tmp_path, url.replace("//", f"//user:{password}@")).restore(DIGEST) is None
    said = capsys.readouterr().err
    assert [b64decode(str(s).removeprefix("Basic ")) for s in sent] == [b"user:s3cret", b"user:s3/cr@et"]
    assert "s3" not in said and "user" not in said


def test_a_server_without_head_still_takes_files(tmp_path: Path) -> None:
    held: dict[str, bytes] = {}

    def answer(request: Odd) -> None:
        if request.command == "HEAD":
            request.send(405)
        elif request.command == "PUT":
            held[request.path] = request.rfile.read(int(request.headers["Content-Length"]))
            request.send(201)
        else:
            request.send(200 if request.path in held else 404, held.get(request.path, b""))

    with odd_server(answer) as (url, asked):
        open_store(StoreSettings(tmp_path / "ci", url, "read-write")).save(KEY, "quantize", FILES)
        assert [a.split("/")[1] for a in asked if a.startswith("PUT")] == ["cas", "ac"]
        restored = developer(tmp_path / "developer", url).restore(DIGEST)
    assert restored is not None and restored.files == FILES and restored.source == "shared"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_files_are_sent_to_no_other_server(tmp_path: Path, capsys: pytest.CaptureFixture[str], status: int) -> None:
    """GET and HEAD of this one may be answered elsewhere, but who may write there is another matter."""

    def answer(request: Odd) -> None:
        if request.command == "PUT":
            request.rfile.read(int(request.headers["Content-Length"]))
            request.send(status, Location=f"{there}{request.path}")
        else:
            request.send(404)

    with odd_server(lambda r: r.send(201)) as (there, asked_there), odd_server(answer) as (url, asked):
        open_store(StoreSettings(tmp_path / "ci", url, "read-write")).save(KEY, "quantize", FILES)
    assert [a.split("/")[0] for a in asked] == ["HEAD ", "PUT "] and asked_there == []
    said = capsys.readouterr().err
    assert f"it answers {status} to PUT: the build goes on without it" in said and said.count("\n") == 1
