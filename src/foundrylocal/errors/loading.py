"""Errors of loading a model and of its worker. Import them from `foundrylocal.errors`."""

from __future__ import annotations

from typing import Any

from foundrylocal.errors.base import FoundryLocalError, sentence


class ServerStartTimeout(FoundryLocalError):
    type, code = "timeout_error", "server_start_timeout"

    def __init__(self, timeout_s: float) -> None:
        super().__init__(
            "Server failed to start within timeout period",
            f"Timeout: {timeout_s:g} seconds. Try increasing timeout_seconds option.",
        )


class ServerStartFailed(FoundryLocalError):
    type, code = "server_error", "server_start_failed"

    def __init__(self, reason: str) -> None:
        super().__init__("Server failed to start", sentence(reason))


class LoadOutOfMemory(ServerStartFailed):
    """The plan said that the model fits, but the system refused the memory, or ended the worker for lack of it."""

    type, code = "insufficient_resources", "insufficient_memory"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.message = "Not enough memory to load the model"


class ModelUnsupported(ServerStartFailed):
    """This engine cannot run the model: it does not know the architecture, the file format or the projector."""


class WorkerCrashed(FoundryLocalError):
    type, code = "server_error", "worker_crashed"

    def __init__(self, reason: str) -> None:
        super().__init__(
            "The model's process ended unexpectedly", f"{sentence(reason)} It restarts automatically."
        )


class ClusterUnreachable(FoundryLocalError):
    """The cluster that replicas run on does not answer, so nothing new can be placed there for now."""

    type, code = "unavailable_error", "cluster_unreachable"

    def __init__(self, reason: str) -> None:
        super().__init__(
            "The cluster cannot be reached",
            f"{reason} Replicas that run keep answering. Retry in a few seconds; if it lasts, run "
            "`foundrylocal cluster doctor`.",
        )
        self.retry_after_s = 5


class NodeLost(FoundryLocalError):
    """The node of a replica does not answer any more, which says nothing about the model."""

    type, code = "unavailable_error", "node_lost"

    def __init__(self, node: str) -> None:
        super().__init__(
            "The machine that ran the model cannot be reached",
            f"Node '{node}' stopped answering. Retry: the model runs on another node as soon as one has room for it.",
        )
        self.node = node
        self.retry_after_s = 1


class NodeUnusable(NodeLost):
    """A node of the cluster cannot run replicas of this service; another node may."""

    def __init__(self, node: str, reason: str) -> None:
        super().__init__(node)
        self.message, self.details = f"Node '{node}' cannot run the model", sentence(reason)


class ModelLoading(FoundryLocalError):
    """A model that is not ready yet; `loading` is the progress of its load, as clients see it."""

    type, code = "unavailable_error", "model_loading"
    name: str | None = None
    loading: dict[str, Any] | None = None

    def __init__(self, name: str | None, reason: str | None = None, retry_after_s: int = 1) -> None:
        super().__init__(
            f"Loading model {name}" if name else "Loading model", reason or "Try again in a moment."
        )
        self.name = name
        self.retry_after_s = retry_after_s


class InsufficientMemory(FoundryLocalError):
    type, code = "insufficient_resources", "insufficient_memory"

    def __init__(self, needed: str, free: str) -> None:
        super().__init__(
            "Not enough memory to load the model",
            f"Needed: {needed}, free: {free}. Use a smaller model, quantization or context_size.",
        )
