"""How a verb fails: what happened, why, and what to do next; never a stack trace."""

from __future__ import annotations

import os
import re

from foundrylocal.client import errors as client_errors
from foundrylocal.client.addresses import URL_VARIABLE
from foundrylocal.client.errors import ApiError, ClientError, InvalidAddress, NotFoundryLocal

# The next step for each error code of the API; a verb may give a better one.
NEXT_STEPS = {
    "model_not_found": "foundrylocal list --all",
    "model_not_downloaded": "foundrylocal pull MODEL",
    "server_already_running": "foundrylocal switch MODEL, or foundrylocal stop",
    "operation_in_progress": "foundrylocal status",
    "port_in_use": "foundrylocal start MODEL --gateway-port 0",
    "model_in_use": "foundrylocal unload MODEL, or foundrylocal stop if it is the current model",
    "download_failed": "run the same command again; if it fails again: foundrylocal doctor",
    "checksum_mismatch": "run the same command again",
    "insufficient_disk_space": "foundrylocal list, then foundrylocal rm MODEL",
    "insufficient_memory": "foundrylocal ps, then foundrylocal unload MODEL",
    "server_start_failed": "foundrylocal logs",
    "server_start_timeout": "foundrylocal logs",
    "worker_crashed": "foundrylocal logs",
    "key_exists": "foundrylocal keys list",
    "key_not_found": "foundrylocal keys list",
    "request_not_found": "foundrylocal requests list",
    "internal_error": "foundrylocal logs --level ERROR",
    "invalid_api_key": "set FOUNDRYLOCAL_MANAGEMENT_KEY to the management key, or to a key with the scope manage",
    # Errors that the verbs seldom meet, since they check what they send.
    "context_length_exceeded": "ask for less, or foundrylocal set MODEL context_size=TOKENS",
    "endpoint_not_found": "foundrylocal --version: the service may be older than this command",
    "engine_unavailable": "foundrylocal engine",
    "host_not_allowed": "foundrylocal config allowed_hosts=NAME on the machine of the service",
    "invalid_configuration": "foundrylocal config",
    "invalid_json": "foundrylocal --version: the service may be older than this command",
    "invalid_request": "correct that value; the --help of this command has examples",
    "method_not_allowed": "foundrylocal --version: the service may be older than this command",
    "missing_model_name": "foundrylocal list",
    "model_corrupted": "foundrylocal verify MODEL --repair",
    "model_loading": "run the same command again in a moment",
    "model_not_allowed": "foundrylocal keys list",
    "not_supported": "foundrylocal --help",
    "operation_cancelled": "run the same command again",
    "option_not_honored": "foundrylocal plan MODEL",
    "origin_not_allowed": "foundrylocal config allowed_origins=ORIGIN",
    "queue_full": "run the same command again in a moment",
    "rate_limit_exceeded": "foundrylocal keys list",
    "request_ended": "run the same command again",
    "request_too_large": "send less, or foundrylocal config request_limit_mb=MB",
    "response_not_found": "foundrylocal config responses_kept=NUMBER",
    "previous_response_not_found": "foundrylocal config responses_kept=NUMBER",
    "scope_not_allowed": "foundrylocal keys add NAME --scope manage",
    "server_shutting_down": "foundrylocal serve",
    "system_exhausted": "run the same command again in a few seconds, or close other programs",
    "too_many_keys": "foundrylocal keys rm NAME",
    "node_lost": "foundrylocal cluster status",
    "cluster_unreachable": "foundrylocal cluster doctor",
    "update_failed": "foundrylocal logs --level ERROR",
}


# Details for programs, where the next step tells people the same: `GET /keys lists the keys.`
_FOR_PROGRAMS = re.compile(
    r"(?:GET|POST|DELETE) /.*|Stop the current server first or use switch-model endpoint"
)


class Failure(Exception):
    """Ends a verb; `exit_code` is 1, or 2 if the command line was wrong."""

    def __init__(self, what: str, why: str | None, next_step: str | None, *, exit_code: int = 1) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.next_step = next_step
        self.exit_code = exit_code


class Refused(Failure):
    """The service answered with an error; `code` is its published code."""

    def __init__(self, status: int, code: str, message: str, details: str | None) -> None:
        next_step = NEXT_STEPS.get(code)
        is_for_programs = next_step is not None and _FOR_PROGRAMS.fullmatch(details or "") is not None
        super().__init__(message, None if is_for_programs else details, next_step)
        self.status = status
        self.code = code


class Unreachable(Failure):
    """Nothing is listening at the address."""


class NotOurs(Failure):
    """Something is listening at the address, but it is not a FoundryLocal API."""

    def __init__(self, url: str, reason: str | None) -> None:
        super().__init__(
            f"Another program is using {url}: it does not answer as the FoundryLocal API",
            reason,
            "stop that program, or use another port: foundrylocal run --port 9501, or serve --port 9501",
        )


def as_failure(error: ClientError) -> Failure:
    """An error of the client as a verb reports it, with a verb as the next step."""
    match error:
        case ApiError():
            return Refused(error.status, error.code, error.message, error.why)
        case NotFoundryLocal():
            return NotOurs(error.url, error.why)
        case client_errors.Unreachable():
            return Unreachable(error.message, error.why, _how_to_reach())
        case InvalidAddress():
            return Failure(error.message, None, "write it as http://127.0.0.1:9500", exit_code=2)
        case _:
            return Failure(error.message, error.why, "foundrylocal status")


def _how_to_reach() -> str:
    if URL_VARIABLE in os.environ:
        return f"start that service, or correct {URL_VARIABLE}"
    return "foundrylocal serve --detach"
