"""A model on its way onto a node: fetched once, resumed, verified, kept while it is used, removed for others."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from foundrylocal.catalog.library import Library
from foundrylocal.engine.ray import node_space
from foundrylocal.engine.ray.file_server import FileServer
from foundrylocal.engine.ray.model_locks import ModelLock
from foundrylocal.engine.ray.node_files import NodeModel, ServiceFetcher, ensure_model
from foundrylocal.engine.ray.orders import FileServerAddress, FileSet
from foundrylocal.engine.replica import ModelFile
from foundrylocal.errors import ChecksumMismatch, DownloadFailed, InsufficientDiskSpace
from tests.fakes.gguf_corpus import tiny_keys, write_gguf

PADDING = 3 * 1024 * 1024


class Service:
    """The side that has the files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = FileServer("127.0.0.1")

    def model(self, model_id: str, seed: int = 0) -> FileSet:
        """A small model with some megabytes after its header."""
        path = self.folder / f"{seed}.gguf"
        write_gguf(path, tiny_keys(general__name=f"Tiny {seed}"))
        with path.open("ab") as file:
            file.write(bytes([seed % 256]) * PADDING)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self.server.offer({digest: str(path)})
        return FileSet(model_id, (ModelFile(path.name, path, path.stat().st_size, digest),))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    folder = tmp_path / "service"
    folder.mkdir()
    service = Service(folder)
    yield service
    service.server.close()


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "node")


def in_thread(work: Callable[[], Any]) -> Any:
    """Run it as an actor does: in a worker thread of an event loop."""
    return anyio.run(anyio.to_thread.run_sync, work)


def bring(
    library: Library, wanted: FileSet, at: FileServerAddress | None, counts: list[int] | None = None
) -> NodeModel:
    fetch = ServiceFetcher(lambda: at, sleep=lambda seconds: None)
    note = (counts if counts is not None else []).append
    return in_thread(partial(ensure_model, library, wanted, fetch, note))  # type: ignore[no-any-return]


def test_a_model_is_fetched_verified_and_listed_by_the_library(service: Service, library: Library) -> None:
    wanted, counts = service.model("a/b"), []
    model = bring(library, wanted, service.server.address, counts)
    stored = library.get("a/b")
    assert stored is not None
    assert model.paths == {wanted.files[0].path: stored.model_path}
    assert stored.model_path.read_bytes() == wanted.files[0].path.read_bytes()
    assert counts == sorted(counts) and counts[-1] == wanted.size_bytes


def test_a_model_that_is_there_is_used_without_a_service(service: Service, library: Library) -> None:
    wanted = service.model("a/b")
    bring(library, wanted, service.server.address).release()
    assert bring(library, wanted, None).paths


