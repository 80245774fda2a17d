"""What to run: the whole specification of one worker, and the words it and its launcher exchange."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path


class ReplicaState(StrEnum):
    """Where a replica of a model stands; FAILED and STOPPED are final."""

    PENDING = "pending"
    LOADING = "loading"
    READY = "ready"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ReplicaSpec:
    """One model to be run: `id` is unique for each replica, sizes are in bytes, `context_size` in tokens."""

    id: str
    model_id: str
    model_path: Path
    projector_path: Path | None
    file_bytes: int
    memory_bytes: int
    context_size: int
    parallel: int
    threads: int | None = None
    gpu_layers: int | None = None
    is_embedding: bool = False
    is_reranking: bool = False


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where a worker is to listen: a UNIX socket, or a port of loopback with a key where there are none."""

    socket: Path | None
    host: str
    port: int
    api_key: str


@dataclass(frozen=True, slots=True)
class Address:
    """Where a ready replica answers; `incarnation` differs for each process that ever served it.

    `can_call_tools` is whether the model's chat template has a place for tools.
    """

    url: str
    key: str
    incarnation: int
    can_call_tools: bool = True


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """What is known of a replica; `reason` says why it failed, `memory_bytes` is its resident memory."""

    id: str
    model_id: str
    state: ReplicaState
    reason: str | None
    pid: int | None
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class ReplicaEvent:
    """A replica moved to `state`; `reason` is for people."""

    id: str
    incarnation: int
    state: ReplicaState
    reason: str | None


def render_order(spec: ReplicaSpec, address: ListenAddress) -> bytes:
    """The one line that a worker reads from its standard input."""
    order = {
        "socket": str(address.socket) if address.socket else None,
        "host": address.host,
        "port": address.port,
        "api_key": address.api_key,
        "model_path": str(spec.model_path),
        "projector_path": str(spec.projector_path) if spec.projector_path else None,
        "alias": spec.model_id,
    }
    facts = asdict(spec)
    names = ("context_size", "parallel", "threads", "gpu_layers", "is_embedding", "is_reranking")
    return json.dumps(order | {name: facts[name] for name in names}).encode() + b"\n"
