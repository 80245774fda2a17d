"""The server that nodes fetch models from: what it serves, to whom, and from where in a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from foundrylocal.engine.ray.file_server import FileServer

CONTENT = bytes(range(256)) * 64


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    file = tmp_path / "model.gguf"
    file.write_bytes(CONTENT)
    server = FileServer("127.0.0.1")
    server.offer({hashlib.sha256(CONTENT).hexdigest(): str(file)})
    yield server
    server.close()


def get(server: FileServer, target: str, **headers: str) -> httpx.Response:
    return httpx.get(
        server.address.url + target, headers={"Authorization": f"Bearer {server.address.key}", **headers}
    )


def test_a_file_is_served_by_its_digest_whole_or_from_a_byte_on(server: FileServer) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert get(server, f"/{digest}").content == CONTENT
    rest = get(server, f"/{digest}", Range="bytes=1000-")
    assert (rest.status_code, rest.content) == (206, CONTENT[1000:])
    assert rest.headers["Content-Range"] == f"bytes 1000-{len(CONTENT) - 1}/{len(CONTENT)}"
    assert get(server, f"/{digest}", Range=f"bytes={len(CONTENT) + 1}-").status_code == 416


@pytest.mark.parametrize("key", ["", "Bearer", "Bearer wrong", "Basic x"])
def test_nobody_gets_a_byte_without_the_key(server: FileServer, key: str) -> None:
    answer = get(server, f"/{hashlib.sha256(CONTENT).hexdigest()}", Authorization=key)
    assert (answer.status_code, answer.content) == (401, b"")


@pytest.mark.parametrize("target", ["/", "/" + "0" * 64, "/../../etc/passwd", "/model.gguf", "//" + "a" * 64])
def test_only_what_was_offered_is_served(server: FileServer, target: str) -> None:
    assert get(server, target).status_code == 404


def test_a_file_that_was_removed_is_not_found(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").unlink()
    assert get(server, f"/{hashlib.sha256(CONTENT).hexdigest()}").status_code == 404


def test_the_key_is_in_no_representation_of_the_address(server: FileServer) -> None:
    assert server.address.key not in repr(server.address)
