"""Servers of a shared store: Debian's nginx with WebDAV, moto's S3, and one that misbehaves as told."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest

NGINX = """
daemon off;
master_process off;
pid {root}/nginx.pid;
error_log {root}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log {root}/access.log;
  client_body_temp_path {root}/body;
  proxy_temp_path {root}/proxy;
  fastcgi_temp_path {root}/fastcgi;
  uwsgi_temp_path {root}/uwsgi;
  scgi_temp_path {root}/scgi;
SERVER
}}
"""
SERVER = """
server {
  listen 127.0.0.1:PORT;
  root ROOT;
  client_max_body_size 1g;
  location / {
    dav_methods PUT;
    create_full_put_path on;
    RULES
  }
}
"""
READ_ONLY = "limit_except GET { deny all; }"


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(300):
        assert process.poll() is None, "the server ended at once"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server does not answer")


@contextmanager
def nginx(root: Path, rules: str = "", server: str = SERVER) -> Iterator[str]:
    """URL of a real WebDAV server whose files lie in `root`/files; skips where there is no nginx."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed")
    port = free_port()
    (root / "files").mkdir(parents=True)
    root.chmod(0o755)
    filled = server.replace("ROOT", str(root / "files")).replace("PORT", str(port)).replace("RULES", rules)
    (root / "nginx.conf").write_text(NGINX.format(root=root).replace("SERVER", filled), "utf-8")
    user = ["-g", "user root;"] if _is_root() else []
    command = [program, "-p", str(root), "-c", str(root / "nginx.conf"), "-e", str(root / "error.log"), *user]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(process, port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


@contextmanager
def moto(root: Path) -> Iterator[str]:
    """URL of moto's S3 in a process of its own; skips where it is not installed."""
    for module in ("moto", "flask", "s3fs"):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed (chipfit[test-store])")
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (root / "moto.log").open("wb") as log, subprocess.Popen(command, cwd=root, stdout=log, stderr=log) as process:
        try:
            _wait_for(process, port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


@contextmanager
def google(root: Path, bucket: str) -> Iterator[str]:
    """URL of an emulator of Google's storage with one bucket; skips where it is not installed."""
    for module in ("gcp_storage_emulator", "gcsfs"):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed (chipfit[test-store])")
    port = free_port()
    start = "from gcp_storage_emulator.__main__ import main; import sys; sys.exit(main(sys.argv[1:]))"
    options = ["start", "--host=127.0.0.1", f"--port={port}", "--in-memory", f"--default-bucket={bucket}"]
    command = [sys.executable, "-c", start, *options]
    with (
        (root / "google.log").open("wb") as log,
        subprocess.Popen(command, cwd=root, stdout=log, stderr=log) as process,
    ):
        try:
            _wait_for(process, port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def bucket(endpoint: str, name: str) -> None:
    request = urllib.request.Request(f"{endpoint}/{name}", method="PUT")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


class Odd(BaseHTTPRequestHandler):
    """Answers each GET, HEAD and PUT as the test says."""

    protocol_version = "HTTP/1.1"
    answer: Callable[["Odd"], None]
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        self.close_connection = True
        type(self).answer(self)

    do_HEAD = do_PUT = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass

    def send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def odd_server(answer: Callable[[Odd], None]) -> Iterator[tuple[str, list[str]]]:
    """URL of a server that answers so, and the list of what it was asked."""
    asked: list[str] = []
    handler = type("Handler", (Odd,), {"answer": answer, "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
