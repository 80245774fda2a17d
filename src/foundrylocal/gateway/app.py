"""The gateway, put together: key, path, body, answer. Plain ASGI, since every token passes here."""

from __future__ import annotations

import json
import logging
from time import monotonic

import anyio

from foundrylocal.catalog.library import Library
from foundrylocal.errors import (
    EndpointNotFound,
    FoundryLocalError,
    InternalError,
    InvalidApiKey,
    MethodNotAllowed,
    ModelLoading,
    ModelNotFound,
)
from foundrylocal.gateway.dialects.engine_errors import error_body
from foundrylocal.gateway.dialects.requests import prepare
from foundrylocal.gateway.flow.dispatch import Dispatcher
from foundrylocal.gateway.flow.queue import FairQueue, QueueStats
from foundrylocal.gateway.flow.slow_client import READER_TIMEOUT_S, ClientStalled
from foundrylocal.gateway.models import render_model, render_models
from foundrylocal.gateway.routes import ROUTES, Dialect, Route
from foundrylocal.gateway.stats.metrics import Metrics, Totals
from foundrylocal.gateway.stats.request_stats import RequestStats
from foundrylocal.server.server import Server
from foundrylocal.settings.store import SettingsStore
from foundrylocal.web.asgi import Receive, Scope, Send, headers_named, send_whole
from foundrylocal.web.body import ClientGone, read_body
from foundrylocal.web.connection import PEER_EXTENSION, Peer
from foundrylocal.web.errors import error_headers, status_of
from foundrylocal.web.keys import has_key

log = logging.getLogger("foundrylocal.FoundryLocalService")

_MB = 1024 * 1024
_MODELS = "/v1/models"


class Gateway:
    """The ASGI app of the gateway's port."""

    def __init__(
        self,
        server: Server,
        library: Library,
        settings: SettingsStore,
        *,
        reader_timeout_s: float = READER_TIMEOUT_S,
    ) -> None:
        self._server = server
        self._library = library
        self._settings = settings
        self._queue = FairQueue(lambda: settings.current.queue_size)
        self._metrics = Metrics(self._queue)
        self._dispatcher = Dispatcher(server, self._queue, settings, reader_timeout_s=reader_timeout_s)

    # --- what others ask --------------------------------------------------------------------------------

    def queues(self) -> dict[str, QueueStats]:
        """The lines as they are, by model id."""
        return self._queue.snapshot()

    @property
    def totals(self) -> Totals:
        """The stats since the service began."""
        return self._metrics.totals

    def render_metrics(self) -> bytes:
        """The stats in the text format of Prometheus."""
        return self._metrics.render()

    # --- requests ---------------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(scope, receive, send)
            return
        except ClientGone:
            return
        except FoundryLocalError as error:
            told = error
        except Exception as error:
            log.error("Unexpected fault in %s %s: %r", scope["method"], scope["path"], error, exc_info=error)
            told = InternalError()
        await _send_error(scope, send, told)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        if path == "/health":
            _only(("GET", "HEAD"), method, path)
            await self._health(send)
            return
        if not has_key(scope, self._server.api_key):
            raise InvalidApiKey
        endpoint = ROUTES.get(path)
        if endpoint is not None:
            _only(("POST",), method, path)
            await self._serve(endpoint, scope, receive, send)
        elif path == _MODELS or path.startswith(_MODELS + "/"):
            _only(("GET", "HEAD"), method, path)
            await self._list(path.removeprefix(_MODELS).removeprefix("/"), send)
        else:
            raise EndpointNotFound(method, path[:200])

    async def _health(self, send: Send) -> None:
        now = self._server.snapshot()
        if not now.is_running:
            raise ModelLoading(now.current.simple_name if now.current else None)
        await send_whole(send, 200, b'{"status":"ok"}')

    async def _list(self, name: str, send: Send) -> None:
        if name:
            model = self._server.resolve(name)
            stored = await anyio.to_thread.run_sync(self._library.get, model.model_id)
            if stored is None:
                raise ModelNotFound(name[:200])
            body = render_model(stored)
        else:
            body = render_models(await anyio.to_thread.run_sync(self._library.all))
        await send_whole(send, 200, json.dumps(body).encode())

    async def _serve(self, endpoint: Route, scope: Scope, receive: Receive, send: Send) -> None:
        """One request of an endpoint, with its stats noted whatever its end; raises before its answer begins."""
        body = await read_body(scope, receive, self._settings.current.request_limit_mb * _MB)
        peer: Peer = scope["extensions"][PEER_EXTENSION]["peer"]
        stats = RequestStats(endpoint.path, monotonic())
        try:
            prepared = prepare(endpoint, body)
            stats.is_stream = prepared.asked.is_stream
            client = _client(scope, prepared.asked.client)
            with anyio.CancelScope() as while_there, peer.told_when_lost(while_there.cancel):
                await self._dispatcher.answer(endpoint, prepared, client, stats, send, peer)
        except FoundryLocalError as error:
            stats.outcome, stats.status = error.code, status_of(error)
            raise
        except ClientStalled:
            stats.note_outcome("client_stalled")
            peer.abort()
            raise ClientGone from None
        except Exception as error:
            stats.outcome = "internal_error"
            if stats.first_s is None:
                stats.status = 500
                raise
            log.error("Unexpected fault in an answer of %s: %r", endpoint.path, error, exc_info=error)
            raise ClientGone from error
        finally:
            stats.note_end()
            self._metrics.note(stats)


def _client(scope: Scope, told: str) -> str:
    """Who is to be treated fairly: the peer's address, its program, and the user it names.

    All programs of one machine share an address and, here, a key; what they call themselves tells them apart.
    """
    peer = scope.get("client")
    program = b"".join(headers_named(scope, b"user-agent"))[:200].decode("latin-1")
    return f"{peer[0] if peer else ''}|{program}|{told[:200]}"


async def _send_error(scope: Scope, send: Send, error: FoundryLocalError) -> None:
    dialect = Dialect.MESSAGES if scope["path"].startswith("/v1/messages") else None
    body = json.dumps(error_body(error, dialect), ensure_ascii=False).encode("utf-8", "replace")
    await send_whole(send, status_of(error), body, error_headers(error))


def _only(allowed: tuple[str, ...], method: str, path: str) -> None:
    if method not in allowed:
        raise MethodNotAllowed(method, path[:200], allowed)
