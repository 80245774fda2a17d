"""Exception handlers: every failure of a request becomes the standard error shape."""

from __future__ import annotations

import logging
from collections.abc import Callable

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from foundrylocal.api.bodies import invalid_fields
from foundrylocal.errors import (
    EndpointNotFound,
    FoundryLocalError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
)
from foundrylocal.web.asgi import App, Message, Receive, Scope, Send
from foundrylocal.web.body import ClientGone
from foundrylocal.web.errors import error_headers, error_object, send_error, status_of

log = logging.getLogger("foundrylocal.API")

_INFERENCE_PATHS = (
    *("/chat/completions", "/completions", "/embeddings", "/rerank", "/responses", "/messages"),
    *(
        "/messages/count_tokens",
        "/tokenize",
        "/models",
        "/api/chat",
        "/api/generate",
        "/api/tags",
        "/api/embed",
    ),
)
_INFERENCE_IS_ELSEWHERE = (
    "This is the management API. Inference is on the gateway's port, 1234 by default: set the client's base URL to "
    "the endpoint that GET /iblink/v1/foundry-local/status shows, such as http://127.0.0.1:1234/v1."
)


def _answer(error: FoundryLocalError) -> Response:
    headers = {name.decode(): value.decode() for name, value in error_headers(error)}
    return JSONResponse({"error": error_object(error)}, status_of(error), headers)


async def _domain(request: Request, error: Exception) -> Response:
    assert isinstance(error, FoundryLocalError)  # noqa: S101 - registered for it
    return _answer(error)


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    return _answer(invalid_fields(error.errors()))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    path = request.url.path
    if error.status_code == 404:
        not_found = EndpointNotFound(request.method, path[:200])
        if path.rstrip("/").endswith(_INFERENCE_PATHS):
            not_found.details = _INFERENCE_IS_ELSEWHERE
            not_found.message += f". {_INFERENCE_IS_ELSEWHERE}"  # inference clients show nothing else
        return _answer(not_found)
    if error.status_code == 405:
        allowed: Callable[[str], list[str]] = request.app.state.methods.allowed
        return _answer(MethodNotAllowed(request.method, path[:200], allowed(path)))
    return _answer(InvalidRequest("The request is not valid", str(error.detail)))


async def _unexpected(request: Request, error: Exception) -> Response:
    """Send the answer only; Starlette re-raises the exception, and LastResort logs it."""
    return _answer(InternalError())


def install(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(FoundryLocalError, _domain)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


class LastResort:
    """The outermost app: logs an unexpected exception in full and answers without any of its details."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientGone:
            return
        except Exception as error:
            if scope["type"] != "http":
                raise
            log.error("Unexpected fault in %s %s: %r", scope["method"], scope["path"], error, exc_info=error)
            if not has_begun:
                await send_error(send, InternalError())
