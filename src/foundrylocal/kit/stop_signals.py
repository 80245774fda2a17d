"""The signals that end the service: the first in order, the second at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator

import anyio


@contextlib.contextmanager
def stop_signals() -> Iterator[AsyncIterator[object]]:
    """Receive SIGTERM and SIGINT. Event loops on Windows cannot; Ctrl+C arrives there as KeyboardInterrupt."""
    if sys.platform == "win32":
        yield _never()
    else:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            yield signals


async def _never() -> AsyncIterator[object]:
    await anyio.sleep_forever()
    yield None


def arm_second_signal() -> None:
    """A second SIGTERM or SIGINT ends the process at once."""

    def exit_now(number: int, frame: object) -> None:
        os._exit(128 + number)  # the kernel ends the workers with this process

    signal.signal(signal.SIGTERM, exit_now)
    signal.signal(signal.SIGINT, exit_now)
