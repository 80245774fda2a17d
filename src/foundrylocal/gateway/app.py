"""The ASGI app of the gateway's port: key, path, body, answer. Plain ASGI, since every token passes here."""

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
from foundrylocal.gateway.dialects.hosted_tools import known_name
from foundrylocal.gateway.errors import client_headers
from foundrylocal.gateway.flow.dispatch import Dispatcher
from foundrylocal.gateway.flow.queue import FairQueue, QueueStats
from foundrylocal.gateway.flow.slow_client import READER_TIMEOUT_S, ClientStalled
from foundrylocal.gateway.models import render_model, render_models
from foundrylocal.gateway.request import InferenceRequest
from foundrylocal.gateway.routes import ROUTES, Route, error_dialect
from foundrylocal.gateway.stats.metrics import Metrics, Totals
from foundrylocal.gateway.stats.request_stats import RequestStats
from foundrylocal.gateway.wrong_paths import MODELS_PATH, ROOT_TEXT, hint_for
from foundrylocal.server.server import Server
from foundrylocal.settings.store import SettingsStore
from foundrylocal.web.asgi import Receive, Scope, Send, headers_named, send_whole
from foundrylocal.web.body import ClientGone, read_body
from foundrylocal.web.connection import PEER_EXTENSION, Peer
from foundrylocal.web.errors import status_of
from foundrylocal.web.keys import has_key

log = logging.getLogger("foundrylocal.FoundryLocalService")

_MB = 1024 * 1024


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

    # --- figures ----------------------------------------------------------------------------------------

    def queues(self) -> dict[str, QueueStats]:
        """The queues as they are now, by model id."""
        return self._queue.snapshot()

    @property
    def totals(self) -> Totals:
        """The totals since the service started."""
        return self._metrics.totals

    def render_metrics(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return self._metrics.render()

    # --- requests ---------------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(scope, receive, send)
            return
        except ClientGone:
            return
        except FoundryLocalError as caught:
            error = caught
        except Exception as fault:
            log.error("Unexpected fault in %s %s: %r", scope["method"], scope["path"], fault, exc_info=fault)
            error = InternalError()
        body = error_dialect(scope["path"]).error_body(error)
        data = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        await send_whole(send, status_of(error), data, client_headers(error))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        if path == "/health":
            _allow(("GET", "HEAD"), method, path)
            await self._send_health(send)
            return
        if path == "/":
            _allow(("GET", "HEAD"), method, path)
            await send_whole(send, 200, ROOT_TEXT.encode(), content_type=b"text/plain; charset=utf-8")
            return
        if not has_key(scope, self._server.api_key):
            self._metrics.note_refused(path if path in (*ROUTES, MODELS_PATH) else None, InvalidApiKey.code)
            raise InvalidApiKey
        route = ROUTES.get(path)
        if route is not None:
            _allow(("POST",), method, path)
            await self._infer(route, scope, receive, send)
        elif path == MODELS_PATH or path.startswith(MODELS_PATH + "/"):
            _allow(("GET", "HEAD"), method, path)
            await self._send_models(path.removeprefix(MODELS_PATH).removeprefix("/"), send)
        else:
            error = EndpointNotFound(method, path[:200])
            error.details = hint_for(path)
            raise error

    async def _send_health(self, send: Send) -> None:
        now = self._server.snapshot()
        if not now.is_running:
            raise ModelLoading(now.current.simple_name if now.current else None)
        await send_whole(send, 200, b'{"status":"ok"}')

    async def _send_models(self, name: str, send: Send) -> None:
        if name:
            model = self._server.resolve(name)
            stored = await anyio.to_thread.run_sync(self._library.get, model.model_id)
            if stored is None:
                raise ModelNotFound(name[:200])
            body = render_model(stored)
        else:
            body = render_models(await anyio.to_thread.run_sync(self._library.all))
        await send_whole(send, 200, json.dumps(body).encode())

    async def _infer(self, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        """One inference request; its stats are noted however it ends. Raises before the answer begins."""
        raw = await read_body(scope, receive, self._settings.current.request_limit_mb * _MB)
        peer: Peer = scope["extensions"][PEER_EXTENSION]["peer"]
        stats = RequestStats(route.path, monotonic())
        try:
            body, engine = route.dialect.prepare(raw)
            stats.is_stream = body.is_stream
            stats.unsupported_tools = [known_name(kind) for kind in body.unsupported_tools]
            client = _client(scope, body.end_user)
            request = InferenceRequest(route, body, engine, client, stats, send, peer)
            with anyio.CancelScope() as while_there, peer.told_when_lost(while_there.cancel):
                await self._dispatcher.answer(request)
        except FoundryLocalError as error:
            stats.outcome, stats.status = error.code, status_of(error)
            raise
        except ClientStalled:
            stats.note_outcome("client_stalled")
            peer.abort()
            raise ClientGone from None
        except Exception as fault:
            stats.outcome = "internal_error"
            if stats.first_s is None:
                stats.status = 500
                raise
            log.error("Unexpected fault in an answer of %s: %r", route.path, fault, exc_info=fault)
            raise ClientGone from fault
        finally:
            stats.note_end()
            self._metrics.note(stats)


def _client(scope: Scope, end_user: str) -> str:
    """The client that the queue treats fairly: the peer's address, its program, and the user that it names.

    All programs of one machine share an address and, here, a key; what they call themselves tells them apart.
    """
    peer = scope.get("client")
    program = b"".join(headers_named(scope, b"user-agent"))[:200].decode("latin-1")
    return f"{peer[0] if peer else ''}|{program}|{end_user[:200]}"


def _allow(methods: tuple[str, ...], method: str, path: str) -> None:
    if method not in methods:
        raise MethodNotAllowed(method, path[:200], methods)
