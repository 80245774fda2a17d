"""A worker's lines are read without holding the event loop, and one that dies at once is no fault of the service."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import anyio
import pytest

from foundrylocal.engine.engine import WorkerLaunch
from foundrylocal.engine.llama_cpp.log import EngineLog
from foundrylocal.engine.local.process import LINES_PER_TURN, WorkerProcess
from foundrylocal.engine.replica import ListenAddress, ReplicaSpec
from foundrylocal.wire.load_options import EffectiveOptions

LINES = 1_000


def make_worker(folder: Path) -> WorkerProcess:
    spec = ReplicaSpec("one", "a/b", folder, None, 1, 1, EffectiveOptions(context_size=4096, parallel=1))
    address = ListenAddress(socket=folder / "s", host="127.0.0.1", port=0, api_key="")
    return WorkerProcess(spec, address, WorkerLaunch((), {}, b"order\n"), EngineLog(), 1, lambda _: None)


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop is not for Windows")
def test_the_order_of_a_worker_that_has_died_already_is_no_fault(tmp_path: Path) -> None:
    async def main() -> None:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "", stdin=pipe, stdout=pipe, stderr=pipe
        )
        await process.wait()
        await anyio.wait_all_tasks_blocked()  # the loop has closed the pipe
        with anyio.fail_after(10):
            await make_worker(tmp_path)._attend(process)

    anyio.run(main, backend_options={"use_uvloop": True})


def test_row_18_lines_that_are_buffered_already_give_way_to_others(tmp_path: Path) -> None:
    async def main() -> None:
        worker = make_worker(tmp_path)
        stream = asyncio.StreamReader()
        stream.feed_data(b"0.00.033.491 I srv  load_model: a line\n" * LINES)
        stream.feed_eof()
        reading = asyncio.create_task(worker._read_log(stream))
        turns = 0
        while not reading.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns >= LINES // LINES_PER_TURN

    asyncio.run(main())
