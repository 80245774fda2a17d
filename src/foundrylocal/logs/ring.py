"""The recent log entries: the owner of the ring that GET /logs reads and the stream that follows it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice

from foundrylocal.events import LogEntry
from foundrylocal.kit.broadcast import Broadcast, Subscription

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
SOURCES = ("FoundryLocalApiService", "FoundryLocalService", "HealthMonitor", "DownloadService", "API")
RING_SIZE = 10_000
READER_SIZE = 2_000


class LogRing:
    """Belongs to the event loop's thread; `add` is called there only.

    Entries are numbered from `before` on, which rises over restarts, so that a number of an earlier run is
    known as such.
    """

    def __init__(self, before: int = 0) -> None:
        self._entries: deque[LogEntry] = deque(maxlen=RING_SIZE)
        self._broadcast: Broadcast[LogEntry] = Broadcast()
        self._before = self._last = before

    def add(self, time: float, level: str, message: str, source: str) -> None:
        self._last += 1
        entry = LogEntry(self._last, time, level, message, source)
        self._entries.append(entry)
        self._broadcast.publish(entry)

    def recent(self, count: int, *, level: str | None = None, source: str | None = None) -> list[LogEntry]:
        """The last `count` entries of that level and source, oldest first."""
        wanted = (
            entry
            for entry in reversed(self._entries)
            if (level is None or entry.level == level) and (source is None or entry.source == source)
        )
        return list(islice(wanted, count))[::-1]

    def _after(self, number: int) -> Iterator[LogEntry]:
        return (entry for entry in self._entries if entry.number > number)

    def follow(self, *, tail: int = 0, after: int | None = None) -> tuple[int | None, Subscription[LogEntry]]:
        """Follow from now on, after the last `tail` entries or after entry number `after`.

        Returns how many entries after `after` are lost for good, and the subscription. A number of an
        earlier run of the service starts from the oldest entry there is; what is lost then is not known: None.
        """
        if after is None:
            first = self.recent(tail) if tail else []
            return 0, self._broadcast.subscribe(first, size=max(READER_SIZE, len(first)))
        is_of_this_run = self._before <= after <= self._last
        first = list(self._after(after if is_of_this_run else self._before))
        if not is_of_this_run:
            return None, self._broadcast.subscribe(first, size=max(READER_SIZE, len(first)))
        oldest = self._entries[0].number if self._entries else self._last + 1
        lost = max(0, oldest - after - 1)
        return lost, self._broadcast.subscribe(first, size=max(READER_SIZE, len(first)))

    def close(self) -> None:
        self._broadcast.close()
