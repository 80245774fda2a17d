"""The kit: broadcasts, operations, events on the wire, sizes, atomic files."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundrylocal.errors import DownloadFailed, FoundryLocalError, InternalError, OperationCancelled
from foundrylocal.events import Event, Failed, Measure, Progress, Succeeded
from foundrylocal.kit import backoff, sse
from foundrylocal.kit.atomic_file import write_atomically
from foundrylocal.kit.broadcast import Broadcast
from foundrylocal.kit.operation import Operation
from foundrylocal.kit.sizes import format_bytes


def test_a_slow_reader_loses_the_oldest_items() -> None:
    async def main() -> None:
        broadcast: Broadcast[int] = Broadcast()
        with broadcast.subscribe(size=3) as reader:
            for number in range(10):
                broadcast.publish(number)
            broadcast.close()
            assert [item async for item in reader] == [7, 8, 9]

    anyio.run(main)


def test_nobody_is_kept_after_leaving() -> None:
    async def main() -> None:
        broadcast: Broadcast[int] = Broadcast()
        with broadcast.subscribe():
            pass
        assert not broadcast._readers

    anyio.run(main)


async def _all(operation: Operation[str]) -> list[Event]:
    with operation.watch() as events:
        return [event async for event in events]


def test_a_late_watcher_sees_the_milestones_the_newest_measure_and_the_outcome() -> None:
    async def main() -> None:
        operation: Operation[str] = Operation("The test")

        async def work() -> str:
            operation.report(Progress("begin"))
            for percent in range(5):
                operation.report(Progress(f"{percent}", Measure("downloading", percent)))
            return "made"

        await operation.run(work, lambda made: f"done: {made}")
        events = await _all(operation)
        assert [event.message for event in events if isinstance(event, Progress)] == ["begin", "4"]
        assert events[-1] == Succeeded("done: made", "made")
        assert await operation.result() == "made"

    anyio.run(main)


@pytest.mark.parametrize(
    ("fault", "expected"), [(DownloadFailed("no way"), DownloadFailed), (ZeroDivisionError(), InternalError)]
)
def test_an_operation_that_fails_ends_with_one_domain_error(
    fault: Exception, expected: type[FoundryLocalError]
) -> None:
    async def main() -> None:
        operation: Operation[str] = Operation("The test")
        heard: list[Exception] = []

        async def work() -> str:
            raise fault

        await operation.run(work, str, heard.append)
        (event,) = await _all(operation)
        assert isinstance(event, Failed)
        assert isinstance(event.error, expected)
        assert heard == ([] if expected is DownloadFailed else [fault])
        with pytest.raises(expected):
            await operation.result()
        with pytest.raises(expected):
            await operation.begun()

    anyio.run(main)


def test_a_cancelled_operation_ends_as_cancelled_and_a_waiter_that_leaves_changes_nothing() -> None:
    async def main() -> None:
        operation: Operation[str] = Operation("The test")
        async with anyio.create_task_group() as group:
            group.start_soon(operation.run, anyio.sleep_forever, str)
            with anyio.move_on_after(0.01):
                await operation.result()
            assert not operation.is_ended
            operation.cancel()
            await operation.ended()
        with pytest.raises(OperationCancelled):
            await operation.result()

    anyio.run(main)


@given(st.text())
def test_nothing_in_an_event_breaks_its_line(text: str) -> None:
    raw = sse.encode({"message": text}).decode()
    assert raw.endswith("}\n\n")
    lines = raw.splitlines()
    assert len(lines) == 2
    if not any(0xD800 <= ord(char) < 0xE000 for char in text):
        assert json.loads(next(sse.parse(lines))) == {"message": text}


def test_the_number_of_an_event_comes_after_its_data() -> None:
    assert sse.frame(b"{}", number=7) == b"data: {}\nid: 7\n\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0.0 B"), (524288000, "500.0 MB"), (2147483648, "2.0 GB"), (1048575, "1.0 MB"), (1536, "1.5 KB")],
)
def test_sizes_are_written_as_published(count: int, text: str) -> None:
    assert format_bytes(count) == text


@given(st.integers(1, 10_000))
def test_back_off_stays_within_its_bounds(attempt: int) -> None:
    assert 0.25 <= backoff.delay_s(attempt) <= 30.0


def test_an_atomic_write_keeps_the_mode_and_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"one", mode=0o600)
    write_atomically(path, b"two", mode=0o600)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