def test_a_fetch_goes_on_where_an_earlier_one_ended(service: Service, library: Library) -> None:
    wanted = service.model("a/b")
    first = _until(library, wanted, service, PADDING // 2)
    assert 0 < first < wanted.size_bytes
    counts: list[int] = []
    bring(library, wanted, service.server.address, counts)
    assert counts[0] > first


def _until(library: Library, wanted: FileSet, service: Service, limit: int) -> int:
    """Fetch until so many bytes have come, then lose the service for good; the bytes that are kept."""
    received: list[int] = []

    def where() -> FileServerAddress | None:
        return None if received and received[-1] > limit else service.server.address

    def note(count: int) -> None:
        received.append(count)
        if count > limit:
            raise ConnectionError("the network is gone")

    fetch = ServiceFetcher(where, sleep=lambda seconds: None)
    with pytest.raises((DownloadFailed, OSError)):
        in_thread(partial(ensure_model, library, wanted, fetch, note))
    return library.place(wanted.model_id).partial_bytes()


def test_wrong_bytes_are_refused_and_nothing_is_left(service: Service, library: Library) -> None:
    wanted = service.model("a/b")
    file = wanted.files[0]
    with file.path.open("r+b") as damaged:
        damaged.seek(-1, os.SEEK_END)
        damaged.write(b"\xff")
    with pytest.raises(ChecksumMismatch):
        bring(library, wanted, service.server.address)
    assert library.get("a/b") is None
    assert not list(library.place("a/b").partial.glob("*"))


def test_a_service_that_does_not_send_ends_in_one_error(service: Service, library: Library) -> None:
    wanted = service.model("a/b")
    wanted.files[0].path.unlink()
    with pytest.raises(DownloadFailed) as failed:
        bring(library, wanted, service.server.address)
    assert "did not send '0.gguf': it answered with status 404" in str(failed.value.details)


def test_a_node_without_space_says_so_before_it_fetches(
    service: Service, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_space, "free_bytes", lambda folder: node_space.RESERVE_BYTES)
    with pytest.raises(InsufficientDiskSpace):
        bring(library, service.model("a/b"), service.server.address)


def _with_space_for_one(monkeypatch: pytest.MonkeyPatch, library: Library, size_bytes: int) -> None:
    def free(folder: Path) -> int:
        taken = sum(stored.size_bytes for stored in library.all())
        return node_space.RESERVE_BYTES + size_bytes + 1024 - taken

    monkeypatch.setattr(node_space, "free_bytes", free)


def test_the_model_unused_for_longest_leaves_when_space_is_short(
    service: Service, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = service.model("a/first", 1), service.model("a/second", 2)
    bring(library, first, service.server.address).release()
    _with_space_for_one(monkeypatch, library, second.size_bytes)
    bring(library, second, service.server.address)
    assert [stored.model_id for stored in library.all()] == ["a/second"]


def test_a_model_in_use_never_leaves(
    service: Service, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = service.model("a/first", 1), service.model("a/second", 2)
    held = bring(library, first, service.server.address)
    _with_space_for_one(monkeypatch, library, second.size_bytes)
    with pytest.raises(InsufficientDiskSpace):
        bring(library, second, service.server.address)
    assert library.get("a/first") is not None
    held.release()
    bring(library, second, service.server.address)


def test_a_model_of_the_nodes_own_service_never_leaves(
    service: Service, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = service.model("a/own", 1)
    bring(library, own, service.server.address).release()
    for mark in (library.cache_dir / "node-models").glob("*.fetched"):
        mark.unlink()  # as if it had been downloaded there
    second = service.model("a/second", 2)
    _with_space_for_one(monkeypatch, library, second.size_bytes)
    with pytest.raises(InsufficientDiskSpace):
        bring(library, second, service.server.address)
    assert library.get("a/own") is not None


def test_whoever_comes_second_waits_and_fetches_nothing(service: Service, library: Library) -> None:
    wanted = service.model("a/b")

    async def main() -> None:
        lock = ModelLock(library.cache_dir, "a/b")
        assert lock.try_hold_alone()
        second = ServiceFetcher(lambda: None, sleep=lambda seconds: None)
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, partial(ensure_model, library, wanted, second))
            await anyio.to_thread.run_sync(_commit_elsewhere, service, library, wanted)
            lock.close()

    anyio.run(main)


def _commit_elsewhere(service: Service, library: Library, wanted: FileSet) -> None:
    from foundrylocal.engine.ray.node_files import as_model

    place = library.place(wanted.model_id)
    place.partial.mkdir(parents=True, exist_ok=True)
    fetch = ServiceFetcher(lambda: service.server.address)
    library.commit(as_model(wanted), place, fetch(wanted, place, lambda count: None))


def test_a_model_of_another_content_is_replaced(service: Service, library: Library) -> None:
    bring(library, service.model("a/b", 1), service.server.address).release()
    wanted = service.model("a/b", 2)
    bring(library, wanted, service.server.address)
    stored = library.get("a/b")
    assert stored is not None and stored.files[0].sha256 == wanted.files[0].sha256
