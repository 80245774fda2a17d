"""The owners of the program's state, collected by the composition root for the routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

from foundrylocal.catalog.library import Library
from foundrylocal.catalog.registry import Registry
from foundrylocal.doctor.service import Doctor
from foundrylocal.downloads.imports.importer import Importer
from foundrylocal.downloads.manager import DownloadManager
from foundrylocal.engine.engines import Engines
from foundrylocal.keys.keyring import Keyring
from foundrylocal.logs.ring import LogRing
from foundrylocal.pool.planner import Planner
from foundrylocal.pool.prompt_cache.prompt_cache import PromptCache
from foundrylocal.server.models import ModelManager
from foundrylocal.server.presets import ModelPresets
from foundrylocal.server.server import Server
from foundrylocal.settings.store import SettingsStore
from foundrylocal.tuning.tuner import Tuner


class Line(Protocol):
    """The queue of one model."""

    @property
    def limit(self) -> int: ...
    @property
    def running(self) -> int: ...
    @property
    def waiting(self) -> int: ...
    @property
    def longest_wait_s(self) -> float: ...


class Totals(Protocol):
    """Request and token counts of the gateway since the service started."""

    requests: int
    failed: int
    cancelled: int
    tokens_in: int
    tokens_out: int
    tokens_drafted: int
    tokens_accepted: int


class Activity(Protocol):
    """The gateway's running and recent requests."""

    def entries(
        self, limit: int, model_id: str | None, key: str | None, status: str | None
    ) -> tuple[list[dict[str, Any]], int]: ...
    def find(self, request_id: str) -> dict[str, Any] | None: ...
    def end(self, request_id: str) -> bool: ...
    def summary(self) -> dict[str, Any]: ...


class Capture(Protocol):
    """The bodies of one request."""

    def render(self) -> dict[str, Any]: ...


class Captures(Protocol):
    """The bodies that the setting capture_requests keeps."""

    def get(self, request_id: str) -> Capture | None: ...


class GatewayFigures(Protocol):
    """What the management API needs of the gateway: its statistics and its requests."""

    @property
    def activity(self) -> Activity: ...
    @property
    def captures(self) -> Captures: ...

    def queues(self) -> Mapping[str, Line]: ...
    @property
    def totals(self) -> Totals: ...
    def render_metrics(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Services:
    """Owners of the state; routes have no state of their own.

    `cluster_address` is the head of the cluster that this service joined when it started; None: it runs models here.
    """

    server: Server
    registry: Registry
    library: Library
    downloads: DownloadManager
    settings: SettingsStore
    ring: LogRing
    model_manager: ModelManager
    importer: Importer
    gateway: GatewayFigures
    planner: Planner
    doctor: Doctor
    keyring: Keyring
    presets: ModelPresets
    prompt_cache: PromptCache
    engines: Engines
    tuner: Tuner
    cluster_address: str | None = None


async def services(request: Request) -> Services:
    """The dependency of every route. It is a coroutine: FastAPI runs a plain function in a worker thread, and
    then no route would answer while long jobs hold all threads."""
    found: Services = request.app.state.services
    return found


ServicesDep = Annotated[Services, Depends(services)]
