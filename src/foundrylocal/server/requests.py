"""What the server is asked to start and what it answers, in the program's own terms."""

from __future__ import annotations

from dataclasses import dataclass, field

from foundrylocal.catalog.registry import Model
from foundrylocal.wire.load_options import LoadOptions


@dataclass(frozen=True, slots=True)
class StartRequest:
    """A start or a switch; `port` None is the setting.

    `timeout_s` bounds loading, not downloading; None lets a load take as long as it makes progress. With `is_strict`,
    an option that cannot be honored as asked is a refusal.
    """

    model_name: str
    port: int | None = None
    may_download: bool = True
    timeout_s: float | None = None
    health_period_s: float = 2.0
    options: LoadOptions = field(default_factory=LoadOptions)
    is_strict: bool = False


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A server that is ready: where it answers, with which model and key."""

    port: int
    model: Model
    endpoint: str
    api_key: str
