"""A package index on loopback, for pip: the simple pages of PEP 503 and wheels, misbehaving on command.

Invariant: it serves only the wheels given to it, and records every path it was asked for.
"""

from __future__ import annotations

import hashlib
import threading
import zipfile
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from types import TracebackType
from typing import Any


def wheel(package: str, version: str, members: Mapping[str, bytes]) -> tuple[str, bytes]:
    """The file name and the bytes of a wheel that pip accepts, holding `members` stored plain."""
    stem = f"{package.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    files = {
        **members,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: fake\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in {**files, f"{info}/RECORD": record.encode()}.items():
            archive.writestr(name, data)
    return f"{stem}-py3-none-any.whl", buffer.getvalue()


class FakeIndex:
    """`with FakeIndex() as index: index.add(...)`; `index.environment` points pip at it and at nothing else."""

    def __init__(self) -> None:
        self.wheels: dict[str, tuple[str, bytes, str]] = {}
        self.asked: list[str] = []
        self.is_asked_for_wheel = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        self.stall_after: int | None = None
        self.status: int | None = None
        handler = type("Handler", (_Handler,), {"index": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> FakeIndex:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        url = f"http://127.0.0.1:{self._server.server_address[1]}/simple/"
        return {"PIP_INDEX_URL": url, "PIP_CONFIG_FILE": "/dev/null", "PIP_RETRIES": "1", "NO_PROXY": "*"}

    def add(
        self, package: str, version: str, members: Mapping[str, bytes], *, listed_sha256: str | None = None
    ) -> dict[str, Any]:
        """Publish a wheel; the fields of its PackagePart but for the member."""
        name, data = wheel(package, version, members)
        sha256 = hashlib.sha256(data).hexdigest()
        self.wheels[package] = (name, data, listed_sha256 or sha256)
        return {
            "package": package,
            "version": version,
            "wheel": name,
            "wheel_sha256": sha256,
            "wheel_size_bytes": len(data),
        }


class _Handler(BaseHTTPRequestHandler):
    index: FakeIndex
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        index = self.index
        index.asked.append(self.path)
        parts = self.path.strip("/").split("/")
        if index.status is not None:
            self._answer(index.status, b"", "text/plain")
        elif parts[0] == "simple" and len(parts) == 2 and parts[1] in index.wheels:
            name, _, sha256 = index.wheels[parts[1]]
            page = f'<!DOCTYPE html><a href="/files/{name}#sha256={sha256}">{name}</a>'
            self._answer(200, page.encode(), "text/html")
        elif parts[0] == "files" and (found := self._file(parts[1])) is not None:
            index.is_asked_for_wheel.set()
            self._answer(200, found, "application/octet-stream", is_wheel=True)
        else:
            self._answer(404, b"", "text/plain")

    def _file(self, name: str) -> bytes | None:
        return next((data for known, data, _ in self.index.wheels.values() if known == name), None)

    def _answer(self, status: int, body: bytes, kind: str, *, is_wheel: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = self.index.stall_after if is_wheel else None
        try:
            if cut is not None:
                self.wfile.write(body[:cut])
                self.wfile.flush()
                self.index.go_on.clear()
                self.index.go_on.wait(60)
                body = body[cut:]
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass
