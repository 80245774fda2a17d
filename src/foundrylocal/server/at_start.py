"""The model that the setting `load_at_start` names: the server starts with it as soon as the service runs.

Invariant: a model that cannot be loaded leaves the service running without one. The log says why, and /health answers
`degraded` until the server is started with a model, or stopped on request.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from foundrylocal.errors import FoundryLocalError, OperationInProgress, ServerAlreadyRunning
from foundrylocal.kit.operation import Operation
from foundrylocal.server.requests import ServerInfo, StartRequest
from foundrylocal.server.state import ServerState

log = logging.getLogger("foundrylocal.FoundryLocalApiService")

Begin = Callable[[StartRequest], Awaitable[Operation[ServerInfo]]]


async def load_at_start(state: ServerState, begin: Begin, name: str) -> None:
    """Start the server with that model and wait for the outcome; it is downloaded if it is not on disk."""
    log.info("Starting with model '%s' (setting load_at_start)", name)
    try:
        await (await begin(StartRequest(name))).result()
    except (OperationInProgress, ServerAlreadyRunning):
        log.info("Model '%s' (setting load_at_start) is not loaded: the server was started already", name)
    except FoundryLocalError as error:
        if state.is_idle:
            state.miss(error)
        log.error(
            "Model '%s' (setting load_at_start) could not be loaded: %s. %s The service keeps running without it. "
            "Start a model with `foundrylocal start MODEL`",
            name,
            error.message,
            error.details or "",
        )
