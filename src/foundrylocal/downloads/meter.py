"""Progress of one download as its watchers see it: lines at a steady pace that never go backwards.

Invariant: percent and bytes never fall, only the last lines show 100.0%, and while `tick` runs there is a line at
least every `MAX_QUIET_S` and at most one every `TICK_S`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import anyio

from foundrylocal.events import Measure, Progress

TICK_S = 0.25
MAX_QUIET_S = 1.75
MIN_ELAPSED_S = 0.001  # a shorter time says nothing about the speed
WINDOW_S = 5.0
_MB = 1024 * 1024
_NEARLY_PERCENT = 99.9


class Meter:
    """Sources report bytes to it, and it publishes lines to the watchers, from one task only."""

    def __init__(
        self,
        publish: Callable[[Progress], None],
        total_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._publish = publish
        self._clock = clock
        self._stage = "queued"
        self._total = total_bytes
        self._done = 0
        self._shown_bytes = 0
        self._shown_percent = 0.0
        self._samples: deque[tuple[float, int]] = deque()
        self._received_bytes = 0
        self._started_s = clock()
        self._published_s = clock()
        self._has_news = True

    def begin(self, total_bytes: int | None, done_bytes: int = 0) -> None:
        """A source starts with `done_bytes` already present; a total of None keeps the known one."""
        self._stage = "downloading"
        if total_bytes is not None:
            self._total = total_bytes
        self._done = done_bytes
        self._restart_window()
        self._has_news = True

    def set_total(self, total_bytes: int) -> None:
        """The size turned out to differ from the known one."""
        self._has_news = self._has_news or total_bytes != self._total
        self._total = total_bytes

    def find(self, done_bytes: int) -> None:
        """`done_bytes` of the total are already on disk; they do not count as received."""
        self._done = done_bytes
        self._restart_window()
        self._has_news = True

    def advance(self, done_bytes: int) -> None:
        """`done_bytes` of the total are here; fewer than before means that a part was discarded."""
        if done_bytes < self._done:
            self._done = done_bytes
            self._restart_window()
        elif done_bytes > self._done:
            self._received_bytes += done_bytes - self._done
            self._done = done_bytes
            self._has_news = True

    def verify(self) -> None:
        """All bytes have arrived and are being checked."""
        self._stage = "verifying"
        self._done = self._total
        self._has_news = True

    def finish(self) -> None:
        """Publish the last line: 100.0%, with the average speed of the received bytes."""
        self.verify()
        elapsed = self._clock() - self._started_s
        self._publish_line(self._received_bytes / elapsed if elapsed >= MIN_ELAPSED_S else 0.0)

    def _restart_window(self) -> None:
        self._samples.clear()
        self._samples.append((self._clock(), self._done))
        if self._received_bytes == 0:
            # Waiting for a turn, and checking files that are already here, do not count for the speed.
            self._started_s = self._clock()

    @property
    def received_bytes(self) -> int:
        """Bytes that came from the source, parts that were discarded included."""
        return self._received_bytes

    @property
    def stage(self) -> str:
        return self._stage

    async def tick(self) -> None:
        """Publish lines until cancelled."""
        while True:
            now = self._clock()
            self._samples.append((now, self._done))
            while len(self._samples) > 2 and now - self._samples[0][0] > WINDOW_S:
                self._samples.popleft()
            if self._has_news or now - self._published_s >= MAX_QUIET_S:
                self._publish_line(self._speed())
            await anyio.sleep(TICK_S)

    def _speed(self) -> float:
        """Bytes per second over the last WINDOW_S."""
        (first_time, first), (last_time, last) = self._samples[0], self._samples[-1]
        elapsed = last_time - first_time
        return max(0.0, (last - first) / elapsed) if elapsed >= MIN_ELAPSED_S else 0.0

    def _publish_line(self, bytes_per_second: float) -> None:
        self._has_news = False
        self._published_s = self._clock()
        is_all = self._stage == "verifying"
        percent = 100.0 if is_all else self._percent()
        self._shown_percent = max(self._shown_percent, percent)
        self._shown_bytes = min(max(self._shown_bytes, self._done), self._total)
        left = self._total - self._shown_bytes
        eta = round(left / bytes_per_second) if bytes_per_second > 0 else (0 if is_all else None)
        measure = Measure(
            stage=self._stage,
            percent=round(self._shown_percent, 1),
            downloaded_bytes=self._shown_bytes,
            total_bytes=self._total,
            bytes_per_second=round(bytes_per_second, 1),
            eta_seconds=eta,
        )
        size = f"{self._shown_bytes // _MB} MB / {self._total // _MB} MB"
        speed = f"{bytes_per_second / _MB:.1f} MB/s"
        self._publish(Progress(f"Downloaded: {self._shown_percent:.1f}% ({size}) - {speed}", measure))

    def _percent(self) -> float:
        return min(_NEARLY_PERCENT, 100.0 * self._done / self._total) if self._total else 0.0
