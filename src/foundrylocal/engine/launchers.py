"""Which launcher there is: that of this machine, or that of the cluster that the settings name.

Invariant: without a cluster nothing of `engine/ray` is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from foundrylocal.catalog.library import Library
from foundrylocal.catalog.names import simple_name
from foundrylocal.catalog.registry import Registry
from foundrylocal.engine.engines import Engines
from foundrylocal.engine.local.launcher import LocalLauncher
from foundrylocal.settings.replica_counts import range_of
from foundrylocal.settings.schema import Settings
from foundrylocal.settings.store import SettingsStore

if TYPE_CHECKING:
    from foundrylocal.engine.ray.launcher import RayLauncher

    AnyLauncher = LocalLauncher | RayLauncher


def make_launcher(
    state_dir: Path,
    store: SettingsStore,
    engines: Engines,
    slot_folder: Callable[[], Path | None],
    library: Library,
    registry: Registry,
) -> AnyLauncher:
    """The launcher; blocking for a cluster, and then it raises OSError, and FoundryLocalError without Ray.

    `slot_folder` is where engines on this machine save prompts.
    """
    address = store.current.cluster_address
    if address is None:
        return LocalLauncher(
            state_dir,
            engines,
            lambda: _budget_bytes(store.current),
            slot_folder,
            replicas_of=lambda model_id: (
                range_of(store.current.replicas, (model_id, simple_name(model_id))).least
            ),
        )
    from foundrylocal.engine.ray.make import make_ray_launcher

    return make_ray_launcher(address, state_dir, store, library, registry, slot_folder)


def _budget_bytes(settings: Settings) -> int | None:
    return None if settings.memory_budget_mb is None else settings.memory_budget_mb * 1024 * 1024
