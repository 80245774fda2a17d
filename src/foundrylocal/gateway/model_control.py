"""Models loaded and unloaded by the gateway's clients, as llama.cpp's router has it, and how far a load has come."""

from __future__ import annotations

import math
from typing import Annotated, Any

from msgspec import Meta, Struct

from foundrylocal.errors import ModelLoading, ModelNotFound
from foundrylocal.gateway.endpoints import Call, Endpoint
from foundrylocal.pool.roster import LoadState
from foundrylocal.server.models import ModelManager
from foundrylocal.server.server import Server
from foundrylocal.server.state import IN_PROGRESS


class _ModelBody(Struct):
    model: Annotated[str, Meta(min_length=1, max_length=256)]


class ModelControl:
    """POST /models/load and /models/unload, with or without /v1."""

    def __init__(self, server: Server, models: ModelManager) -> None:
        self._server = server
        self._models = models
        load, unload = Endpoint(("POST",), self._load), Endpoint(("POST",), self._unload)
        self.endpoints = {
            f"{prefix}/models/{name}": endpoint
            for prefix in ("", "/v1")
            for name, endpoint in (("load", load), ("unload", unload))
        }

    async def _load(self, call: Call) -> None:
        """Load a downloaded model beside the others, and answer once it is ready."""
        model = self._server.resolve((await call.read(_ModelBody)).model)
        call.caller.check_model(model.model_id, model.simple_name)
        await self._models.load(model)
        await call.answer({"success": True})

    async def _unload(self, call: Call) -> None:
        """Unload a model once its requests have ended; it is no error if it is not loaded."""
        model = self._server.resolve((await call.read(_ModelBody)).model)
        call.caller.check_model(model.model_id, model.simple_name)
        await self._models.unload(model)
        await call.answer({"success": True})


def describe_loading(error: ModelLoading, server: Server) -> dict[str, Any] | None:
    """How far the load has come that an error is about; None when no load is under way.

    `progress` is from 0 to 1 and `eta_seconds` a number only where that was measured. A known time left is when a
    retry makes sense.
    """
    try:
        model = server.resolve(error.name) if error.name else None
    except ModelNotFound:
        return None
    if model is None:
        return None
    is_loading = server.pool.load_state(model) is LoadState.LOADING
    if not is_loading and not (server.state.current is model and server.state.status in IN_PROGRESS):
        return None
    status = server.pool.load_status(model)
    eta_s = None if status is None or status.eta_s is None else math.ceil(status.eta_s)
    if eta_s:
        error.retry_after_s = eta_s
    progress = None if status is None else round(status.progress, 3)
    return {"model": model.simple_name, "progress": progress, "eta_seconds": eta_s}
