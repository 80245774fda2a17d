"""Shapes of /cluster: the machines that run models, and the replicas on them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

_GB = 1024**3
_NAME = "Qwen2.5-0.5B-Instruct-Q8_0-GGUF"


class NodeVersionsEntry(BaseModel):
    """What runs on the node; null where it is not known."""

    foundrylocal: str | None
    python: str | None
    ray: str | None


class NodeEntry(BaseModel):
    """One machine."""

    name: str = Field(description="Identifies the node in `replicas` and in /plan; empty without a cluster.")
    address: str
    state: Literal["alive", "suspect", "lost"] = Field(
        description="A `suspect` gets no new models until it answers again; a `lost` one has left the cluster."
    )
    reason: str | None = Field(description="Why it is not `alive`.")
    is_service: bool = Field(description="Whether the service itself runs on this machine.")
    memory_bytes: int = Field(description="What the node offers to models in all.")
    free_bytes: int = Field(description="What a further model could use now, the reserve already taken off.")
    gpus: list[int] = Field(description="Free memory of each GPU in bytes; 0 where it is not known.")
    versions: NodeVersionsEntry
    has_other_version: bool = Field(
        description="Whether it runs another version of FoundryLocal than the service; it gets no models then."
    )


class ReplicaEntry(BaseModel):
    """One running copy of a model."""

    id: str
    model: str
    model_id: str
    node: str = Field(description="`name` of its node.")
    state: str = Field(description="`loading`, `ready`, `yielding` or `draining`.")
    is_suspect: bool = Field(description="Whether it gets no requests until a health check succeeds.")
    slots: int = Field(description="Requests that it answers at the same time.")
    in_flight: int = Field(description="Requests that it has now.")
    memory_bytes: int = Field(description="What it takes at the moment; 0 when that is not known.")


class ClusterAnswer(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "address": "192.168.1.10:6379",
                    "state": "connected",
                    "message": None,
                    "action": None,
                    "nodes": [
                        {
                            "name": "192.168.1.10",
                            "address": "192.168.1.10",
                            "state": "alive",
                            "reason": None,
                            "is_service": True,
                            "memory_bytes": 24 * _GB,
                            "free_bytes": 20 * _GB,
                            "gpus": [],
                            "versions": {"foundrylocal": "0.1.0", "python": "3.11.7", "ray": "2.60.0"},
                            "has_other_version": False,
                        }
                    ],
                    "total_count": 1,
                    "replicas": [
                        {
                            "id": "r-1",
                            "model": _NAME,
                            "model_id": f"Qwen/{_NAME}",
                            "node": "192.168.1.10",
                            "state": "ready",
                            "is_suspect": False,
                            "slots": 4,
                            "in_flight": 1,
                            "memory_bytes": _GB,
                        }
                    ],
                    "suspects": [],
                }
            ]
        }
    )

    address: str | None = Field(
        description="Address of the cluster's head; null when models run on this machine only."
    )
    state: Literal["local", "connected", "unreachable"] = Field(
        description="`local`: no cluster is set, and the one node is this machine."
    )
    message: str | None = Field(
        description="Why the cluster cannot be reached; running models go on answering."
    )
    action: str | None = Field(description="What to do about it.")
    nodes: list[NodeEntry]
    total_count: int = Field(description="Number of nodes.")
    replicas: list[ReplicaEntry]
    suspects: list[str] = Field(description="Names of suspect nodes and ids of suspect replicas.")
