"""The log stream: in order, once encoded, and no reader holds up the others."""

from __future__ import annotations

import json
import re

import anyio
import anyio.lowlevel

from foundrylocal.api.routes.logs import _events
from foundrylocal.logs.ring import BATCH_BYTES, MAX_LINES, LogReader, LogRing

READERS, STALLED, BURST = 40, 4, 10_000


def _numbers(data: bytes) -> list[int]:
    return [int(number) for number in re.findall(rb"^id: (\d+)$", data, re.MULTILINE)]


async def _fill(ring: LogRing) -> None:
    for number in range(2 * BURST):
        ring.add(0.0, "INFO", f"line {number}", "FoundryLocalService")
        if number % 100 == 0:
            await anyio.lowlevel.checkpoint()
    ring.close()


async def _read(ring: LogRing, received: bytearray, go_on: anyio.Event | None = None) -> None:
    async for chunk in _events(ring.follow(), pace_s=0):
        if go_on is not None and b"id: " in chunk:
            await go_on.wait()
        received += chunk


def test_row_18_fast_readers_lose_nothing_and_stalled_ones_learn_of_it() -> None:
    received = [bytearray() for _ in range(READERS)]

    async def main() -> None:
        ring, go_on = LogRing(), anyio.Event()
        async with anyio.create_task_group() as tasks:
            async with anyio.create_task_group() as fast:
                for index, buffer in enumerate(received):
                    is_stalled = index < STALLED
                    (tasks if is_stalled else fast).start_soon(
                        _read, ring, buffer, go_on if is_stalled else None
                    )
                await anyio.wait_all_tasks_blocked()
                await _fill(ring)
            go_on.set()

    anyio.run(main)
    for data in received[STALLED:]:
        assert _numbers(bytes(data)) == list(range(1, 2 * BURST + 1))
    for data in received[:STALLED]:
        (notice,) = (line for line in data.split(b"\n") if b"were dropped" in line)
        entry = json.loads(notice[6:])
        lost = int(entry["message"].partition(" ")[0])
        assert (entry["level"], entry["source"]) == ("WARNING", "API")
        assert lost >= BURST - MAX_LINES
        assert len(_numbers(bytes(data))) + lost == 2 * BURST


def test_row_18_readers_far_behind_give_way_after_each_batch() -> None:
    async def main() -> None:
        ring = LogRing()
        readers = [ring.follow() for _ in range(READERS)]
        for number in range(BURST):
            ring.add(0.0, "INFO", f"line {number}", "FoundryLocalService")
        ring.close()
        sent_bytes, turns = 0, 0

        async def read(reader: LogReader) -> None:
            nonlocal sent_bytes
            async for chunk in _events(reader, pace_s=0):
                sent_bytes += len(chunk)

        async with anyio.create_task_group() as tasks:
            for reader in readers:
                tasks.start_soon(read, reader)
            before = 0
            while sent_bytes < READERS * BURST * 100:
                await anyio.lowlevel.checkpoint()
                assert sent_bytes - before <= READERS * 2 * BATCH_BYTES
                before, turns = sent_bytes, turns + 1
        assert turns > 10

    anyio.run(main)
