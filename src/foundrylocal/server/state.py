"""The server's status and the only writer of it.

stopped    -> starting                     /start
starting   -> running | stopped | stopping ready, failed, cancelled by /stop
running    -> switching | stopping | error /switch-model, /stop, the worker crashes again and again
switching  -> running | stopping | error   done or undone, /stop, neither model can be loaded
stopping   -> stopped
error      -> starting | stopping          /start, /stop
"""

from __future__ import annotations

import logging
from enum import StrEnum

import anyio

from foundrylocal.catalog.registry import Model
from foundrylocal.errors import FoundryLocalError
from foundrylocal.events import StateChanged
from foundrylocal.kit.broadcast import Broadcast
from foundrylocal.kit.clock import now_s

log = logging.getLogger("foundrylocal.FoundryLocalApiService")


class Status(StrEnum):
    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    SWITCHING = "switching"
    STOPPING = "stopping"
    ERROR = "error"


_LEGAL = {
    Status.STOPPED: {Status.STARTING},
    Status.STARTING: {Status.RUNNING, Status.STOPPED, Status.STOPPING},
    Status.RUNNING: {Status.SWITCHING, Status.STOPPING, Status.ERROR},
    Status.SWITCHING: {Status.RUNNING, Status.STOPPING, Status.ERROR},
    Status.STOPPING: {Status.STOPPED},
    Status.ERROR: {Status.STARTING, Status.STOPPING},
}
IN_PROGRESS = frozenset({Status.STARTING, Status.SWITCHING, Status.STOPPING})
SERVING = frozenset({Status.RUNNING, Status.SWITCHING})


class ServerState:
    """Status, current model and last error; `move` refuses a step that is not in the table above."""

    def __init__(self) -> None:
        self.status = Status.STOPPED
        self.current: Model | None = None
        self.last_error: FoundryLocalError | None = None
        self.failed_at_s: float | None = None
        """When `last_error` happened."""
        self.is_missing_model = False
        """Whether the model of the setting load_at_start could not be loaded."""
        self.changed_at_s = now_s()
        self.running_since: float | None = None
        self.changes: Broadcast[StateChanged] = Broadcast()

    def move(self, to: Status, current: Model | None) -> None:
        """Change the status; `current` is the model that it is about."""
        if to not in _LEGAL[self.status]:
            raise RuntimeError(f"illegal step {self.status} -> {to}")
        before, self.status = self.status, to
        self.is_missing_model = False
        self.current = current
        self.changed_at_s = now_s()
        if to not in SERVING:
            self.running_since = None
        elif self.running_since is None:
            self.running_since = anyio.current_time()
        self.changes.publish(StateChanged(before, to, current.model_id if current else None))
        log.debug("Server is %s (was %s)", to, before)

    def fail(self, error: FoundryLocalError) -> None:
        """Remember the last failure, for /status."""
        self.last_error = error
        self.failed_at_s = self.changed_at_s = now_s()

    def miss(self, error: FoundryLocalError) -> None:
        """Remember that the model of load_at_start could not be loaded, until the next change of the status."""
        self.fail(error)
        self.is_missing_model = True

    def stay_stopped(self) -> None:
        """A stop on request while nothing runs: the model of load_at_start is no longer expected."""
        self.is_missing_model = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs and nothing is under way."""
        return self.status in (Status.STOPPED, Status.ERROR)

    @property
    def current_name(self) -> str:
        return self.current.simple_name if self.current else ""

    @property
    def uptime_s(self) -> int:
        return 0 if self.running_since is None else int(anyio.current_time() - self.running_since)
