"""Which devices the built-in engine has, asked of a child process.

Invariant: the engine's library is never loaded into the service, whose process a broken driver could take down. A
machine without a GPU is asked once; on one with a GPU, what is free is asked again when the answer is old.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Sequence

import anyio
import msgspec

from foundrylocal.engine.devices import Device, DeviceKind
from foundrylocal.engine.environment import worker_environment

log = logging.getLogger("foundrylocal.FoundryLocalService")

ANSWER_TIMEOUT_S = 20.0
REUSE_S = 5.0
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
        self._asked_at = 0.0

    async def list(self) -> tuple[Device, ...]:
        """The devices with what is free on them now; empty when the engine could not say."""
        async with self._lock:
            if self._known is None or (self._may_change() and self._clock() - self._asked_at > REUSE_S):
                self._known = await self._ask()
                self._asked_at = self._clock()
            return self._known

    def _may_change(self) -> bool:
        return any(device.kind is DeviceKind.GPU for device in self._known or ())

    async def _ask(self) -> tuple[Device, ...]:
        try:
            with anyio.fail_after(ANSWER_TIMEOUT_S):
                answer = await anyio.run_process(
                    self._command,
                    check=True,
                    stderr=subprocess.DEVNULL,
                    env=worker_environment(os.environ),
                )
            return tuple(msgspec.json.decode(answer.stdout, type=list[Device]))
        except (OSError, TimeoutError, subprocess.CalledProcessError, msgspec.DecodeError) as error:
            log.warning(
                "The engine did not report its devices (%s): planning for the CPU", type(error).__name__
            )
            return ()
