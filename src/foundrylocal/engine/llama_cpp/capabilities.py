"""Which devices the built-in engine has, queried in a child process.

Invariant: the engine's library is never loaded into the service, because a broken driver could crash it. On a
machine without a GPU the answer is kept for good. With a GPU it expires after REUSE_S, since free memory changes. A
failed query is repeated after FAILURE_REUSE_S: it may have failed for lack of processes, not of devices.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence

import anyio
import msgspec

from foundrylocal.engine.devices import Device, DeviceKind
from foundrylocal.engine.environment import worker_environment
from foundrylocal.kit.exhaustion import require_room_for_process

log = logging.getLogger("foundrylocal.FoundryLocalService")

ANSWER_TIMEOUT_S = 20.0
REUSE_S = 5.0
FAILURE_REUSE_S = 60.0
COMMAND = (sys.executable, "-P", "-m", "foundrylocal.worker.devices")


class EngineDevices:
    """The engine's devices; `clock` is monotonic, in seconds."""

    def __init__(
        self, command: Sequence[str] = COMMAND, clock: Callable[[], float] = anyio.current_time
    ) -> None:
        self._command = tuple(command)
        self._clock = clock
        self._lock = anyio.Lock()
        self._known: tuple[Device, ...] | None = None
        self._ask_at = -math.inf
        self.lacks_instructions = False
        """Whether the query crashed because the processor lacks instructions that the engine uses."""

    @property
    def known(self) -> tuple[Device, ...]:
        """The devices of the last query; empty before the first one, and when it failed."""
        return self._known or ()

    async def list(self) -> tuple[Device, ...]:
        """The devices with their free memory as of now; empty when the query failed."""
        async with self._lock:
            if self._clock() >= self._ask_at:
                self._known = await self._ask()
                self._ask_at = self._clock() + self._reuse_s()
            return self._known or ()

    def _reuse_s(self) -> float:
        if self._known is None:
            return FAILURE_REUSE_S
        return REUSE_S if any(device.kind is DeviceKind.GPU for device in self._known) else math.inf

    async def _ask(self) -> tuple[Device, ...] | None:
        """The devices; None when the query failed."""
        try:
            require_room_for_process()
            with anyio.fail_after(ANSWER_TIMEOUT_S):
                answer = await anyio.run_process(
                    self._command,
                    check=True,
                    stderr=subprocess.DEVNULL,
                    env=worker_environment(os.environ),
                )
            self.lacks_instructions = False
            return tuple(msgspec.json.decode(answer.stdout, type=list[Device]))
        except (OSError, TimeoutError, subprocess.CalledProcessError, msgspec.DecodeError) as error:
            self.lacks_instructions = _ended_by_illegal_instruction(error)
            log.warning(
                "The engine did not report its devices (%s): planning for the CPU", type(error).__name__
            )
            return None


def _ended_by_illegal_instruction(error: Exception) -> bool:
    illegal = (-signal.SIGILL, 0xC000001D)  # the second is what Windows calls it
    return isinstance(error, subprocess.CalledProcessError) and error.returncode in illegal
