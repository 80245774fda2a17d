"""The ASGI app of the management port: routes, errors, and the checks of every call."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from foundrylocal import API_VERSION
from foundrylocal.api import errors, openapi
from foundrylocal.api.access import ManagementAccess
from foundrylocal.api.paths import BASE_PATH, MethodTable, has_head
from foundrylocal.api.routes import (
    cluster,
    config,
    doctor,
    downloads,
    engines,
    events,
    health,
    imports,
    keys,
    logs,
    markdown,
    models,
    pages,
    plan,
    presets,
    prompt_cache,
    requests,
    search,
    server,
    tune,
    verify,
)
from foundrylocal.api.routes import openai as openai_routes
from foundrylocal.api.services import Services
from foundrylocal.web.asgi import App, Message, Receive, Scope, Send
from foundrylocal.web.security import CallerCheck, allowed_names

__all__ = ["BASE_PATH", "make_app"]

# `models` after the others under /models: its routes for a model's name match every path there.
ROUTERS = [
    *(
        (BASE_PATH, module.router)
        for module in (
            server,
            plan,
            downloads,
            imports,
            search,
            tune,
            verify,
            presets,
            models,
            keys,
            requests,
            config,
            logs,
            markdown,
            health,
            doctor,
            engines,
            cluster,
            events,
            prompt_cache,
        )
    ),
    ("", openai_routes.router),
    (BASE_PATH, pages.router),
    ("", pages.router),
]


class _Head:
    """HEAD is GET without the body."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "HEAD" or not has_head(scope["path"]):
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"}, receive, send_head)


def make_app(services: Services) -> App:
    """The ASGI app of the management port."""
    app = FastAPI(
        title="FoundryLocal API",
        version=API_VERSION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        default_response_class=JSONResponse,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.services = services
    app.state.methods = MethodTable(ROUTERS)
    for prefix, router in ROUTERS:
        app.include_router(router, prefix=prefix)
    errors.install(app)
    openapi.install(app)
    settings = services.settings
    return CallerCheck(
        errors.LastResort(ManagementAccess(_Head(app), settings, services.keyring)),
        lambda: allowed_names(settings.current.allowed_hosts, settings.current.api_host),
        lambda: settings.current.allowed_origins,
    )
