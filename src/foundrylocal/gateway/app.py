"""The gateway, put together: key, route, relay. Plain ASGI, since every token passes here."""

from __future__ import annotations

import json
import logging

import anyio

from foundrylocal.catalog.library import Library
from foundrylocal.errors import (
    EndpointNotFound,
    FoundryLocalError,
    InternalError,
    InvalidApiKey,
    MethodNotAllowed,
    ModelLoading,
    ServerShuttingDown,
    WorkerCrashed,
)
from foundrylocal.gateway.relay import NothingSent, Request, crashed, headers_for_worker, relay
from foundrylocal.gateway.routing import is_relayed, model_of
from foundrylocal.gateway.upstreams import Upstreams
from foundrylocal.lifecycle.service import Server
from foundrylocal.lifecycle.state import SERVING
from foundrylocal.web.asgi import Receive, Scope, Send, send_whole
from foundrylocal.web.body import ClientGone, read_body
from foundrylocal.web.errors import send_error
from foundrylocal.web.keys import has_key

log = logging.getLogger("foundrylocal.FoundryLocalService")

BODY_LIMIT = 8 * 1024 * 1024
TRIES = 3


class Gateway:
    """The ASGI app of the gateway's port."""

    def __init__(self, server: Server, library: Library) -> None:
        self._server = server
        self._library = library
        self._upstreams = Upstreams()

    async def close(self) -> None:
        await self._upstreams.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def first_send(message: dict[str, object]) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._answer(scope, receive, first_send)  # type: ignore[arg-type]
        except ClientGone:
            return
        except FoundryLocalError as error:
            if not has_begun:
                await send_error(send, error)
        except Exception as error:
            log.error("Unexpected fault in %s %s: %r", scope["method"], scope["path"], error, exc_info=error)
            if not has_begun:
                await send_error(send, InternalError())

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        if path == "/health":
            _only(("GET", "HEAD"), method, path)
            await self._health(send)
            return
        if not has_key(scope, self._server.api_key):
            raise InvalidApiKey
        if path == "/v1/models":
            _only(("GET", "HEAD"), method, path)
            await self._list_models(send)
        elif is_relayed(path):
            await self._relay(scope, receive, send)
        else:
            raise EndpointNotFound(method, path[:200])

    async def _health(self, send: Send) -> None:
        now = self._server.snapshot()
        if not now.is_running:
            raise ModelLoading(now.current.simple_name if now.current else None)
        await send_whole(send, 200, b'{"status":"ok"}')

    async def _list_models(self, send: Send) -> None:
        stored = await anyio.to_thread.run_sync(self._library.all)
        data = [
            {
                "id": one.model_id,
                "object": "model",
                "created": int(one.downloaded_at),
                "owned_by": "foundry-local",
            }
            for one in stored
        ]
        await send_whole(send, 200, json.dumps({"object": "list", "data": data}).encode())

    async def _relay(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(scope, receive, BODY_LIMIT)
        model = model_of(body) if scope["method"] == "POST" else None
        query = scope["query_string"].decode("latin-1")
        target = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
        request = Request(scope["method"], target, headers_for_worker(scope["headers"]), body)
        for attempt in range(1, TRIES + 1):
            async with self._server.lend(model) as member, self._upstreams.use(member.endpoint) as session:
                try:
                    await relay(session, request, receive, send, self._why_gone)
                    return
                except* NothingSent:
                    if attempt == TRIES:
                        raise crashed(None) from None
                except* FoundryLocalError as errors:
                    raise errors.exceptions[0] from None

    def _why_gone(self) -> FoundryLocalError:
        """Why a worker's connection broke: a stop that was asked for, or a crash."""
        if self._server.state.status not in SERVING:
            return ServerShuttingDown()
        return WorkerCrashed("It closed the connection before the answer was complete.")


def _only(allowed: tuple[str, ...], method: str, path: str) -> None:
    if method not in allowed:
        raise MethodNotAllowed(method, path, allowed)
