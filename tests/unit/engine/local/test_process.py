"""A worker's lines are read without holding the event loop."""

from __future__ import annotations

import asyncio
from pathlib import Path

from foundrylocal.engine.engine import WorkerLaunch
from foundrylocal.engine.llama_cpp.log import EngineLog
from foundrylocal.engine.local.process import LINES_PER_TURN, WorkerProcess
from foundrylocal.engine.replica import ListenAddress, ReplicaSpec
from foundrylocal.wire.load_options import EffectiveOptions

LINES = 1_000


def test_row_18_lines_that_are_buffered_already_give_way_to_others(tmp_path: Path) -> None:
    async def main() -> None:
        spec = ReplicaSpec(
            "one", "a/b", tmp_path, None, 1, 1, EffectiveOptions(context_size=4096, parallel=1)
        )
        address = ListenAddress(socket=tmp_path / "s", host="127.0.0.1", port=0, api_key="")
        worker = WorkerProcess(spec, address, WorkerLaunch((), {}, b""), EngineLog(), 1, lambda _: None)
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
