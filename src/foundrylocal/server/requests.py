"""What the server is asked and what it answers, in the program's own terms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from foundrylocal.catalog.registry import Model
from foundrylocal.wire.load_options import LoadOptions


@dataclass(frozen=True, slots=True)
class StartRequest:
    """A start or a switch; `timeout_s` bounds loading, not downloading; `port` None is the setting."""

    model_name: str
    port: int | None = None
    may_download: bool = True
    timeout_s: float = 180.0
    health_period_s: float = 2.0
    options: LoadOptions = field(default_factory=LoadOptions)


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A server that is ready: where it answers, with which model and key."""

    port: int
    model: Model
    endpoint: str
    api_key: str


@dataclass(frozen=True, slots=True)
class Health:
    """What the last health checks said; times in seconds since the epoch, UTC."""

    is_healthy: bool
    response_ms: int
    checked_at_s: float


class OpenPort(Protocol):
    """An open port of the gateway."""

    @property
    def port(self) -> int: ...

    async def close(self, grace_s: float) -> None:
        """Release the port; connections have `grace_s` to end what they do."""


class PortOpener(Protocol):
    """Opens the gateway's port; the web side implements it."""

    async def open(self, port: int) -> OpenPort:
        """Bind and serve `port` (0: any free one). Raises PortInUse."""
