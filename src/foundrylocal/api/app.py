"""The management API, put together: routes, errors, who may call."""

from __future__ import annotations

import logging

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from foundrylocal import API_VERSION
from foundrylocal.api import errors
from foundrylocal.api.routes import config, health, logs, models, openai, server
from foundrylocal.api.services import Services
from foundrylocal.errors import InvalidApiKey
from foundrylocal.settings.store import SettingsStore
from foundrylocal.web.asgi import App, Receive, Scope, Send
from foundrylocal.web.errors import send_error
from foundrylocal.web.keys import has_key
from foundrylocal.web.security import CallerCheck
from foundrylocal.wire.server import ErrorAnswer

BASE_PATH = "/iblink/v1/foundry-local"
log = logging.getLogger("foundrylocal.API")


class _ManagementKey:
    """When the setting says so, every call needs the key; it is read for each call, so a change holds at once."""

    def __init__(self, app: App, settings: SettingsStore) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        log.debug("Processing request: %s %s", scope["method"], scope["path"])
        key = self._settings.current.management_key
        if key is not None and not has_key(scope, key):
            await send_error(send, InvalidApiKey())
            return
        await self._app(scope, receive, send)


def make_app(services: Services) -> App:
    """The ASGI app of the management port."""
    app = FastAPI(
        title="FoundryLocal API",
        version=API_VERSION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        default_response_class=JSONResponse,
        responses={"default": {"model": ErrorAnswer, "description": "Any error, in the one shape."}},
    )
    app.state.services = services
    for module in (server, models, config, logs, health):
        app.include_router(module.router, prefix=BASE_PATH)
    app.include_router(openai.router)
    errors.install(app)
    settings = services.settings
    return CallerCheck(
        errors.LastResort(_ManagementKey(app, settings)),
        lambda: settings.current.allowed_hosts,
        lambda: settings.current.allowed_origins,
    )
