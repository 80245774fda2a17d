"""A node: one machine that runs replicas, as its launcher sees it."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version


class NodeState(StrEnum):
    """SUSPECT: it has not answered lately, and gets no new replicas until it does. LOST: the cluster gave it up."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class NodeVersions:
    """What runs on a node; None where the node has not said it, or has no Ray."""

    foundrylocal: str | None = None
    python: str | None = None
    ray: str | None = None


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What is known of a node; sizes in bytes.

    `name` is what `Room.node` says: empty for the machine of the service when there is no cluster. `is_service` is
    whether the service itself runs there. `memory_bytes` is what it offers to models in all, `free_bytes` what
    a further replica could use. `reason` says why it is not ALIVE.
    """

    name: str
    address: str
    state: NodeState = NodeState.ALIVE
    is_service: bool = False
    memory_bytes: int = 0
    free_bytes: int = 0
    gpus: tuple[int, ...] = ()
    versions: NodeVersions = NodeVersions()
    reason: str | None = None


def own_versions() -> NodeVersions:
    """The versions of this program and its Python, and of Ray where it is installed."""
    return NodeVersions(_version("foundrylocal"), platform.python_version(), _version("ray"))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
