"""Keeps a node in its cluster: a node whose Ray ended, or whose cluster gave it up, joins again.

Invariant: one node at a time starts on a machine, since two that join at once disturb each other; and nothing of a
node is left when `run` returns.
"""

from __future__ import annotations

import getpass
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from foundrylocal.engine.ray.node.process import NodeFailed

RETRY_DELAYS_S = (1.0, 2.0, 5.0, 10.0, 30.0)
# A node that was up for so long begins with the short delays again.
STEADY_S = 60.0
WATCH_PERIOD_S = 1.0


class Node(Protocol):
    """What a started node is to its supervisor; `engine.ray.node.process.NodeProcess` is one."""

    def wait_ready(self, is_stopping: Callable[[], bool]) -> bool: ...
    def end_reason(self) -> str | None: ...
    def stop(self) -> None: ...


class Supervisor:
    """Starts nodes one after the other with `start`, and tells people with `say`.

    `wait` sleeps for some seconds, less when the node is to stop.
    """

    def __init__(
        self,
        start: Callable[[], Node],
        say: Callable[[str], None],
        wait: Callable[[float], object],
        is_stopping: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start = start
        self._say = say
        self._wait = wait
        self._is_stopping = is_stopping
        self._clock = clock

    def run(self, on_ready: Callable[[], None], *, must_start: bool) -> None:
        """Keep a node running until it is to stop.

        With `must_start` the first start must succeed, as that of a head: raises NodeFailed. A node that joins waits
        for its head instead.
        """
        failures, is_first = 0, True
        while not self._is_stopping():
            began = self._clock()
            try:
                reason = self._run_once(on_ready)
            except NodeFailed as failure:
                if is_first and must_start:
                    raise
                reason = f"{failure.reason}. {_last_line(failure.output)}".strip()
            is_first = False
            if reason is None:
                return
            failures = 0 if self._clock() - began > STEADY_S else failures
            delay_s = RETRY_DELAYS_S[min(failures, len(RETRY_DELAYS_S) - 1)]
            failures += 1
            self._say(f"The node is not in the cluster: {reason}. It joins again in {delay_s:g} s.")
            self._wait(delay_s)

    def _run_once(self, on_ready: Callable[[], None]) -> str | None:
        """One node from its start to its end: why it ended; None when it was to stop. Raises NodeFailed."""
        node: Node | None = None
        try:
            with _turn(self._is_stopping) as is_ours:
                if not is_ours:
                    return None
                node = self._start()
                if not node.wait_ready(self._is_stopping):
                    return None
            on_ready()
            while (reason := node.end_reason()) is None:
                self._wait(WATCH_PERIOD_S)
                if self._is_stopping():
                    return None
            return reason
        finally:
            if node is not None:
                node.stop()


@contextmanager
def _turn(is_stopping: Callable[[], bool]) -> Iterator[bool]:
    """This machine's turn to start a node, which others keep as long as a start takes; False: stop instead.

    Raises NodeFailed when the lock cannot be used: anybody may write to its folder.
    """
    path = Path(tempfile.gettempdir()) / f"fl-ray-start-{getpass.getuser()}.lock"
    lock = FileLock(path, timeout=WATCH_PERIOD_S)
    while True:
        try:
            lock.acquire()
            break
        except Timeout:
            if is_stopping():
                yield False
                return
        except OSError as error:
            reason = f"The lock {path} cannot be used ({error.strerror or error}). Remove it"
            raise NodeFailed(reason, "") from error
    try:
        yield True
    finally:
        lock.release()


def _last_line(output: str) -> str:
    return output.splitlines()[-1].strip() if output.strip() else ""
