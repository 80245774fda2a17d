"""The list of wanted downloads on disk."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from foundrylocal.downloads.pending import PendingDownloads


def test_what_is_wanted_is_found_by_the_next_run_in_its_order(tmp_path: Path) -> None:
    async def run() -> list[str]:
        pending = PendingDownloads(tmp_path / "state" / "downloads.json")
        assert await pending.load() == []
        for model_id in ("a/1", "b/2", "c/3"):
            await pending.add(model_id)
        await pending.discard("b/2")
        await pending.discard("never there")
        return await PendingDownloads(tmp_path / "state" / "downloads.json").load()

    assert anyio.run(run) == ["a/1", "c/3"]


def test_a_paused_download_is_found_apart_by_the_next_run(tmp_path: Path) -> None:
    async def run() -> tuple[list[str], list[str]]:
        pending = PendingDownloads(tmp_path / "downloads.json")
        for model_id in ("a/1", "b/2"):
            await pending.add(model_id)
        await pending.pause("a/1")
        after = PendingDownloads(tmp_path / "downloads.json")
        return await after.load(), after.paused()

    assert anyio.run(run) == (["b/2"], ["a/1"])


def test_a_list_of_an_older_version_has_no_paused_ones(tmp_path: Path) -> None:
    path = tmp_path / "downloads.json"
    path.write_text('{"downloads": ["a/1"]}')
    assert anyio.run(PendingDownloads(path).load) == ["a/1"]


@pytest.mark.parametrize("text", ["", "\x00\x00", "[]", '{"downloads": 5}', '{"downloads": [1, null]}', "{"])
def test_a_pending_that_cannot_be_read_is_empty(tmp_path: Path, text: str) -> None:
    path = tmp_path / "downloads.json"
    path.write_text(text)
    assert anyio.run(PendingDownloads(path).load) == []
