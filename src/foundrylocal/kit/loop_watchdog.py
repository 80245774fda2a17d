"""Notices when something holds the event loop, and says in the log who.

A timer on the loop notes that the loop moves; a thread sleeps until the moment when that would be overdue, and then
looks whether it has. If it has not, the thread samples the stack of the loop's own thread: functions by module and
line, never a value.

Invariants: whatever holds the loop for PERIOD_S + LATE_S is noticed. It costs the loop one short callback per period,
the thread at most one look per LATE_S, and the log one line per MIN_PAUSE_S.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

log = logging.getLogger("foundrylocal.FoundryLocalApiService")

LATE_S = 0.25
PERIOD_S = 0.25
POLL_S = 0.1  # while the loop is held
MIN_PAUSE_S = 10.0
MAX_FRAMES = 12


class LoopWatchdog:
    """Watches the running loop from a thread of its own."""

    def __init__(self, late_s: float = LATE_S, period_s: float = PERIOD_S) -> None:
        self._late_s = late_s
        self._period_s = period_s
        self._moved_at = monotonic()
        self._is_over = threading.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._logged_at = -MIN_PAUSE_S
        self._suppressed = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the loop that runs this, for the time of the block."""
        loop, loop_thread = asyncio.get_running_loop(), threading.get_ident()
        thread = threading.Thread(target=self._look, args=(loop_thread,), name="loop-watchdog", daemon=True)
        self._tick(loop)
        thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            if self._timer is not None:
                self._timer.cancel()

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._moved_at = monotonic()
        self._timer = loop.call_later(self._period_s, self._tick, loop)

    def _look(self, loop_thread: int) -> None:
        while not self._is_over.is_set():
            seen = self._moved_at
            late_s = monotonic() - seen - self._period_s
            if late_s < self._late_s:
                self._is_over.wait(self._late_s - late_s)
                continue
            holder = describe(sys._current_frames().get(loop_thread))
            while self._moved_at == seen and not self._is_over.wait(POLL_S):
                late_s = monotonic() - seen - self._period_s
            self._report(late_s, holder)

    def _report(self, late_s: float, holder: str) -> None:
        now = monotonic()
        if now - self._logged_at < MIN_PAUSE_S:
            self._suppressed += 1
            return
        more = f" ({self._suppressed} more since the last report)" if self._suppressed else ""
        self._logged_at, self._suppressed = now, 0
        log.warning("The event loop was held for %d ms%s by %s", round(late_s * 1000), more, holder)


def describe(frame: FrameType | None) -> str:
    """The innermost functions of a stack, as module:line function."""
    found: list[str] = []
    while frame is not None and len(found) < MAX_FRAMES:
        module = frame.f_globals.get("__name__", "?")
        found.append(f"{module}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    return " < ".join(found) or "an unknown function"
