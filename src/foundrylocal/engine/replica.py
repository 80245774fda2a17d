"""A replica: what to run, in which room, where it answers, and the states that its launcher reports.

A node is named as its launcher names it; the node "" is this machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from foundrylocal.wire.load_options import EffectiveOptions
from foundrylocal.wire.options_report import OptionsReport


def node_name(node: str) -> str:
    """A node as users see it."""
    return node or "local"


class ReplicaState(StrEnum):
    """Where a replica of a model stands; FAILED and STOPPED are final."""

    PENDING = "pending"
    LOADING = "loading"
    READY = "ready"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"
    STOPPED = "stopped"


class Cause(StrEnum):
    """Why a replica failed: its worker crashed, its node was lost, or its node could not get the model's files."""

    WORKER = "worker"
    NODE = "node"
    FILES = "files"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model on this machine; `name` is its plain file name, on every node."""

    name: str
    path: Path
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class LoadedAdapter:
    """A LoRA adapter that a replica applies, with its strength; the size in bytes.

    `content_id` identifies what is in its file.
    """

    path: Path
    scale: float
    file_bytes: int
    content_id: str = ""


@dataclass(frozen=True, slots=True)
class ReplicaSpec:
    """One model to run: `id` is unique for each replica, `options` are the effective ones, sizes are in bytes.

    `content_id` identifies what is in its files. `has_long_context` is whether the context is longer than what the
    model was first trained with, which changes how some models encode positions.
    """

    id: str
    model_id: str
    model_path: Path
    projector_path: Path | None
    file_bytes: int
    memory_bytes: int
    options: EffectiveOptions
    is_embedding: bool = False
    is_reranking: bool = False
    content_id: str = ""
    has_long_context: bool = False
    draft_path: Path | None = None
    adapters: tuple[LoadedAdapter, ...] = ()
    gpu_bytes: int = field(default=0, compare=False)
    """What it takes on the GPUs of its node by its plan, beside `memory_bytes` of the machine."""
    files: tuple[ModelFile, ...] = field(default=(), compare=False)
    """The model's files, for a node that has to fetch them; `content_id` already says what is in them."""
    report: OptionsReport | None = field(default=None, compare=False)
    """What it was asked for beside `options`; None for one that nobody planned."""

    def is_like(self, other: ReplicaSpec) -> bool:
        """Whether both run the same model with the same options; contexts that both have as "auto" may differ."""
        mine = replace(self, id=other.id, memory_bytes=other.memory_bytes)
        if self.has_auto_context and other.has_auto_context:
            options = self.options.model_copy(update={"context_size": other.context_size})
            mine = replace(mine, options=options, has_long_context=other.has_long_context)
        return mine == other

    @property
    def has_auto_context(self) -> bool:
        """Whether its context was left to the planner."""
        return self.report is not None and self.report.wanted.values.context_size == "auto"

    @property
    def context_size(self) -> int:
        """Tokens that all its slots share."""
        return self.options.context_size

    @property
    def parallel(self) -> int:
        """Requests that it answers at the same time."""
        return self.options.parallel


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where a worker is to listen: a UNIX socket, or a port of loopback with a key where there are none.

    `slot_folder` is where its engine may save the prompts of its slots; None: nowhere.
    """

    socket: Path | None
    host: str
    port: int
    api_key: str
    slot_folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """Where a ready replica answers; `incarnation` differs for each process that ever served it.

    `can_call_tools` is whether the model's chat template has a place for tools; `opens_thoughts` is whether it begins
    every answer inside the model's thoughts, even for a request that wants none. `first_probe_s` is how long its
    first health check took. `build` identifies the engine's build; it is empty when the engine does not say.
    `slot_folder` is where the engine saves the prompts of its slots on request; None: it cannot. `has_llguidance` is
    whether it can keep the gateway's grammars.
    """

    url: str
    key: str
    incarnation: int
    can_call_tools: bool = True
    first_probe_s: float = 0.0
    opens_thoughts: bool = False
    build: str = ""
    slot_folder: Path | None = None
    has_llguidance: bool = True


@dataclass(frozen=True, slots=True)
class Room:
    """What one node could give a further replica now: `free_bytes` of memory, and `gpus`, the free bytes of each GPU.

    `free_bytes` is below 0 in a shortage. Every replica counts in full from the return of its `launch` on, so that
    nothing is promised twice. `has_files` is whether the model is on the node already. A suspect node has not
    answered lately: nothing new is placed on it.
    """

    node: str
    free_bytes: int
    has_files: bool = True
    is_suspect: bool = False
    gpus: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Adopted:
    """A ready replica that a service before this one launched, and that still runs on its node."""

    spec: ReplicaSpec
    node: str
    address: Address


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """What is known of a replica; `reason` says why it failed, `memory_bytes` is its resident memory."""

    id: str
    model_id: str
    state: ReplicaState
    reason: str | None
    pid: int | None
    memory_bytes: int
    node: str = ""


@dataclass(frozen=True, slots=True)
class ReplicaEvent:
    """A replica moved to `state`; `reason` is for people, `cause` is known when it FAILED."""

    id: str
    incarnation: int
    state: ReplicaState
    reason: str | None
    node: str = ""
    cause: Cause | None = None
