"""Downloads onto a disk that is full or refuses: a small file system of its own, and errors at system calls."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.gguf_corpus import gguf
from fakes.hub import FakeHub
from foundrylocal.catalog.library import Library
from foundrylocal.catalog.registry import HubSource, LocalSource, Model, Registry, SourceFile
from foundrylocal.downloads.imports.importer import Importer
from foundrylocal.downloads.sources.hugging_face import HuggingFaceFetcher
from foundrylocal.errors import InsufficientDiskSpace
from foundrylocal.events import Progress

from .conftest import Running, fake_hub_hosts

pytestmark = pytest.mark.anyio

MB = 1024 * 1024
CONTENT = gguf() + os.urandom(12 * MB)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SOURCE = HubSource("me/repo", None, (SourceFile("tiny.gguf", len(CONTENT), SHA256),))
MODEL = Model("me/Tiny-GGUF", "Tiny-GGUF", None, None, None, None, None, (), (SOURCE,))


@pytest.fixture
def small_disk(library: Library) -> Iterator[Path]:
    """16 MB of file system under the cache folder."""
    library.cache_dir.mkdir()
    options = ["-t", "tmpfs", "-o", "size=16m", "none", str(library.cache_dir)]
    if sys.platform != "linux" or subprocess.run(["mount", *options], capture_output=True).returncode != 0:
        pytest.skip("needs to mount a file system")
    yield library.cache_dir
    subprocess.run(["umount", "-l", str(library.cache_dir)], check=True)


async def test_row_17_no_room_before_is_told_with_needed_and_free(
    hub: FakeHub, running: Running, small_disk: Path
) -> None:
    hub.add("me/repo", "tiny.gguf", CONTENT)
    async with running(MODEL, reserve_bytes=8 * MB) as manager:
        with pytest.raises(InsufficientDiskSpace) as caught:
            await manager.fetch(MODEL).begun()
    details = str(caught.value.details)
    assert details.startswith("Needed: 20.0 MB, free: 16.0 MB")
    assert "8.0 MB of what is needed stays free" in details
    assert hub.asked == []


async def test_row_17_room_for_a_size_missing_in_the_catalog_is_claimed_when_the_hub_gives_it(
    hub: FakeHub, running: Running, small_disk: Path
) -> None:
    hub.add("me/repo", "tiny.gguf", CONTENT)
    source = HubSource("me/repo", None, (SourceFile("tiny.gguf", None, SHA256),))
    unknown = replace(MODEL, sources=(source,))
    async with running(unknown, reserve_bytes=8 * MB) as manager:
        with pytest.raises(InsufficientDiskSpace) as caught:
            await manager.fetch(unknown).result()
    # What has arrived by then is not needed any more.
    assert re.match(r"Needed: (20\.0|19\.\d) MB, free: 1", str(caught.value.details))


async def test_row_17_two_downloads_are_not_promised_the_same_room(
    hub: FakeHub, running: Running, library: Library, small_disk: Path
) -> None:
    hub.add("me/repo", "tiny.gguf", CONTENT)
    others = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    sha256 = hub.add("me/other", "other.gguf", others)
    source = HubSource("me/other", None, (SourceFile("other.gguf", len(others), sha256),))
    second = replace(MODEL, model_id="me/Other", simple_name="Other", sources=(source,))
    hub.storage_faults.append(f"pause:{MB}")
    async with running(MODEL, second, reserve_bytes=0) as manager:
        operation = manager.fetch(MODEL)
        await operation.begun()
        with pytest.raises(InsufficientDiskSpace) as caught:
            await manager.fetch(second).begun()
        assert "of it reserved for earlier downloads" in str(caught.value.details)
        hub.go_on.set()
        await operation.result()
        await manager.delete(MODEL)
        await manager.fetch(second).result()
    assert library.check(second) is not None


async def test_row_17_a_disk_that_fills_half_way_ends_the_download_and_room_resumes_it(
    hub: FakeHub, running: Running, library: Library, small_disk: Path
) -> None:
    hub.add("me/repo", "tiny.gguf", CONTENT)
    hub.storage_faults.append(f"pause:{6 * MB}")
    filler = small_disk / "somebody's file"
    fetchers = {HubSource: HuggingFaceFetcher(allowed_hosts=fake_hub_hosts, first_delay_s=0.01)}
    async with running(MODEL, reserve_bytes=0, fetchers=fetchers) as manager:
        operation = manager.fetch(MODEL)
        with operation.watch() as events:
            async for event in events:
                if isinstance(event, Progress) and event.measure and (event.measure.percent or 0) > 40:
                    break
        filler.write_bytes(bytes(9 * MB))
        hub.go_on.set()
        with pytest.raises(InsufficientDiskSpace) as caught:
            await operation.result()
        assert "Needed: " in str(caught.value.details)
        assert library.all() == []
        filler.unlink()
        await manager.fetch(MODEL).result()
    stored = library.check(MODEL)
    assert stored is not None
    assert stored.model_path.read_bytes() == CONTENT
    assert hub.sent_bytes <= len(CONTENT) + 8 * MB


@pytest.mark.parametrize("mode", ["link", "move"])
async def test_a_link_and_a_move_on_one_disk_need_no_free_space(
    running: Running, library: Library, small_disk: Path, mode: str
) -> None:
    original = small_disk / "theirs.gguf"
    original.write_bytes(CONTENT)
    (small_disk / "somebody's file").write_bytes(bytes(3 * MB))
    source = LocalSource(mode, (SourceFile(str(original), len(CONTENT), None),))
    model = replace(MODEL, sources=(source,))
    async with running(model, reserve_bytes=256 * MB) as manager:
        await manager.fetch(model).result()
    stored = library.check(model)
    assert stored is not None
    assert stored.model_path.read_bytes() == CONTENT
    assert original.exists() == (mode == "link")


@pytest.mark.parametrize("mode", ["link", "move", "copy"])
async def test_an_import_onto_a_full_disk_says_so(
    running: Running, library: Library, small_disk: Path, tmp_path: Path, mode: str
) -> None:
    original = (small_disk if mode == "move" else tmp_path) / "theirs.gguf"
    original.write_bytes(gguf())
    registry = Registry()
    async with running(registry=registry, reserve_bytes=0) as manager:
        model = await Importer(registry, manager.imported).from_path(str(original), mode=mode)  # type: ignore[arg-type]
        _fill(small_disk)
        with pytest.raises(InsufficientDiskSpace) as caught:
            await manager.fetch(model).result()
    assert "free: 0.0 B" in str(caught.value.details)
    assert library.all() == []
    assert original.exists()


async def test_an_import_whose_entry_finds_no_space_says_so(
    running: Running, library: Library, small_disk: Path, tmp_path: Path
) -> None:
    original = tmp_path / "theirs.gguf"
    original.write_bytes(gguf())
    state = tmp_path / "state"
    state.symlink_to(small_disk)
    registry = Registry()
    async with running(registry=registry) as manager:
        _fill(small_disk)
        with pytest.raises(InsufficientDiskSpace):
            await Importer(registry, manager.imported).from_path(str(original))
    assert list(registry.all()) == []


def _fill(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
