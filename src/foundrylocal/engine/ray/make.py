"""Puts the launcher of a cluster together; imported only when the setting `cluster_address` names one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from foundrylocal.catalog.library import Library
from foundrylocal.catalog.registry import Registry
from foundrylocal.engine.ray.file_offers import FileOffers
from foundrylocal.engine.ray.launcher import RayLauncher
from foundrylocal.engine.ray.namespace import load_or_make_namespace
from foundrylocal.engine.ray.node.address import parse_head
from foundrylocal.engine.ray.node.environment import has_token, ray_environment
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
    """The launcher of the cluster at `address`; blocking.

    Raises OSError, and FoundryLocalError without Ray, or without a token for a cluster that other machines reach.
    """
    problem = installation_problem() or _token_problem(address, state_dir)
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


def _token_problem(address: str, state_dir: Path) -> tuple[str, str] | None:
    """Why the service must not use the cluster, and what to do next; None when it may."""
    if parse_head(address).is_loopback or has_token(find_token(state_dir)):
        return None
    return (
        f"This home has no token for {address}, and without one anybody who reaches a node could run programs on it.",
        "Keep the head's token here: foundrylocal cluster token --set",
    )
