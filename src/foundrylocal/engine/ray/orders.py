"""What the service, the link and a node's actor tell each other, as JSON.

Service and link are one installation; an actor may be another one. So an actor reads the version of an order before
anything else of it, and refuses an order of another version (`replica.py`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from foundrylocal.catalog.registry import HubSource
from foundrylocal.engine.replica import Address, ModelFile, ReplicaSpec


class FilesMode(StrEnum):
    """How a node gets a model: from the service, from a folder that all nodes share, or from the hub."""

    SERVICE = "service"
    PATH = "path"
    HUB = "hub"


class Phase(StrEnum):
    """How far a replica has come on its node; FAILED and STOPPED are final."""

    BEGUN = "begun"
    FILES = "files"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_final(self) -> bool:
        return self in (Phase.FAILED, Phase.STOPPED)


@dataclass(frozen=True, slots=True)
class FileSet:
    """All files of one model, draft model or adapter; `hub` is where the hub has them, if it has."""

    model_id: str
    files: tuple[ModelFile, ...]
    is_adapter: bool = False
    hub: HubSource | None = None

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, slots=True)
class NodeOrder:
    """What an actor is to run, and how; `node` is the address that its worker listens on.

    `file_sets` is None on the service's own machine, where the files are used as they are. An actor that nobody
    renews for `keep_s` ends. `engines` are paths of binaries on the node, by name.
    """

    version: str
    node: str
    spec: ReplicaSpec
    keep_s: float
    files_mode: FilesMode = FilesMode.SERVICE
    file_sets: tuple[FileSet, ...] | None = None
    worker_command: tuple[str, ...] = ()
    engines: dict[str, str] = field(default_factory=dict)
    hub_allowed_hosts: tuple[str, ...] = ()
    slot_folder: Path | None = None
    log_level: str = "INFO"


@dataclass(frozen=True, slots=True)
class FileServerAddress:
    """Where the link serves files, and the key for it, which no log and no process argument may show."""

    url: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ListedNode:
    """A machine as Ray lists it, by the address of its Ray node; its memory is what it offers to Ray, in bytes.

    `is_own` is the machine of the service. `labels` are those that `foundrylocal cluster` gave it.
    """

    name: str
    node_id: str
    is_alive: bool
    is_own: bool
    total_bytes: int
    free_bytes: int
    gpus: int
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Update:
    """What an actor says of its replica; `number` grows with each change.

    `share` is how far `phase` has come, from 0.0 to 1.0. `failure` is an error as `failures.encode` has it, and
    `cause` a `Cause`.
    """

    number: int
    phase: Phase
    share: float = 0.0
    address: Address | None = None
    reason: str | None = None
    failure: dict[str, Any] | None = None
    cause: str | None = None
    pid: int | None = None
    memory_bytes: int = 0


_ORDERS = TypeAdapter(NodeOrder)
_UPDATES = TypeAdapter(Update)


def encode_order(order: NodeOrder) -> str:
    return _ORDERS.dump_json(order).decode()


def decode_order(text: str) -> NodeOrder:
    """The order. Raises ValueError when it is none."""
    return _ORDERS.validate_json(text)


def version_of(text: str) -> str:
    """The version of the service that wrote the order, whatever else is in it. Raises ValueError."""
    order = json.loads(text)
    if not isinstance(order, dict):
        raise ValueError("an order is an object")
    return str(order.get("version"))


def encode_update(update: Update) -> dict[str, Any]:
    fields: dict[str, Any] = _UPDATES.dump_python(update, mode="json")
    return fields


def decode_update(fields: dict[str, Any]) -> Update:
    """The update. Raises ValueError when it is none."""
    return _UPDATES.validate_python(fields)
