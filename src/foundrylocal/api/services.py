"""What the routes may ask: the program's owners, gathered once by the composition root."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request

from foundrylocal.catalog.library import Library
from foundrylocal.catalog.registry import Registry
from foundrylocal.downloads.importing import Importer
from foundrylocal.downloads.manager import DownloadManager
from foundrylocal.lifecycle.keeper import ModelKeeper
from foundrylocal.lifecycle.service import Server
from foundrylocal.logs.ring import LogRing
from foundrylocal.settings.store import SettingsStore


@dataclass(frozen=True, slots=True)
class Services:
    """Owners of the state; a route holds none of its own."""

    server: Server
    registry: Registry
    library: Library
    downloads: DownloadManager
    settings: SettingsStore
    ring: LogRing
    keeper: ModelKeeper
    importer: Importer
    render_metrics: Callable[[], bytes] = bytes
    """The figures for Prometheus, which the gateway keeps."""


def services(request: Request) -> Services:
    """The dependency that every route takes."""
    found: Services = request.app.state.services
    return found
