"""The seam between a launcher and what computes: the built-in engine, or a `llama-server` binary of the user.

An engine says what it is (version, devices, state) and how a worker that runs it is started. What happens after that
is the same for all of them: a worker gets its order on stdin, reports `ready` or `failed` on stdout, logs on stderr
in llama.cpp's words, and serves llama.cpp's HTTP API at the address in its order.

Invariant: an engine that cannot run here is never started; it is reported with the reason and the next step.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from foundrylocal.engine.devices import Device
from foundrylocal.engine.llama_cpp.log import EngineLog
from foundrylocal.engine.replica import ListenAddress, ReplicaSpec

BUILT_IN = "built-in"
"""The name of the engine that comes with the program."""


class EngineKind(StrEnum):
    """What kind of program an engine is."""

    BUILT_IN = "built-in"
    LLAMA_SERVER = "llama-server"


class EngineState(StrEnum):
    """Whether an engine can run here: MISSING has no program, INCOMPATIBLE has one that does not work."""

    READY = "ready"
    MISSING = "missing"
    INCOMPATIBLE = "incompatible"


@dataclass(frozen=True, slots=True)
class EngineReport:
    """What an engine says of itself.

    `message` says why it is not ready and `action` what to do about it; a ready engine may have a message about what
    it lacks. `flags` are the command-line options that its binary knows; empty for the built-in engine.
    """

    state: EngineState
    version: str | None = None
    devices: tuple[Device, ...] = ()
    message: str | None = None
    action: str | None = None
    has_llguidance: bool = True
    flags: frozenset[str] = frozenset()

    @property
    def is_ready(self) -> bool:
        return self.state is EngineState.READY


@dataclass(frozen=True, slots=True)
class WorkerLaunch:
    """How a worker is started: its command, its whole environment, and the order that it reads from stdin."""

    command: tuple[str, ...]
    environment: dict[str, str]
    order: bytes
    has_llguidance: bool = True


class Engine(Protocol):
    """One engine that replicas can run on."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> EngineKind: ...

    @property
    def known_devices(self) -> tuple[Device, ...]:
        """The devices of its last report; none before the first one."""

    async def report(self) -> EngineReport:
        """Its state, version and devices as of now; the wait is bounded, whatever the program does."""

    async def prepare(self, spec: ReplicaSpec, address: ListenAddress) -> WorkerLaunch:
        """How to start a worker for this replica. Raises EngineUnavailable when the engine is not ready."""

    def new_log(self) -> EngineLog:
        """Reads the log of one worker."""
