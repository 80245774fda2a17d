"""A Hugging Face hub on loopback that speaks what huggingface_hub asks, and misbehaves on command.

Invariant: it has two origins, the hub and the storage that it redirects to; it records every request, and
faults are used up in order, one for each GET of bytes (`storage_faults`) or request to the hub (`hub_faults`).
Run as a program it serves one file: `python tests/fakes/hub.py OWNER/REPO PATH FILE [--port N]`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

PIECE_BYTES = 256 * 1024
# What was sent is then hardly more than what was read, so that a count of it says what was fetched twice.
SEND_BUFFER_BYTES = 64 * 1024


@dataclass
class RepoFile:
    """One file: its bytes, or a path to them; sha256 as the hub says it, which may be a lie."""

    data: bytes | Path
    etag: str
    size: int

    def read(self, start: int, end: int) -> bytes:
        if isinstance(self.data, bytes):
            return self.data[start:end]
        with self.data.open("rb") as file:
            file.seek(start)
            return file.read(end - start)


@dataclass
class Repo:
    """A repository with one commit at a time."""

    commit: str = "a" * 40
    files: dict[str, RepoFile] = field(default_factory=dict)
    license: str = "apache-2.0"
    is_gated: bool = False


@dataclass(frozen=True)
class Asked:
    """One request as it came; `at_s` is when, by a clock that only goes forward."""

    origin: str
    method: str
    path: str
    headers: dict[str, str]
    at_s: float


Fault = Callable[[RepoFile, int], None]


class FakeHub:
    """`with FakeHub() as hub: hub.add("me/repo", "a.gguf", data)`; `hub.environment` points the client at it."""

    def __init__(self, port: int = 0) -> None:
        self.repos: dict[str, Repo] = {}
        self.asked: list[Asked] = []
        self.sent_bytes = 0
        self.storage_faults: deque[str] = deque()
        self.hub_faults: deque[str] = deque()
        self.has_xet = False
        self.next_page = ""  # where a search goes on
        self.xet_refresh_origin = ""  # another one than the hub's
        self.xet_storage_url = ""  # where the hub says that Xet is
        self.go_on = threading.Event()
        self.bytes_per_piece_wait_s = 0.0
        self.has_small_buffers = False
        self._lock = threading.Condition()
        self._servers = [self._serve(_Hub, port), self._serve(_Storage, 0)]

    def _serve(self, handler: type[BaseHTTPRequestHandler], port: int) -> ThreadingHTTPServer:
        server = _Server(("127.0.0.1", port), type(handler.__name__, (handler,), {"hub": self}))
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    def __enter__(self) -> FakeHub:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go_on.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._servers[0].server_address[1]}"

    @property
    def storage_url(self) -> str:
        # Another host name too: older versions of the client take another port for the same origin.
        return f"http://localhost:{self._servers[1].server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "HF_ENDPOINT": self.url,
            "FOUNDRYLOCAL_HUB_ALLOWED_HOSTS": "localhost",
            "NO_PROXY": "*",
            "HF_HUB_OFFLINE": "0",
        }

    def add(self, repo: str, path: str, data: bytes | Path, *, etag: str | None = None) -> str:
        """Publish a file, or another version of it; its sha256."""
        if isinstance(data, bytes):
            sha256, size = hashlib.sha256(data).hexdigest(), len(data)
        else:
            with data.open("rb") as file:
                sha256, size = hashlib.file_digest(file, "sha256").hexdigest(), data.stat().st_size
        self.repos.setdefault(repo, Repo()).files[path] = RepoFile(data, etag or sha256, size)
        return sha256

    def record(self, origin: str, handler: BaseHTTPRequestHandler) -> None:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self._lock:
            self.asked.append(Asked(origin, handler.command, handler.path, headers, time.monotonic()))

    def count(self, size: int) -> None:
        with self._lock:
            self.sent_bytes += size
            self._lock.notify_all()

    def wait_for_sent(self, size: int, timeout_s: float = 30.0) -> None:
        """Wait until so many bytes were sent in all; raises TimeoutError."""
        with self._lock:
            if not self._lock.wait_for(lambda: self.sent_bytes >= size, timeout_s):
                raise TimeoutError(f"{self.sent_bytes} of {size} bytes were asked for")

    def take(self, faults: deque[str]) -> str:
        with self._lock:
            return faults.popleft() if faults else ""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    # A client that was told of a reset by RST leaves nothing to say on stderr.
    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def reset(self) -> None:
        """Close with RST, as a network that broke does."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True
        raise ConnectionResetError

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Hub(_Handler):
    """The hub's origin: metadata, and redirects to the storage."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.hub.record("hub", self)
        if self._misbehave(self.hub.take(self.hub.hub_faults)):
            return
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(found[1], found[3])
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+?)(?:/revision/[^/]+)?", path):
            self._info(found[1])
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+?)/tree/[^/]+", path):
            self._tree(found[1])
        elif path == "/api/xet-token" and self.hub.xet_storage_url:
            self._give_xet_token()
        elif path == "/api/models":
            self._search(parse_qs(parts.query))
        else:
            self._refuse(404, "EntryNotFound")

    def _misbehave(self, fault: str) -> bool:
        what, _, value = fault.partition(":")
        match what:
            case "reset":
                self.reset()
            case "status":
                status, _, retry_after = value.partition(":")
                self.answer(int(status), {"Retry-After": retry_after} if retry_after else {})
            case "loop":
                self.hub.hub_faults.append("loop")
                self.answer(302, {"Location": self.path})
            case "stall":
                self.hub.go_on.wait(60)
            case "redirect":
                self.answer(302, {"Location": value, **self._facts(self._any_file())})
            case _:
                return False
        return True

    def _any_file(self) -> tuple[Repo, RepoFile]:
        repo = next(iter(self.hub.repos.values()))
        return repo, next(iter(repo.files.values()))

    def _facts(self, found: tuple[Repo, RepoFile]) -> dict[str, str]:
        repo, file = found
        return {
            "X-Repo-Commit": repo.commit,
            "X-Linked-Size": str(file.size),
            "X-Linked-Etag": f'"{file.etag}"',
            "ETag": f'"{file.etag}"',
        }

    def _resolve(self, name: str, path: str) -> None:
        repo = self.hub.repos.get(name)
        if repo is None:
            self._refuse(401, "RepoNotFound")
        elif repo.is_gated and "Authorization" not in self.headers:
            self._refuse(401, "GatedRepo")
        elif path not in repo.files:
            self._refuse(404, "EntryNotFound")
        else:
            headers = self._facts((repo, repo.files[path]))
            if self.hub.has_xet:
                route = f"{self.hub.xet_refresh_origin or self.hub.url}/api/xet-token"
                headers |= {"X-Xet-Hash": "f" * 64, "X-Xet-Refresh-Route": route}
            self.answer(302, {**headers, "Location": f"{self.hub.storage_url}/{name}/{path}"})

    def _give_xet_token(self) -> None:
        expires = str(int(time.time()) + 3600)
        self.answer(
            200,
            {
                "X-Xet-Cas-Url": self.hub.xet_storage_url,
                "X-Xet-Access-Token": "of-xet",
                "X-Xet-Token-Expiration": expires,
            },
        )

    def _refuse(self, status: int, code: str) -> None:
        self.answer(status, {"X-Error-Code": code})

    def _info(self, name: str) -> None:
        repo = self.hub.repos.get(name)
        if repo is None:
            self._refuse(401, "RepoNotFound")
        else:
            self._json(self._describe(name, repo))

    def _describe(self, name: str, repo: Repo) -> dict[str, Any]:
        return {
            "id": name,
            "modelId": name,
            "sha": repo.commit,
            "private": False,
            "gated": "manual" if repo.is_gated else False,
            "downloads": 1000,
            "tags": ["gguf"],
            "cardData": {"license": repo.license},
            "siblings": [
                {
                    "rfilename": path,
                    "size": file.size,
                    "blobId": "0" * 40,
                    "lfs": {"sha256": file.etag, "size": file.size, "pointerSize": 134},
                }
                for path, file in repo.files.items()
            ],
        }

    def _tree(self, name: str) -> None:
        repo = self.hub.repos[name]
        self._json(
            [
                {"type": "file", "path": path, "size": file.size, "oid": "0" * 40}
                for path, file in repo.files.items()
            ]
        )

    def _search(self, query: dict[str, list[str]]) -> None:
        words = query.get("search", [""])[0].casefold()
        limit = int(query.get("limit", ["100"])[0])
        found = [(name, repo) for name, repo in self.hub.repos.items() if words in name.casefold()]
        more = {"Link": f'<{self.hub.next_page}>; rel="next"'} if self.hub.next_page else {}
        self._json([self._describe(name, repo) for name, repo in found[:limit]], more)

    def _json(self, value: Any, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        self.answer(200, {"Content-Type": "application/json", **headers}, json.dumps(value).encode())


class _Storage(_Handler):
    """The second origin: bytes, whole or in ranges."""

    def setup(self) -> None:
        if self.hub.has_small_buffers:
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        super().setup()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.hub.record("storage", self)
        owner, repo, path = unquote(urlsplit(self.path).path).strip("/").split("/", 2)
        if f"{owner}/{repo}" not in self.hub.repos:  # of Xet, which has nothing here
            self.answer(404, {})
            return
        file = self.hub.repos[f"{owner}/{repo}"].files[path]
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted else 0
        faults = self.hub.storage_faults if self.command == "GET" else deque[str]()
        what, _, value = self.hub.take(faults).partition(":")
        fault = self._cut_short(what, value) or self._say_wrong(what, value) or self._lie(what)
        (fault or self._send)(file, start)

    def _cut_short(self, what: str, value: str) -> Fault | None:
        """Faults of a network: the answer ends at the absolute place `value`."""
        match what:
            case "reset":
                return lambda file, start: self.reset()
            case "reset-in-header":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Le")
                return lambda file, start: self.reset()
            case "cut":
                return partial(self._send, stop=int(value), then=self.reset)
            case "stall":
                return partial(self._send, stop=int(value), then=self._stall)
            case "pause":
                return partial(self._pause, stop=int(value))
            case "end":
                return partial(self._send, stop=int(value), then=self._hang_up)
        return None

    def _say_wrong(self, what: str, value: str) -> Fault | None:
        """Faults of a server that answers in its own way."""
        match what:
            case "416":
                return lambda file, start: self.answer(416, {"Content-Range": f"bytes */{file.size}"})
            case "status":
                status, _, retry_after = value.partition(":")
                headers = {"Retry-After": retry_after} if retry_after else {}
                return lambda file, start: self.answer(int(status), headers)
            case "too-long":
                return lambda file, start: self.answer(200, {}, file.read(0, file.size) + b"more")
            case "too-long-unsaid":
                return lambda file, start: self._send_unsaid(file.read(0, file.size) + b"more")
            case "other-bytes":
                return lambda file, start: self.answer(200, {}, bytes(file.size))
        return None

    def _lie(self, what: str) -> Fault | None:
        """Faults in the answer to a range."""
        match what:
            case "ignore-range":
                return lambda file, start: self._send(file, 0)
            case "wrong-range":
                return lambda file, start: self._send(file, start, lie=f"bytes 0-{file.size - 1}/{file.size}")
            case "wrong-total":
                return lambda file, start: self._send(
                    file, start, lie=f"bytes {start}-{file.size + 4}/{file.size + 5}"
                )
        return None

    def _send(
        self,
        file: RepoFile,
        start: int,
        *,
        stop: int | None = None,
        then: Callable[[], None] | None = None,
        lie: str | None = None,
    ) -> None:
        """The file from `start`; at the absolute place `stop` something else happens instead of the rest."""
        is_range = start > 0
        self.send_response(206 if is_range else 200)
        self.send_header("Content-Length", str(file.size - start))
        self.send_header("ETag", '"of the storage"')
        self.send_header("Accept-Ranges", "bytes")
        if is_range:
            self.send_header("Content-Range", lie or f"bytes {start}-{file.size - 1}/{file.size}")
        self.end_headers()
        end = file.size if stop is None else min(stop, file.size)
        at = start
        while at < end:
            piece = file.read(at, min(at + PIECE_BYTES, end))
            self.wfile.write(piece)
            self.hub.count(len(piece))
            at += len(piece)
            if self.hub.bytes_per_piece_wait_s:
                self.hub.go_on.wait(self.hub.bytes_per_piece_wait_s)
        if then is not None:
            then()

    def _send_unsaid(self, body: bytes) -> None:
        """Without a length, until the connection ends."""
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def _pause(self, file: RepoFile, start: int, *, stop: int) -> None:
        """Stop at a place until `go_on` is set, then send the rest."""
        self._send(file, start, stop=stop, then=lambda: None)
        self.wfile.flush()
        self.hub.go_on.wait(60)
        self.wfile.write(file.read(max(start, stop), file.size))
        self.hub.count(file.size - max(start, stop))

    def _hang_up(self) -> None:
        self.close_connection = True

    def _stall(self) -> None:
        self.wfile.flush()
        self.hub.go_on.wait(60)
        self.close_connection = True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repo")
    parser.add_argument("path")
    parser.add_argument("file", type=Path)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    with FakeHub(options.port) as hub:
        hub.add(options.repo, options.path, options.file)
        print(f"HF_ENDPOINT={hub.url}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
