"""Serves model files to nodes: GET /<sha256> with a random key, in ranges, sent by the kernel.

Invariant: only files that were offered are served, and only to callers with the key; a path never comes from a
request. The server runs in the link, so its threads cost the service nothing.
"""

from __future__ import annotations

import hmac
import re
import secrets
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from foundrylocal.engine.ray.orders import FileServerAddress

SOCKET_TIMEOUT_S = 30.0
MAX_CONNECTIONS = 64
_TARGET = re.compile(r"/([0-9a-f]{64})")
_RANGE = re.compile(r"bytes=([0-9]{1,18})-")


class FileServer:
    """The owner of what is offered; `host` is the address of this machine that nodes can reach."""

    def __init__(self, host: str) -> None:
        self._offers: dict[str, Path] = {}
        self._key = secrets.token_urlsafe(32)
        self._http = _Server((host, 0), self._key, self._offers)
        port = self._http.server_address[1]
        self.address = FileServerAddress(f"http://{host}:{port}", self._key)
        self._thread = threading.Thread(target=self._http.serve_forever, name="files", daemon=True)
        self._thread.start()

    def offer(self, files: Mapping[str, str]) -> None:
        """Serve these paths by their sha256 from now on."""
        self._offers.update({sha256.lower(): Path(path) for sha256, path in files.items()})

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(SOCKET_TIMEOUT_S)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, at: tuple[str, int], key: str, offers: Mapping[str, Path]) -> None:
        self.expected = f"Bearer {key}".encode()
        self.offers = offers
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(at, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:  # the node tries again
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A node that hangs up in the middle of a file is nothing to report."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = SOCKET_TIMEOUT_S

    def do_GET(self) -> None:
        self.close_connection = True
        if not hmac.compare_digest(self.headers.get("Authorization", "").encode(), self.server.expected):
            self._refuse(HTTPStatus.UNAUTHORIZED)
            return
        found = _TARGET.fullmatch(self.path)
        path = self.server.offers.get(found[1]) if found else None
        try:
            file = path.open("rb") if path else None
        except OSError:
            file = None
        if file is None:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        with file:
            self._send(file)

    def _send(self, file: Any) -> None:
        size = file.seek(0, 2)
        begin = _RANGE.fullmatch(self.headers.get("Range", ""))
        offset = int(begin[1]) if begin else 0
        if offset > size:
            self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            return
        self.send_response(HTTPStatus.PARTIAL_CONTENT if begin else HTTPStatus.OK)
        self.send_header("Content-Length", str(size - offset))
        if begin:
            self.send_header("Content-Range", f"bytes {offset}-{size - 1}/{size}")
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        file.seek(offset)
        if offset < size:
            self.connection.sendfile(file, offset)

    def _refuse(self, status: HTTPStatus) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the service's log says what is loaded where."""
