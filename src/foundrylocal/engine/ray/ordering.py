"""Makes the order for a replica's actor out of its spec, the settings, and the files that the node needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio.to_thread

import foundrylocal
from foundrylocal.engine.ray.file_offers import FileOffers
from foundrylocal.engine.ray.orders import FilesMode, NodeOrder
from foundrylocal.engine.replica import ReplicaSpec
from foundrylocal.errors import ServerStartFailed
from foundrylocal.settings.store import SettingsStore


class OrderMaker:
    """`slot_folder` is where engines on the service's own machine save prompts."""

    def __init__(
        self, settings: SettingsStore, files: FileOffers, slot_folder: Callable[[], Path | None]
    ) -> None:
        self._settings = settings
        self._files = files
        self._slot_folder = slot_folder

    async def make(self, spec: ReplicaSpec, node: str, *, is_own: bool, keep_s: float) -> NodeOrder:
        """The order; `is_own` is whether the node is the service's own machine. Raises ServerStartFailed."""
        settings = self._settings.current
        try:
            sets = None if is_own else await anyio.to_thread.run_sync(self._files.sets_of, spec)
        except OSError as error:
            raise ServerStartFailed(f"The model's files cannot be read: {error.strerror}.") from None
        return NodeOrder(
            version=foundrylocal.__version__,
            node=node,
            spec=spec,
            keep_s=keep_s,
            files_mode=FilesMode(settings.cluster_files),
            file_sets=sets,
            worker_command=tuple(settings.worker_command),
            engines=dict(settings.engines),
            hub_allowed_hosts=tuple(settings.hub_allowed_hosts),
            slot_folder=await anyio.to_thread.run_sync(self._slot_folder) if is_own else None,
            log_level=settings.default_log_level,
        )
