"""The recent log lines: the owner of the ring buffer that GET /logs reads and that stream readers follow.

Invariant: the ring is the only buffer. A reader holds a position in it and no lines of its own, so a reader that
stalls costs nothing, and one that falls behind the oldest line learns how many lines it missed. A line is encoded
once, however many readers there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice

import anyio
import msgspec

from foundrylocal.events import LogEntry
from foundrylocal.kit import sse
from foundrylocal.kit.clock import format_time

MAX_LINES = 10_000
MAX_BYTES = 16 * 1024 * 1024
"""Bound on the characters of all lines together; a few very long lines displace many short ones."""
BATCH_BYTES = 32 * 1024
"""What a reader gets at once: few enough bytes that the event loop attends to others in between."""

_LINE_OVERHEAD_BYTES = 200
_json = msgspec.json.Encoder()


def render_line(time: float, level: str, message: str, source: str) -> bytes:
    """A log line as the API publishes it, as compact JSON."""
    return _json.encode(
        {"timestamp": format_time(time), "level": level, "message": message, "source": source}
    )


class LogLine:
    """One recorded line; its encoded forms are made when they are first needed, and kept."""

    def __init__(self, entry: LogEntry) -> None:
        self.entry = entry

    @property
    def size_bytes(self) -> int:
        """What it counts for in the ring."""
        return len(self.entry.message) + _LINE_OVERHEAD_BYTES

    @cached_property
    def json(self) -> bytes:
        entry = self.entry
        return render_line(entry.time, entry.level, entry.message, entry.source)

    @cached_property
    def event(self) -> bytes:
        """The line as one server-sent event; JSON of an escaped message holds no line break."""
        return sse.frame(self.json, number=self.entry.number)


class LogRing:
    """Belongs to the event loop's thread; `add` is called there only.

    Lines are numbered from `before` on, which rises with each start of the service, so that a number of an earlier
    run is recognized.
    """

    def __init__(self, before: int = 0) -> None:
        self._lines: deque[LogLine] = deque()
        self._size_bytes = 0
        self._before = self._last = before
        self._is_closed = False
        self._news: anyio.Event | None = None

    @property
    def first_number(self) -> int:
        """The number of the oldest line there is; of the next one when there is none."""
        return self._last - len(self._lines) + 1

    @property
    def last_number(self) -> int:
        return self._last

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def add(self, time: float, level: str, message: str, source: str) -> None:
        self._last += 1
        line = LogLine(LogEntry(self._last, time, level, message, source))
        self._lines.append(line)
        self._size_bytes += line.size_bytes
        while len(self._lines) > MAX_LINES or (self._size_bytes > MAX_BYTES and len(self._lines) > 1):
            self._size_bytes -= self._lines.popleft().size_bytes
        self._wake()

    def recent(self, count: int, *, level: str | None = None, source: str | None = None) -> list[LogLine]:
        """The last `count` lines of that level and source, oldest first."""
        wanted = (
            line
            for line in reversed(self._lines)
            if (level is None or line.entry.level == level)
            and (source is None or line.entry.source == source)
        )
        return list(islice(wanted, count))[::-1]

    def lines_from(self, number: int) -> Iterator[LogLine]:
        """The lines from `number` on, which must not be older than the oldest."""
        for index in range(number - self.first_number, len(self._lines)):
            yield self._lines[index]

    def follow(self, *, tail: int = 0, after: int | None = None) -> LogReader:
        """Read from now on, after the last `tail` lines, or after line number `after`.

        With a number of an earlier run of the service, reading starts with the oldest line there is.
        """
        if after is None:
            return LogReader(self, max(self.first_number, self._last - tail + 1))
        is_of_this_run = self._before <= after <= self._last
        return LogReader(
            self, after + 1 if is_of_this_run else self.first_number, is_new_run=not is_of_this_run
        )

    def close(self) -> None:
        """End every reader once it has read the remaining lines."""
        self._is_closed = True
        self._wake()

    async def wait_for_news(self) -> None:
        """Return when a line was added or the ring was closed."""
        if self._news is None:
            self._news = anyio.Event()
        await self._news.wait()

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None


class LogReader:
    """A position in the ring: an iterator over batches of lines that ends when the ring is closed.

    `is_new_run` says that the reader resumed from a number of an earlier run of the service.
    """

    def __init__(self, ring: LogRing, position: int, *, is_new_run: bool = False) -> None:
        self._ring = ring
        self._position = position
        self.is_new_run = is_new_run

    @property
    def is_behind(self) -> bool:
        """Whether lines can be taken without waiting."""
        return self._position <= self._ring.last_number

    def take_lost(self) -> int:
        """How many lines were dropped from the ring before this reader got to them; skips over them."""
        lost = max(0, self._ring.first_number - self._position)
        self._position += lost
        return lost

    def take_batch(self) -> list[LogLine]:
        """The next lines, at most BATCH_BYTES of them but at least one; empty when there are none yet."""
        batch = list(_within(BATCH_BYTES, self._ring.lines_from(self._position)))
        self._position += len(batch)
        return batch

    async def wait(self) -> bool:
        """Wait until there is something to take; False when the ring is closed and everything was taken."""
        while not self.is_behind:
            if self._ring.is_closed:
                return False
            await self._ring.wait_for_news()
        return True


def _within(limit_bytes: int, lines: Iterable[LogLine]) -> Iterator[LogLine]:
    for line in lines:
        yield line
        limit_bytes -= line.size_bytes
        if limit_bytes <= 0:
            return
