"""Domain errors: each class states one fact, with its published `type` and `code`, and knows nothing of HTTP.

`web/errors.py` maps them to statuses. Messages and details from the published document are quoted word for word.
Every other message says what happened; `details` says why and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence

from foundrylocal.errors.base import FoundryLocalError as FoundryLocalError
from foundrylocal.errors.base import sentence as sentence
from foundrylocal.errors.downloads import ChecksumMismatch as ChecksumMismatch
from foundrylocal.errors.downloads import DiskRefused as DiskRefused
from foundrylocal.errors.downloads import DownloadFailed as DownloadFailed
from foundrylocal.errors.downloads import InsufficientDiskSpace as InsufficientDiskSpace
from foundrylocal.errors.loading import ClusterUnreachable as ClusterUnreachable
from foundrylocal.errors.loading import InsufficientMemory as InsufficientMemory
from foundrylocal.errors.loading import LoadOutOfMemory as LoadOutOfMemory
from foundrylocal.errors.loading import ModelLoading as ModelLoading
from foundrylocal.errors.loading import ModelUnsupported as ModelUnsupported
from foundrylocal.errors.loading import NodeLost as NodeLost
from foundrylocal.errors.loading import NodeUnusable as NodeUnusable
from foundrylocal.errors.loading import ServerStartFailed as ServerStartFailed
from foundrylocal.errors.loading import ServerStartTimeout as ServerStartTimeout
from foundrylocal.errors.loading import WorkerCrashed as WorkerCrashed

# --- the request -------------------------------------------------------------------------------


class InvalidRequest(FoundryLocalError):
    type, code = "invalid_request_error", "invalid_request"


class ContextLengthExceeded(InvalidRequest):
    """The request has more tokens than the model's context holds; the message is the one that clients match."""

    code = "context_length_exceeded"

    def __init__(self, prompt_tokens: int, context_tokens: int, param: str) -> None:
        super().__init__(
            f"This model's maximum context length is {context_tokens} tokens. However, your {param} resulted in "
            f"{prompt_tokens} tokens",
            f"context_length_exceeded: prompt {prompt_tokens} tokens, context {context_tokens} tokens. Shorten the "
            f"{param}, or start the model with a larger context_size.",
            param=param,
        )
        self.prompt_tokens = prompt_tokens
        self.context_tokens = context_tokens


class ToolsUnsupported(InvalidRequest):
    """The request offers tools to a model whose chat template has no place for them."""

    def __init__(self, model_name: str) -> None:
        super().__init__(
            f"Model '{model_name}' cannot call tools",
            "Its chat template does not support tools. Choose another model, or send no tools.",
            param="tools",
        )


class MissingModelName(FoundryLocalError):
    type, code = "invalid_request_error", "missing_model_name"

    def __init__(self) -> None:
        super().__init__("Model name is required")


class InvalidJson(FoundryLocalError):
    type, code = "invalid_request_error", "invalid_json"

    def __init__(self, reason: str) -> None:
        super().__init__("Request body is not valid JSON", sentence(reason))


class RequestTooLarge(FoundryLocalError):
    type, code = "invalid_request_error", "request_too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__("Request body is too large", f"The limit is {limit_bytes} bytes.")


class RequestHeadTooLarge(FoundryLocalError):
    """The request line and the headers together are too large."""

    type, code = "invalid_request_error", "request_too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__("Request headers are too large", f"The limit is {limit_bytes} bytes.")


class InvalidConfiguration(FoundryLocalError):
    type, code = "configuration_error", "invalid_configuration"


class EndpointNotFound(FoundryLocalError):
    type, code = "not_found_error", "endpoint_not_found"

    def __init__(self, method: str, path: str) -> None:
        super().__init__(f"No endpoint {method} {path}", "See /docs for the list of endpoints.")


class MethodNotAllowed(FoundryLocalError):
    type, code = "invalid_request_error", "method_not_allowed"

    def __init__(self, method: str, path: str, allowed: Sequence[str]) -> None:
        super().__init__(f"{method} is not allowed on {path}", f"Allowed methods: {', '.join(allowed)}.")
        self.allowed = tuple(allowed)


class NotSupported(FoundryLocalError):
    """A part of a published API that this service does not have; `details` says what to use instead."""

    type, code = "invalid_request_error", "not_supported"


# --- the caller ----------------------------------------------------------------------------------------


class InvalidApiKey(FoundryLocalError):
    type, code = "authentication_error", "invalid_api_key"

    def __init__(self) -> None:
        super().__init__(
            "Invalid API key",
            "Send the gateway's key as 'Authorization: Bearer KEY'; /start and /status of the management API "
            "return it.",
        )


class InvalidManagementKey(InvalidApiKey):
    """A call to the management API without its key, which differs from the gateway's key."""

    def __init__(self) -> None:
        super().__init__()
        self.details = (
            "Send the value of the setting management_key as 'Authorization: Bearer KEY'. The gateway's key "
            "is not valid here."
        )


class HostNotAllowed(FoundryLocalError):
    type, code = "permission_error", "host_not_allowed"

    def __init__(self) -> None:
        super().__init__(
            "This Host header is not allowed",
            "Call the service as localhost or 127.0.0.1, or add the host name to the setting allowed_hosts.",
        )


class OriginNotAllowed(FoundryLocalError):
    type, code = "permission_error", "origin_not_allowed"

    def __init__(self) -> None:
        super().__init__(
            "Pages from this origin may not call this service",
            "Serve the page from this machine, or add its origin to the setting allowed_origins.",
        )


# --- models ---------------------------------------------------------------------------------------------


