"""One `ray start --block` as a child process: started, watched and ended by its pid.

Invariant: it ends with this process, however that ends, and its own children end with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

READY_WORDS = b"Ray runtime started."
RAYLET = "raylet"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
# A raylet that is asked to end tells the cluster that it leaves. Ray itself waits one second, too little for a busy
# machine.
RAYLET_TIMEOUT_S = 5.0
# They end with their parent, most of them at once.
CHILDREN_TIMEOUT_S = 2.0
MAX_OUTPUT_BYTES = 1_000_000
_POLL_S = 0.1
_LAST_LINES = 8
_PR_SET_PDEATHSIG = 1


class NodeFailed(Exception):
    """The node did not start; `output` are the last lines that Ray printed."""

    def __init__(self, reason: str, output: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.output = output


class NodeProcess:
    """A running `ray start --block`; what it prints goes to the file `output`."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], output: Path) -> None:
        self._output = output
        self._began_at = _size_after_rotation(output)
        with output.open("ab") as file:
            self._process = subprocess.Popen(
                list(command),
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C goes to this command, which then ends the node in order
                preexec_fn=_end_with_parent(),
            )

    @property
    def pid(self) -> int:
        """The process of `ray start`."""
        return self._process.pid

    def wait_ready(self, is_stopping: Callable[[], bool], timeout_s: float = START_TIMEOUT_S) -> bool:
        """Wait until the node has joined; False when it is to stop instead. Raises NodeFailed."""
        deadline = time.monotonic() + timeout_s
        while READY_WORDS not in self._printed():
            if is_stopping():
                return False
            if self._process.poll() is not None:
                raise NodeFailed(f"ray start exited with code {self._process.returncode}", self._last_lines())
            if time.monotonic() > deadline:
                raise NodeFailed(f"Ray was not ready within {timeout_s:g} s", self._last_lines())
            time.sleep(_POLL_S)
        return True

    def end_reason(self) -> str | None:
        """Why it no longer is a node of the cluster; None while it is one."""
        code = self._process.poll()
        if code is not None:
            return f"ray start exited with code {code}"
        # `ray start` goes on when its raylet ends as if it had been asked to.
        return None if self._has_raylet() else "the raylet ended"

    def stop(self) -> None:
        """End it and everything that it started.

        The cluster hears that the node leaves, and does not list it as lost. Returns within RAYLET_TIMEOUT_S +
        2 * STOP_TIMEOUT_S + CHILDREN_TIMEOUT_S.
        """
        children = self._children()
        self._end_raylet()
        if self._process.poll() is None:
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT_S)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(STOP_TIMEOUT_S)
        for child in _alive_after(children, CHILDREN_TIMEOUT_S):
            with contextlib.suppress(psutil.Error):
                child.kill()

    def _end_raylet(self) -> None:
        """Ask the raylet to leave the cluster, before anything that it needs for this ends."""
        try:
            raylets = self._raylets()
        except psutil.Error:
            return
        for raylet in raylets:
            with contextlib.suppress(psutil.Error):
                raylet.terminate()
        _alive_after(raylets, RAYLET_TIMEOUT_S)

    def _children(self) -> list[psutil.Process]:
        try:
            return list(psutil.Process(self._process.pid).children(recursive=True))
        except psutil.Error:
            return []

    def _has_raylet(self) -> bool:
        try:
            return bool(self._raylets())
        except psutil.Error:
            return self._process.poll() is None

    def _raylets(self) -> list[psutil.Process]:
        """Its raylet, while it runs. Raises psutil.Error."""
        children = psutil.Process(self._process.pid).children()
        return [one for one in children if one.name() == RAYLET and _is_alive(one)]

    def _printed(self) -> bytes:
        with self._output.open("rb") as file:
            file.seek(self._began_at)
            return file.read(MAX_OUTPUT_BYTES)

    def _last_lines(self) -> str:
        lines = [line for line in self._printed().decode("utf-8", "replace").splitlines() if line.strip()]
        return "\n".join(lines[-_LAST_LINES:])


def _alive_after(processes: Sequence[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Those that still run after `timeout_s`; one that has ended and only waits to be reaped does not run."""
    deadline = time.monotonic() + timeout_s
    while (alive := [one for one in processes if _is_alive(one)]) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return alive


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _size_after_rotation(output: Path) -> int:
    """Make the file, private; empty it when it has grown too large. Its size."""
    output.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    output.touch(mode=0o600)
    if output.stat().st_size > MAX_OUTPUT_BYTES:
        os.truncate(output, 0)
    return output.stat().st_size


def _end_with_parent() -> Callable[[], None] | None:
    """Runs first in the child: ask Linux to end it when this command is killed."""
    if sys.platform != "linux":
        return None
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) and None
