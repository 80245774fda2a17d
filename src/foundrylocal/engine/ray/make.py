"""Puts the launcher of a cluster together; imported only when the setting `cluster_address` names one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from foundrylocal.catalog.library import Library
from foundrylocal.catalog.registry import Registry
from foundrylocal.engine.ray.file_offers import FileOffers
from foundrylocal.engine.ray.launcher import RayLauncher
from foundrylocal.engine.ray.namespace import load_or_make_namespace
from foundrylocal.engine.ray.node.environment import ray_environment
from foundrylocal.engine.ray.node.installed import installation_problem
from foundrylocal.engine.ray.node.token import find_token
from foundrylocal.errors import FoundryLocalError
from foundrylocal.settings.store import SettingsStore


def make_ray_launcher(
    address: str,
    state_dir: Path,
    settings: SettingsStore,
    library: Library,
    registry: Registry,
    slot_folder: Callable[[], Path | None],
) -> RayLauncher:
    """The launcher of the cluster at `address`; blocking. Raises OSError, and FoundryLocalError without Ray."""
    problem = installation_problem()
    if problem is not None:
        raise FoundryLocalError(
            f"The setting cluster_address names a cluster: {problem[0]}",
            f"{problem[1]}, or remove the setting.",
        )
    order = {
        "address": address,
        "namespace": load_or_make_namespace(state_dir),
        "state_dir": str(state_dir),
    }
    return RayLauncher(
        order,
        settings,
        FileOffers(library, registry),
        slot_folder,
        lambda: ray_environment(find_token(state_dir)),
    )