class ModelNotFound(FoundryLocalError):
    type, code = "not_found_error", "model_not_found"

    def __init__(self, name: str, nearest: Sequence[str] = ()) -> None:
        hint = (
            f"Did you mean: {', '.join(nearest)}?" if nearest else "GET /models lists the available models."
        )
        super().__init__(f"Model '{name}' not found in registry", hint)


class ResponseNotFound(FoundryLocalError):
    """A response that was never stored, or is no longer stored."""

    type, code = "not_found_error", "response_not_found"

    def __init__(self, response_id: str) -> None:
        super().__init__(
            f"Response with id '{response_id}' not found",
            "The service keeps the last responses in memory (setting responses_kept), none with 'store': false.",
        )


class RequestNotFound(FoundryLocalError):
    type, code = "not_found_error", "request_not_found"

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"There is no request '{request_id}'", "GET /requests lists the running and the recent requests."
        )


class ModelNotOnDisk(FoundryLocalError):
    """The model to delete or verify was never downloaded."""

    type, code = "not_found_error", "model_not_downloaded"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Model '{name}' is not downloaded", "GET /models/downloaded lists the downloaded models."
        )


class ModelNotDownloaded(FoundryLocalError):
    """The model is not on disk, and the start was asked not to download it."""

    type, code = "precondition_failed", "model_not_downloaded"

    def __init__(self, details: str = "Use auto_download option or download manually first") -> None:
        super().__init__("Model must be downloaded before starting server", details)


class EngineUnavailable(FoundryLocalError):
    type, code = "precondition_failed", "engine_unavailable"

    def __init__(self, name: str, reason: str, action: str) -> None:
        super().__init__(
            f"Engine '{name}' cannot be used",
            f"{sentence(reason)} {sentence(action)}".strip(),
            param="engine",
        )


class UnknownEngine(InvalidRequest):
    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(
            f"There is no engine '{name}'",
            f"engine: the engines are {', '.join(known)}. Add one with `foundrylocal engine add NAME PATH`.",
            param="engine",
        )


class ModelInUse(FoundryLocalError):
    type, code = "conflict_error", "model_in_use"

    def __init__(
        self,
        name: str,
        state: str = "loaded",
        next_step: str = "Unload it first: POST /models/{name}/unload.",
    ) -> None:
        super().__init__(f"Model '{name}' is {state}", next_step)


class ModelCorrupted(FoundryLocalError):
    type, code = "server_error", "model_corrupted"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"The files of model '{name}' are damaged", f"{sentence(reason)} Download it again to repair it."
        )


# --- server lifecycle -----------------------------------------------------------------------------------


class ServerAlreadyRunning(FoundryLocalError):
    type, code = "conflict_error", "server_already_running"

    def __init__(self, model_name: str) -> None:
        super().__init__(
            f"FoundryLocal server is already running with model '{model_name}'",
            "Stop the current server first or use switch-model endpoint",
        )


class OperationInProgress(FoundryLocalError):
    type, code = "conflict_error", "operation_in_progress"

    def __init__(self, status: str) -> None:
        super().__init__(
            f"Another operation is in progress: the server is {status}",
            "Wait until GET /status reports running or stopped, or cancel the operation with POST /stop.",
        )


class OperationCancelled(FoundryLocalError):
    type, code = "conflict_error", "operation_cancelled"

    def __init__(self, what: str, *, is_paused: bool = False) -> None:
        self.is_paused = is_paused
        if is_paused:
            super().__init__(
                f"{what} was paused", "Received bytes are kept; resume it to continue from there."
            )
        else:
            super().__init__(
                f"{what} was cancelled",
                "A stop, a cancel request or a shutdown ended it. Try again when you are ready.",
            )


class ModelUnloaded(FoundryLocalError):
    """The model was unloaded on request while it was generating this answer."""

    type, code = "conflict_error", "operation_cancelled"

    def __init__(self) -> None:
        super().__init__(
            "The answer was cancelled",
            "The model was unloaded before the answer was complete. Retry: the model reloads automatically.",
        )


class PortInUse(FoundryLocalError):
    type, code = "conflict_error", "port_in_use"

    def __init__(self, port: int, owner: str | None = None) -> None:
        by = f" by {owner}" if owner else ""
        super().__init__(f"Port {port} is already in use{by}", "Choose another port, or 0 for any free one.")
        self.port = port


class SystemExhausted(FoundryLocalError):
    """The system has no descriptors or processes left for now; `reason` is the operating system's error text."""

    type, code = "unavailable_error", "system_exhausted"

    def __init__(self, reason: str) -> None:
        super().__init__(
            "The system is out of resources",
            f"{sentence(reason)} Try again in a few seconds, or close other programs.",
        )
        self.retry_after_s = 5


class ServerShuttingDown(FoundryLocalError):
    type, code = "unavailable_error", "server_shutting_down"

    def __init__(self) -> None:
        super().__init__("The server is shutting down", "Start it again, then retry the request.")


class QueueFull(FoundryLocalError):
    type, code = "rate_limit_error", "queue_full"

    def __init__(self, limit: int, retry_after_s: int) -> None:
        super().__init__(
            "Too many requests are waiting for this model",
            f"{limit} requests are already waiting. Try again in {retry_after_s} s.",
        )
        self.retry_after_s = retry_after_s


# --- configuration and faults ---------------------------------------------------------------------------


class ConfigurationUpdateFailed(FoundryLocalError):
    type, code = "configuration_error", "update_failed"

    def __init__(self) -> None:
        super().__init__("Failed to update configuration. Check logs for details.")


class InternalError(FoundryLocalError):
    def __init__(self) -> None:
        super().__init__("Internal error", "See the log for details: GET /logs?level=ERROR.")
