"""A service killed with -9: nothing of it goes on, and the next one goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import psutil

from fakes.gguf_corpus import gguf
from fakes.hub import FakeHub
from fakes.index import FakeIndex
from foundrylocal.catalog.library import Library
from foundrylocal.catalog.registry import (
    HubSource,
    Model,
    PackagePart,
    PackageSource,
    Source,
    SourceFile,
    render_model,
)

MB = 1024 * 1024
GONE_S = 2.0
KILLS = 10
TWICE_AT_MAX = 8 * MB
CONTENT = gguf() + os.urandom(22 * MB)
FILE = SourceFile("tiny.gguf", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


class Downloader:
    """The service that only downloads, as a process; `model` is what it downloads."""

    def __init__(self, home: Path, source: Source) -> None:
        self.model = Model("me/Tiny-GGUF", "Tiny-GGUF", None, None, None, None, None, (), (source,))
        self.home = home
        (home / "model.json").write_text(json.dumps(render_model(self.model)))

    def start(self) -> subprocess.Popen[str]:
        script = Path(__file__).with_name("downloader.py")
        command = [sys.executable, str(script), str(self.home), str(self.home / "model.json")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("pid ")
        return process

    def kill(self, process: subprocess.Popen[str]) -> None:
        """Kill it, and see that its children follow within the bound."""
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        process.kill()
        process.communicate()
        _, alive = psutil.wait_procs(children, timeout=GONE_S)
        assert alive == []

    def finish(self) -> str:
        """Let it end by itself; what it said at the start."""
        with self.start() as process:
            assert process.stdout is not None
            # Not `communicate`, which would pass over what `readline` took in advance.
            start, *rest = process.stdout.read().split()
        assert rest == ["done"]
        return start

    def stored_bytes(self) -> bytes:
        stored = Library(self.home / "cache").check(self.model)
        assert stored is not None
        return stored.model_path.read_bytes()


def test_row_5_killed_at_ten_points_a_download_resumes_and_fetches_little_twice(
    hub: FakeHub, tmp_path: Path
) -> None:
    hub.add("me/repo", "tiny.gguf", CONTENT)
    hub.bytes_per_piece_wait_s = 0.005
    hub.has_small_buffers = True
    service = Downloader(tmp_path, HubSource("me/repo", None, (FILE,)))
    for number in range(1, KILLS + 1):
        # However long this test is kept from killing it, there is something left for the next one.
        hub.storage_faults.append(f"stall:{number * 2 * MB}")
        before = hub.sent_bytes
        process = service.start()
        hub.wait_for_sent(before + 3 * MB // 2)
        service.kill(process)
        assert Library(tmp_path / "cache").all() == [], f"listed after kill {number}"
    hub.bytes_per_piece_wait_s = 0.0
    assert service.finish() == "resumed"
    assert service.stored_bytes() == CONTENT
    starts = [
        int(asked.headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        for asked in hub.asked
        if asked.origin == "storage"
    ]
    assert len(starts) == KILLS + 1
    # Each goes on behind the one before it: of what was read nothing is lost.
    assert starts == sorted(set(starts))
    # Over all ten kills together, with what was in the sockets at each: sent and never read.
    assert hub.sent_bytes - len(CONTENT) <= TWICE_AT_MAX


def test_row_5_killed_while_pip_runs_nothing_stays_and_the_next_start_goes_on(
    index: FakeIndex, tmp_path: Path
) -> None:
    fields = index.add("tiny", "1.0", {"m": CONTENT})
    source = PackageSource((PackagePart(**fields, member="m"),), FILE)
    service = Downloader(tmp_path, source)
    index.stall_after = MB
    process = service.start()
    assert index.is_asked_for_wheel.wait(30)
    service.kill(process)
    index.stall_after = None
    index.go_on.set()
    assert service.finish() == "resumed"
    assert service.stored_bytes() == CONTENT
    assert not list((tmp_path / "cache" / "partial").rglob("*.whl"))


def test_a_download_that_ends_leaves_no_partial_file_and_an_empty_journal(
    hub: FakeHub, tmp_path: Path
) -> None:
    hub.add("me/repo", "tiny.gguf", CONTENT)
    service = Downloader(tmp_path, HubSource("me/repo", None, (FILE,)))
    assert service.finish() == "fresh"
    assert [path for path in (tmp_path / "cache" / "partial").rglob("*") if path.is_file()] == []
    assert json.loads((tmp_path / "state" / "downloads.json").read_bytes()) == {
        "downloads": [],
        "paused": [],
    }
