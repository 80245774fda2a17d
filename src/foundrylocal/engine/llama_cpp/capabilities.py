"""Which devices the built-in engine has, asked of a child process.

Invariant: the engine's library is never loaded into the service, whose process a broken driver could take down. A
machine without a GPU is asked once; on one with a GPU, what is free is asked again when the answer is old, and an
engine that could not say is asked again after FAILURE_REUSE_S: a shortage at that moment says nothing of its devices.
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
        """Whether the engine ended because the processor lacks instructions that it uses."""

    async def list(self) -> tuple[Device, ...]:
        """The devices with what is free on them now; empty when the engine could not say."""
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
        """The devices; None when the engine could not say."""
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
